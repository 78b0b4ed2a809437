# Ansible on a device without python: raw and script.
export ANSIBLE_CONFIG=$W/.ansible.cfg ANSIBLE_LOCALHOST_WARNING=false ANSIBLE_NOCOLOR=1 ANSIBLE_HOME=$W/.ansible ANSIBLE_LOCAL_TEMP=$W/.ansible/tmp
export ANSIBLE_SSH_CONTROL_PATH_DIR=$W/.cp
cat >.ansible.cfg <<X
[ssh_connection]
ssh_args = -F $CFG -o ControlMaster=auto -o ControlPersist=10s
X
printf 'dev1 ansible_host=127.0.0.1 ansible_port=%s ansible_user=%s ansible_ssh_private_key_file=%s ansible_python_interpreter=/no/python\n' $PORT $U $KEY >.inventory
adhoc() { /usr/bin/ansible -i .inventory dev1 "$@" 2>&1 | sed '/Shared connection/d; s/\r//'; echo "status ${PIPESTATUS[0]}"; }
trap 'for s in .cp/*; do [ -S "$s" ] && /usr/bin/ssh -F "$CFG" -o ControlPath="$s" -O exit dev 2>/dev/null; done; true' EXIT

### runs raw commands with their output and status
# prints: hello 汉语(.|\n)*status 0(.|\n)*rc=7(.|\n)*status 2
# seconds: 60
adhoc -m raw -a "echo hello 汉语; echo err >&2"
adhoc -m raw -a "exit 7"
adhoc -m raw -a "printf '%s\n' \"it's\" 'a  b' > $R/out; cat $R/out"
