# Read by every file of Ansible checks. `play` runs a playbook given on standard input; what it prints is
# made comparable by removing times. The inventory names ten hosts, all of them the device.
export ANSIBLE_CONFIG=$W/.ansible.cfg ANSIBLE_LOCALHOST_WARNING=false ANSIBLE_NOCOLOR=1 ANSIBLE_HOME=$W/.ansible ANSIBLE_LOCAL_TEMP=$W/.ansible/tmp
export ANSIBLE_SSH_CONTROL_PATH_DIR=$W/.cp ANSIBLE_DEPRECATION_WARNINGS=false ANSIBLE_RETRY_FILES_ENABLED=false
cat >.ansible.cfg <<X
[defaults]
host_key_checking = True
interpreter_python = /usr/bin/python3
[ssh_connection]
ssh_args = -F $CFG -o ControlMaster=${PERSIST-auto} -o ControlPersist=${PERSIST+no}${PERSIST-20s}
X
{
  echo '[all]'
  for i in $(seq 10); do echo "dev$i"; done
  echo '[all:vars]'
  echo "ansible_host=127.0.0.1"
  echo "ansible_port=$PORT"
  echo "ansible_user=$U"
  echo "ansible_ssh_private_key_file=$KEY"
} >.inventory
# How often the end of a job was asked for is a matter of time.
play() {
  cat >.play.yml
  /usr/bin/ansible-playbook -i .inventory -e "r=$R w=$W" "$@" .play.yml 2>&1 | sed -E '/^(PLAY|TASK|RUNNING|ASYNC)/!{s/ [0-9.:-]{8,}//g}; s/\*+//; /Controlled|Shared connection|^$/d; /ASYNC POLL|FAILED - RETRYING/d; s/j[0-9]+\.[0-9]+/JOB/g; s/"delta": "[^"]*"/DELTA/'
  echo "status ${PIPESTATUS[0]}"
}
adhoc() {
  /usr/bin/ansible -i .inventory dev1 "$@" 2>&1 | sed -E 's/"(start|end|delta|mtime|atime|ctime|elapsed)": .*//; s/\r//; /Shared connection/d'
  echo "status ${PIPESTATUS[0]}"
}
ctl_end() { for s in .cp/*; do [ -S "$s" ] && /usr/bin/ssh -F "$CFG" -o ControlPath="$s" -O exit dev 2>/dev/null; done; true; }
trap 'ctl_end; { kill "${KEPT[@]}"; kill $(jobs -p); } 2>/dev/null; wait' EXIT
