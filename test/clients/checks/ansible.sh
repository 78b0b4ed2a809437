# Ansible's stock ssh connection plugin: modules, ways of transfer, logins. ansible-ends.sh has how plays end.
. "$CHECKS/ansible-setup.sh"

### plays twenty tasks of all kinds in a row
# prints: ok=[23][0-9] +changed=1[0-9] +unreachable=0 +failed=0(.|\n)*status 0\nequal
# seconds: 240
random 2 >.big
printf 'Hello {{ who }}\n' >.hello.j2
printf '#!/bin/sh\necho "$@"; echo err >&2; exit 5\n' >.script.sh
mkdir .pack && echo packed >.pack/file && tar czf .pack.tgz -C .pack .
play -l dev1 <<X
- hosts: all
  gather_facts: yes
  tasks:
    - ping:
    - raw: seq -f 'line %g' 20000
      register: out
    - debug: msg="{{ out.stdout_lines | length }} {{ out.stdout | hash('sha1') }}"
    - command: seq 20000
      register: out
    - debug: msg="{{ out.stdout | hash('sha1') }}"
    - command: sort
      args: { stdin: "{{ out.stdout }}" }
      register: out
    - debug: msg="{{ out.stdout | hash('sha1') }}"
    - shell: echo out; echo err >&2; exit 3
      register: out
      failed_when: out.rc != 3 or out.stderr != 'err'
    - script: .script.sh 'a b' 汉语
      register: out
      failed_when: out.rc != 5
    - debug: var=out.stdout_lines
    - copy: { src: .big, dest: "{{ r }}/big", mode: '0640' }
    - copy: { src: .big, dest: "{{ r }}/big" }
    - fetch: { src: "{{ r }}/big", dest: "{{ w }}/fetched", flat: yes }
    - template: { src: .hello.j2, dest: "{{ r }}/hello" }
      vars: { who: world }
    - lineinfile: { path: "{{ r }}/hello", line: second }
    - blockinfile: { path: "{{ r }}/hello", block: third }
    - replace: { path: "{{ r }}/hello", regexp: world, replace: 世界 }
    - slurp: { src: "{{ r }}/hello" }
      register: out
    - debug: msg="{{ out.content | b64decode }}"
    - file: { path: "{{ r }}/dir/deep", state: directory, mode: '0750' }
    - file: { src: hello, dest: "{{ r }}/link", state: link }
    - unarchive: { src: .pack.tgz, dest: "{{ r }}/dir" }
    - find: { paths: "{{ r }}", recurse: yes }
      register: out
    - debug: msg="{{ out.files | map(attribute='path') | map('basename') | sort }}"
    - shell: sleep 1; echo late
      async: 30
      poll: 1
      register: out
    - debug: var=out.stdout
    - command: id -un
      become: yes
      register: out
    - debug: var=out.stdout
    - wait_for_connection: { timeout: 20 }
X
cmp .big fetched && echo equal

### runs the modules that everybody uses
# prints: unreachable=0 +failed=0(.|\n)*status 0
# seconds: 120
mkdir .t
printf 'Hello {{ who }} on {{ inventory_hostname }}\n' >.t/hello.j2
printf '#!/bin/sh\necho "script says $1"; exit 0\n' >.t/hello.sh
mkdir .t/pack && echo packed >'.t/pack/in side' && tar czf .t/pack.tgz -C .t pack
random 3 >.t/big
play -l dev1 <<X
- hosts: all
  gather_facts: no
  tasks:
    - ping:
    - raw: echo raw {{ r | basename | length > 0 }}; exit 0
      register: out
    - debug: var=out.stdout_lines
    - command: printf '%s' "it's 汉语"
      register: out
    - debug: var=out.stdout
    - shell: echo out; echo err >&2; exit 3
      register: out
      failed_when: out.rc != 3
    - debug: msg="{{ out.stdout }} {{ out.stderr }} {{ out.rc }}"
    - script: .t/hello.sh 'a b'
      register: out
    - debug: var=out.stdout_lines
    - copy: { src: .t/big, dest: "{{ r }}/big", mode: '0640' }
    - copy: { content: "汉语\n", dest: "{{ r }}/a [1] 汉语.txt", mode: '0600' }
    - fetch: { src: "{{ r }}/big", dest: "{{ w }}/fetched", flat: yes }
    - template: { src: .t/hello.j2, dest: "{{ r }}/hello", mode: '0644' }
      vars: { who: world }
    - lineinfile: { path: "{{ r }}/hello", line: second, state: present }
    - unarchive: { src: .t/pack.tgz, dest: "{{ r }}" }
    - file: { path: "{{ r }}/dir/deep", state: directory, mode: '0750' }
    - stat: { path: "{{ r }}/big" }
      register: out
    - debug: msg="{{ out.stat.size }} {{ out.stat.mode }}"
    - slurp: { src: "{{ r }}/hello" }
      register: out
    - debug: msg="{{ out.content | b64decode }}"
    - wait_for_connection: { timeout: 20 }
    - meta: reset_connection
    - command: echo after the reset
      register: out
    - debug: var=out.stdout
    - shell: sleep 1; echo late
      async: 20
      poll: 1
      register: out
    - debug: var=out.stdout
    - shell: sleep 1; echo later
      async: 20
      poll: 0
      register: job
    - async_status: { jid: "{{ job.ansible_job_id }}" }
      register: out
      until: out.finished
      retries: 30
      delay: 1
    - debug: var=out.stdout
    - wait_for: { path: "{{ r }}/hello", search_regex: second, timeout: 10 }
X
cmp .t/big fetched && echo equal

### does what Ansible's own connection tests ask (Chinese text, names and folders)
# prints: failed=0
# seconds: 90
play -l dev1 <<X
- hosts: all
  gather_facts: no
  serial: 1
  tasks:
    - raw: echo 汉语
      register: command
    - assert: { that: ["'汉语' in command.stdout", command is changed] }
    - local_action: lineinfile dest={{ w }}/汉语/汉语.txt create=true line=汉语
    - file: path={{ r }}/汉语/汉语.txt state=absent
    - file: path={{ r }}/汉语 state=directory
    - copy: src={{ w }}/汉语/汉语.txt dest={{ r }}/汉语/汉语.txt
    - local_action: file path={{ w }}/汉语/汉语.txt state=absent
    - fetch: src={{ r }}/汉语/汉语.txt dest={{ w }}/汉语/汉语.txt fail_on_missing=true validate_checksum=true flat=true
    - copy: src={{ w }}/汉语/ dest="{{ r }}/with space [x] 汉语/"
    - fetch: src="{{ r }}/with space [x] 汉语/汉语.txt" dest="{{ w }}/back [x] 汉语.txt" flat=true
    - file: path={{ r }}/汉语 state=absent
    - wait_for_connection:
X

### gathers facts
# prints: "ansible_python_version"(.|\n)*status 0(.|\n)*Linux python3(.|\n)*status 0
# seconds: 90
adhoc -m setup -a 'filter=ansible_distribution*,ansible_python_version,ansible_user_id,ansible_user_dir,ansible_user_shell,ansible_env' | grep -v -e SSH_ -e '"PATH"'
play -l dev1 <<X
- hosts: all
  gather_facts: yes
  tasks:
    - debug: msg="{{ ansible_facts.system }} {{ ansible_facts.python.executable | basename }} {{ ansible_facts.user_id }} {{ ansible_facts | length > 60 }}"
X

### moves files and modules in every way: pipelining, sftp, scp, piped, with and without ControlPersist
# prints: failed=0
# seconds: 240
random 1 >.big
# Plain names: what Ansible makes of spaces differs between the ways, sshd or not.
for how in "smart False" "sftp True" "scp False" "piped False" "piped True"; do
  set -- $how
  echo "== $how"
  rm -rf $R/moved* fetched*
  ANSIBLE_SSH_TRANSFER_METHOD=$1 ANSIBLE_SCP_EXTRA_ARGS=-O ANSIBLE_PIPELINING=$2 play -l dev1 <<X
- hosts: all
  gather_facts: no
  tasks:
    - copy: { src: .big, dest: "{{ r }}/moved-汉语", mode: '0644' }
    - fetch: { src: "{{ r }}/moved-汉语", dest: "{{ w }}/fetched {{ r | basename }}", flat: yes }
    - command: cmp "{{ r }}/moved-汉语" {{ w }}/.big
    - fetch: { src: "{{ r }}/none", dest: "{{ w }}/x", fail_on_missing: no }
X
  cmp .big fetched* && echo equal
done

### works without ControlPersist
# prints: failed=0
# seconds: 120
PERSIST=no
sed -i 's/ControlMaster=[a-z]*/ControlMaster=no/; s/ControlPersist=[a-z0-9]*/ControlPersist=no/' .ansible.cfg
play -l dev1 <<X
- hosts: all
  gather_facts: no
  tasks:
    - ping:
    - copy: { content: x, dest: "{{ r }}/x" }
    - command: cat {{ r }}/x
    - meta: reset_connection
    - shell: exit 4
      ignore_errors: yes
X

### becomes another user, with and without a password
# prints: "root"(.|\n)*"bin"(.|\n)*Incorrect sudo password
# seconds: 120
cat >.tasks.yml <<X
- hosts: all
  gather_facts: no
  become: yes
  tasks:
    - command: id -un
      register: out
    - debug: var=out.stdout
    - raw: id -un
      register: out
    - debug: var=out.stdout_lines
X
for user in root bin; do
  for pipelining in True False; do
    [ $user$pipelining = binFalse ] && continue
    ANSIBLE_PIPELINING=$pipelining play -l dev1 -e "ansible_become_user=$user ansible_become_password=$SSHPASS" <.tasks.yml
  done
done
ANSIBLE_PIPELINING=True play -l dev1 -e "ansible_become_user=bin ansible_become_password=wrong" <.tasks.yml
ANSIBLE_PIPELINING=True play -l dev1 -e "ansible_become_user=root" <<X
- hosts: all
  gather_facts: no
  become: yes
  tasks:
    - copy: { content: "of root\n", dest: "{{ r }}/root", mode: '0600' }
    - slurp: { src: "{{ r }}/root" }
X
stat -c %U $R/root
rm $R/root

### works on ten hosts at once (forks 10)
# prints: dev10 +: ok=3
# seconds: 120
random 1 >.big
play -f 10 <<X | sort
- hosts: all
  gather_facts: no
  tasks:
    - command: echo {{ inventory_hostname }}
    - copy: { src: .big, dest: "{{ r }}/{{ inventory_hostname }}" }
    - shell: cmp {{ w }}/.big {{ r }}/{{ inventory_hostname }}
X

### logs in with a password (sshpass)
# prints: failed=0
# seconds: 60
sed -i '/private_key/d' .inventory
sed -i 's/ssh_args = /ssh_args = -o PubkeyAuthentication=no /' .ansible.cfg
echo "ansible_password=$SSHPASS" >>.inventory
play -l dev1 <<X
- hosts: all
  gather_facts: no
  tasks:
    - ping:
    - copy: { content: x, dest: "{{ r }}/x" }
X
ctl_end
sed -i 's/ansible_password=.*/ansible_password=wrong/' .inventory
play -l dev1 <<X | grep -oE 'UNREACHABLE|status .*'
- hosts: all
  gather_facts: no
  tasks:
    - ping:
X

### synchronizes folders (rsync)
# prints: failed=0
# seconds: 60
odd_tree .t
play -l dev1 <<X | sed 's/sent [0-9,]* bytes.*//'
- hosts: all
  gather_facts: no
  tasks:
    - synchronize: { src: "{{ w }}/.t/", dest: "{{ r }}/t/", delete: yes, owner: no, group: no, ssh_connection_multiplexing: yes, use_ssh_args: yes }
    - synchronize: { src: "{{ r }}/t/", dest: "{{ w }}/back/", mode: pull, owner: no, group: no, use_ssh_args: yes }
X
diff -r --no-dereference .t back && echo equal
