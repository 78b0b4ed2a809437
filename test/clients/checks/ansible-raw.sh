# Ansible on a device without python: raw and script, and what the connection does by itself.
. "$CHECKS/ansible-setup.sh"
echo ansible_python_interpreter=/no/python >>.inventory

### runs raw commands with their output and status
# prints: hello 汉语(.|\n)*status 0(.|\n)*rc=7(.|\n)*status 2
# seconds: 60
adhoc -m raw -a "echo hello 汉语; echo err >&2"
adhoc -m raw -a "exit 7"
adhoc -m raw -a "printf '%s\n' \"it's\" 'a  b' > $R/out; cat $R/out"

### runs scripts, with arguments and status, sent in each way
# prints: (ran a b it's汉语(.|\n)* 5"(.|\n)*){2}status 0
# seconds: 150
printf '#!/bin/sh\necho ran "$@"; echo err >&2; exit 5\n' >.s.sh
# What is served by the device's own scp needs one there.
for how in sftp $(ssh dev 'command -v scp >/dev/null && echo scp') piped; do
  echo "== $how"
  ANSIBLE_SSH_TRANSFER_METHOD=$how ANSIBLE_SCP_EXTRA_ARGS=-O play -l dev1 <<X
- hosts: all
  gather_facts: no
  tasks:
    - script: .s.sh "a b" "it's汉语"
      register: out
      failed_when: out.rc != 5
    - debug: msg="{{ out.stdout_lines[0] }} {{ out.rc }}"
X
done

### plays twenty raw tasks in a row, with much output, and a reset of the connection
# prints: "msg": "20000 (.|\n)*ok=5 +changed=3 +unreachable=0 +failed=0
# seconds: 120
play -l dev1 <<X
- hosts: all
  gather_facts: no
  tasks:
    - raw: echo {{ item }} >>{{ r }}/list; cat {{ r }}/list; exit {{ item % 3 }}
      loop: "{{ range(20) | list }}"
      register: out
      failed_when: out.rc != item % 3
      loop_control: { label: "{{ item }}" }
    - raw: seq 20000
      register: out
    - debug: msg="{{ out.stdout_lines | length }} {{ out.stdout | hash('sha1') }}"
    - meta: reset_connection
    - raw: wc -l <{{ r }}/list
      register: out
    - debug: var=out.stdout_lines
X

### tells a device without python what it lacks
# prints: FAILED(.|\n)*status 2
# seconds: 60
play -l dev1 <<X | sed 's/=> .*//'
- hosts: all
  gather_facts: no
  tasks:
    - ping:
X
