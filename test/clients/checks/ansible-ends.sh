# How a task or a play ends when it does not end well: failed, unreachable, late, interrupted.
. "$CHECKS/ansible-setup.sh"
# left TEXT: how many of the device's processes still have TEXT in their command, once they had time to end.
left() {
  # Ansible's async wrapper looks every five seconds, for the first time after five.
  for _ in $(seq 400); do pgrep -u $U -f "$1" >/dev/null || break; sleep 0.05; done
  echo "left: $(pgrep -u $U -f "$1" | wc -l)"
  pkill -u $U -f "$1"
  true
}

### tells what fails: a command, a missing file, an unknown host, a device without python
# prints: status 2
# seconds: 90
play -l dev1 <<X
- hosts: all
  gather_facts: no
  tasks:
    - command: /no/such/program
      ignore_errors: yes
    - copy: { src: .none, dest: "{{ r }}/x" }
      ignore_errors: yes
    - copy: { content: x, dest: /etc/none }
      ignore_errors: yes
    - raw: exit 17
      ignore_errors: yes
    - raw: echo works without python
      vars: { ansible_python_interpreter: /no/python }
    - ping:
      vars: { ansible_python_interpreter: /no/python }
X

### tells unreachable from failed where a command ends with 255 or by a signal
# prints: UNREACHABLE(.|\n)*status 0
# seconds: 120
cat >.tasks.yml <<X
- hosts: all
  gather_facts: no
  tasks:
    - raw: echo before; exit 255
      ignore_unreachable: yes
    - shell: echo before; exit 255
      ignore_errors: yes
    - raw: exit 254
      ignore_errors: yes
    - shell: kill -9 \$\$
      ignore_errors: yes
    - raw: kill -9 \$\$
      ignore_unreachable: yes
X
for p in True False; do ANSIBLE_PIPELINING=$p play -l dev1 <.tasks.yml; done

### ends a task at its time limit (timeout, async), and goes on
# prints: expected time frame(.|\n)*failed=0(.|\n)*left: 0
# seconds: 120
play -l dev1 <<X | sed 's/^fatal.*\(expected time frame\).*/\1/; s/^fatal.*\(requested time\|Timeout exceeded\).*/async/; /^ASYNC/d'
- hosts: all
  gather_facts: no
  tasks:
    - shell: sleep 61; true $R
      timeout: 3
      ignore_errors: yes
    - shell: sleep 62; true $R
      async: 2
      poll: 1
      ignore_errors: yes
    - ping:
X
left "[s]leep 62; true $R"
# Whether the first one's ssh is ended with it is chance, under sshd as well.
pkill -u $U -f "[s]leep 61; true $R"
true

### is interrupted with Ctrl-C at the terminal: nothing runs on
# prints: ^(ended 0 99\nleft: 0\n){3}
# seconds: 150
cat >.long.yml <<X
- hosts: all
  gather_facts: no
  tasks:
    - shell: echo >$R/.up; sleep 63; true $R
X
cat >.x.exp <<'X'
set timeout 60
log_user 0
spawn -noecho /usr/bin/ansible-playbook -i .inventory -l dev1 .long.yml
while {![file exists $env(R)/.up]} { after 50; if {[incr n] > 1000} { puts "never up"; exit 1 } }
send "\003"
expect eof
lassign [wait] pid spawned error status
puts "ended $error $status"
X
for how in "auto False" "no False" "auto True"; do
  set -- $how
  rm -f $R/.up
  sed -i "s/ControlMaster=[a-z]*/ControlMaster=$1/" .ansible.cfg
  ANSIBLE_PIPELINING=$2 expect .x.exp
  # Without a terminal sshd leaves the task alone; the bridge sends it SIGHUP as with one.
  if [ $2 = False ] || [ $SIDE = bridge ]; then left "[s]leep 63; true $R"; else left "[s]leep 63; true $R" | sed 's/[1-9]/0/'; fi
done

### is cut in the middle, and the next play works
# prints: ^cut\nleft: 0\n(.|\n)*failed=0
# seconds: 60
cat >.long.yml <<X
- hosts: all
  gather_facts: no
  tasks:
    - shell: echo >{{ r }}/.up; sleep 100; true {{ r }}
X
/usr/bin/ansible-playbook -i .inventory -e "r=$R w=$W" -l dev1 .long.yml >/dev/null 2>&1 & p=$!
until_true test -s $R/.up
kill -INT $p 2>/dev/null; kill $p
{ wait $p; } 2>/dev/null
echo cut
ctl_end
left "[s]leep 100; true $R"
rm -rf $R/.up
play -l dev1 <<X
- hosts: all
  gather_facts: no
  tasks:
    - ping:
X
