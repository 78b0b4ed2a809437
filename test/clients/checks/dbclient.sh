# Dropbear's client, as on OpenWrt and other small systems.
# It has its own form of keys; .db stands for ssh where scp and rsync ask for one.
dropbearconvert openssh dropbear "$KEY" .key >/dev/null 2>&1
DB=(-y -y -i "$W/.key" -p "$PORT")
db() {
  local options=()
  while case "${1-}" in -*) true ;; *) false ;; esac do options+=("$1"); shift; done
  filtered quiet dbclient "${DB[@]}" "${options[@]}" "$U@127.0.0.1" "$@"
}
quiet() { grep -v -e 'key accepted' -e fingerprint -e Caution; }
cat >.db <<X
#!/bin/bash
# Drops what scp and rsync say to OpenSSH only.
while :; do case "\$1" in -o) shift 2 ;; -o*|-x|-a|-q|-4|-6) shift ;; -l) shift 2 ;; --) shift ;; *) break ;; esac; done
shift
exec dbclient ${DB[*]} $U@127.0.0.1 "\$@" 2>/dev/null
X
chmod +x .db

### runs commands with status, streams and binary data
# prints: ^0\n7\nout(.|\n)*127\n+bash: [^\n]*/nowhere: No such file
db true; echo $?
db 'exit 7'; echo $?
db 'echo out; echo err >&2' 2>e
# What filters it ends behind dbclient.
until_true grep -q err e; cat e
random 4 >a
db cat <a | cmp - a; echo ${PIPESTATUS[*]}
db 'kill -9 $$'; echo $?
db /nowhere 2>e; echo $?
until_true grep -q nowhere e; cat e

### logs in with a password, and tells a host key that has changed
# prints: ^in\n0\ntold\n1
DROPBEAR_PASSWORD=$SSHPASS dbclient -y -y -p $PORT $U@127.0.0.1 echo in 2>/dev/null; echo $?
mkdir .ssh
echo "127.0.0.1 $(cut -d' ' -f1,2 $KEY.pub)" >.ssh/known_hosts
dbclient -i .key -p $PORT $U@127.0.0.1 echo in </dev/null >.said 2>&1; x=$?
grep -qi 'host key mismatch' .said && echo told; echo $x

### carries large data both ways
# prints: ^0
# seconds: 120
random $LARGE_MB >a
db "cat >$R/a" <a; echo $?
db "cat $R/a" | cmp - a; echo ${PIPESTATUS[*]}

### takes odd names and bytes in commands
# prints: ^a b
db "printf 'a b|%s' 中文 | tee '$R/it is 中文 [x]'"
db "$(printf 'printf %%s \xff\xfe | od -c')"
db "wc -c" </dev/null

### gives a terminal (-t)
# prints: yes
cat >x.exp <<'X'
set timeout 20
log_user 0
spawn -noecho dbclient -y -y -i $env(W)/.key -p $env(PORT) -t $env(U)@127.0.0.1 {test -t 0 && echo yes; echo $TERM; stty size; exit 4}
expect eof
# Not its exit status: dbclient loses it now and then in a terminal, under sshd as well.
puts $expect_out(buffer)
X
TERM=vt102 expect x.exp

### forwards ports (-L, -R), joins a port (-B), and is a proxy command
# prints: small
server
/usr/bin/dbclient "${DB[@]}" -N -L $L1:127.0.0.1:$SERVER $U@127.0.0.1 2>/dev/null & keep $!
listening $L1
curl_to $L1 /small
curl_to $L1 /random | cmp - .served/random && echo equal
/usr/bin/dbclient "${DB[@]}" -N -R $L2:127.0.0.1:$SERVER $U@127.0.0.1 2>/dev/null & keep $!
listening $L2
curl_to $L2 /random | cmp - .served/random && echo equal
printf 'GET /small HTTP/1.0\r\n\r\n' | /usr/bin/dbclient "${DB[@]}" -B 127.0.0.1:$SERVER $U@127.0.0.1 2>/dev/null | tail -1

### carries scp and rsync
# prints: ^0
random 1 >a
command scp -O -q -S $W/.db a dev:$R/a; echo $?
rsync -e $W/.db a dev:$R/b; echo $?

### is cut in the middle
# prints: ^gone\nagain
mkfifo tmp-p
exec 9<>tmp-p
/usr/bin/dbclient "${DB[@]}" $U@127.0.0.1 "echo >$R/.up; cat; true $R" <tmp-p >/dev/null 2>&1 & p=$!
until_true test -s $R/.up
{ kill -9 $p; wait $p; } 2>/dev/null
until_true sh -c "! pgrep -u $U -f '[c]at; true $R'" && echo gone
db echo again
