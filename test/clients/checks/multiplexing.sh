# ControlMaster and what keeps a connection going; multiplex.sh, rekey.sh, keepalive of openssh-portable/regress.

### shares one connection: commands, status, signals, streams (multiplex.sh)
# prints: ^Master running\n0\n
master
ssh -S ctl -O check dev 2>&1 | sed 's/ (pid=.*//; s/\r//'; echo ${PIPESTATUS[0]}
for i in 0 1 4 5 44; do ssh -S ctl dev "exit $i"; echo $?; done
ssh -S ctl dev 'kill -TERM $$'; echo $?
ssh -S ctl dev "echo out; echo err >&2" >o 2>e; cat o e
random 4 >a
ssh -S ctl dev cat <a | cmp - a; echo ${PIPESTATUS[*]}
scp -q -o ControlPath=ctl a dev:$R/a; echo $?
scp -O -q -o ControlPath=ctl dev:$R/a b; cmp a b; echo $?
printf 'get %s/a c\n' $R | sftp -q -b - -o ControlPath=ctl dev >/dev/null; echo $?
cmp a c; echo $?
ssh -S ctl dev 'echo "$LC_X|$0"'
LC_X=env ssh -S ctl -o SendEnv=LC_X dev 'echo "$LC_X"'
ssh -tt -S ctl dev 'tty | tr -d 0-9' </dev/null
ssh -S ctl -O exit dev 2>&1 | tr -d '\r'

### runs twenty sessions at once on one connection
# prints: ^20 of 20
# seconds: 90
master
random 1 >a
for i in $(seq 20); do
  (ssh -S ctl dev "cat; exit $i" <a >.o$i; [ $? = $i ] && cmp -s a .o$i && echo ok >.s$i) & p+=($!)
done
wait ${p[*]}
echo "$(cat .s* | grep -c ok) of 20"
ssh -S ctl -O exit dev 2>/dev/null

### adds and cancels forwards on a running connection (-O forward, -O cancel)
# prints: small
server
master
ssh -S ctl -O forward -L $L1:127.0.0.1:$SERVER dev; echo $?
curl_to $L1 /small
ssh -S ctl -O cancel -L $L1:127.0.0.1:$SERVER dev; echo $?
until_true not_listening $L1 && echo gone
ssh -S ctl -O forward -R $L2:127.0.0.1:$SERVER dev; echo $?
curl_to $L2 /small
ssh -S ctl -O cancel -R $L2:127.0.0.1:$SERVER dev; echo $?
until_true not_listening $L2 && echo gone
p=$(ssh -S ctl -O forward -R 0:127.0.0.1:$SERVER dev)
curl_to $p /small
ssh -S ctl -O forward -D $L1 dev; echo $?
curl -sS --socks5 127.0.0.1:$L1 http://127.0.0.1:$SERVER/small
ssh -S ctl -O forward -L $W/.l:127.0.0.1:$SERVER dev; echo $?
curl -sS --unix-socket .l http://x/small
ssh -S ctl -O forward -R 80:127.0.0.1:1 dev 2>&1 | tr -d '\r'
ssh -S ctl dev "echo still; exit 3"; echo $?
ssh -S ctl -O exit dev 2>/dev/null

### stops taking sessions (-O stop) and lets the running one end
# prints: ^Stop listening
master
ssh -S ctl dev 'sleep 1.5; echo finished; exit 6' >o & p=$!
until_true sh -c "pgrep -u $U -f '[s]leep 1.5'"
ssh -S ctl -O stop dev 2>&1 | tr -d '\r'
ssh -S ctl -O check dev 2>/dev/null; echo $?
wait $p; echo $?
cat o
until_true sh -c "! kill -0 $MASTER" && echo master gone

### keeps the connection for later (ControlPersist)
# prints: ^one\ntwo
# seconds: 60
for c in one two; do ssh -o ControlMaster=auto -o ControlPath=ctl -o ControlPersist=5 dev echo $c; done
ssh -S ctl -O check dev 2>&1 | sed 's/ (pid=.*//'
until_true test ! -S ctl && echo expired
ssh -o ControlMaster=auto -o ControlPath=ctl -o ControlPersist=yes dev echo three
ssh -S ctl -O exit dev 2>&1 | tr -d '\r'

### answers keepalives of the client, in silence and under load
# prints: ^still here
ssh -o ServerAliveInterval=1 -o ServerAliveCountMax=2 dev 'sleep 5; echo still here'; echo $?
random 8 | ssh -o ServerAliveInterval=1 -o ServerAliveCountMax=1 dev 'sleep 3; wc -c'; echo $?

### ends a client whose connection is silent for ever, and the program with it
# prints: ^gone
/usr/bin/ssh -F $CFG -tt dev "echo \$\$ >$R/.pid; exec sleep 300" </dev/null >/dev/null 2>&1 & p=$!
until_true test -s $R/.pid
{ kill -9 $p; wait $p; } 2>/dev/null
until_true sh -c "! kill -0 $(cat $R/.pid)" && echo gone

### renews keys with traffic both ways (RekeyLimit 1M; rekey.sh)
# prints: ^0 0\n
# seconds: 120
random 6 >a
ssh -o RekeyLimit=1M dev cat <a | cmp - a; echo ${PIPESTATUS[*]}
ssh -vv -o RekeyLimit=1M dev cat <a 2>.v | cmp - a; echo ${PIPESTATUS[*]}
echo "$(($(grep -c 'SSH2_MSG_NEWKEYS received' .v) > 5))"
ssh -o RekeyLimit=1M dev "head -c 8000000 /dev/zero | tee /dev/stderr" 2>.e | sha1sum; wc -c <.e
ssh -o "RekeyLimit=default 1" dev 'for i in 1 2 3 4; do echo $i; sleep 0.8; done'; echo $?
head -c 1500000 a >b
scp -q -o RekeyLimit=256K b dev:$R/b; echo $?

### renews keys with every cipher and key exchange in turn
# prints: aes256-ctr 0 0
# seconds: 120
random 1 >a
for k in curve25519-sha256 ecdh-sha2-nistp256 diffie-hellman-group14-sha256; do
  ssh -o KexAlgorithms=$k -o RekeyLimit=256K dev cat <a | cmp - a; echo $k ${PIPESTATUS[*]}
done
for c in aes128-gcm@openssh.com chacha20-poly1305@openssh.com aes256-ctr; do
  ssh -c $c -o RekeyLimit=256K dev cat <a | cmp - a; echo $c ${PIPESTATUS[*]}
done

### compresses when asked (Compression yes)
# prints: ^0 0
random 4 >a
seq 500000 >b
for f in a b; do ssh -C dev cat <$f | cmp - $f; echo ${PIPESTATUS[*]}; done
ssh -C -o RekeyLimit=1M dev cat <b | cmp - b; echo ${PIPESTATUS[*]}
ssh -C -v dev true 2>&1 | tr -d '\r' | grep -c 'zlib@openssh.com'

### stays through a time without any traffic
# prints: ^alive 0
# seconds: 90
master
sleep ${IDLE_SECONDS:-8}
ssh -S ctl dev 'echo alive' | tr '\n' ' '; echo ${PIPESTATUS[0]}
ssh -S ctl -O exit dev 2>/dev/null

