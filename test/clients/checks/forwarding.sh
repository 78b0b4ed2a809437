# Forwarding: -L -D -W -J -R, Unix sockets, the agent; forwarding.sh, dynamic-forward.sh,
# forward-control.sh, proxy-connect.sh, agent-*.sh of openssh-portable/regress.

### forwards a local port (-L), many connections at once
# prints: ^0\n20
server
fwd -N -L $L1:127.0.0.1:$SERVER
curl_to $L1 /random >a; echo $?
cmp a $W/.served/random
for i in $(seq 20); do curl_to $L1 /small >.s$i & p+=($!); done
wait ${p[*]}
cat .s* | grep -c small

### carries large data both ways through -L
# prints: ^0\n0
# seconds: 120
random $LARGE_MB >a
fwd -N -L $L1:127.0.0.1:$SERVER
socat -u OPEN:a TCP-LISTEN:$SERVER,reuseaddr,bind=127.0.0.1 & listening $SERVER
socat -u TCP:127.0.0.1:$L1 CREATE:b; echo $?
cmp a b
socat -u TCP-LISTEN:$SERVER,reuseaddr,bind=127.0.0.1 CREATE:c & p=$!; listening $SERVER
socat -u OPEN:a TCP:127.0.0.1:$L1; echo $?
wait $p
cmp a c

### carries half-close through -L in both directions
# prints: ^5000000\nGOODBYE\n
fwd -N -L $L1:127.0.0.1:$SERVER
socat TCP-LISTEN:$SERVER,reuseaddr,bind=127.0.0.1 SYSTEM:'wc -c' & listening $SERVER
head -c 5000000 /dev/zero | socat -t 20 - TCP:127.0.0.1:$L1
socat TCP-LISTEN:$SERVER,reuseaddr,bind=127.0.0.1 SYSTEM:'echo GOODBYE; exec >&-; cat >got' & p=$!; listening $SERVER
(sleep 0.5; echo late) | socat -t 20 - TCP:127.0.0.1:$L1
wait $p
cat got

### tells a client of -L when nobody listens behind it
# prints: ended
/usr/bin/ssh -F $CFG -N -L $L1:127.0.0.1:1 -o LogLevel=INFO dev 2>tmp-e & keep $!
listening $L1
tcp_says $L1
until_true grep -q 'open failed' tmp-e
sed 's/^channel [0-9]*/channel/; s/\r//' tmp-e

### tells a client of -L when the name behind it is unknown
# prints: ended
/usr/bin/ssh -F $CFG -N -L $L1:no.such.name.invalid:80 -o LogLevel=INFO dev 2>tmp-e & keep $!
listening $L1
tcp_says $L1
until_true grep -q 'open failed' tmp-e
sed 's/^channel [0-9]*/channel/; s/\r//; s/Temporary failure in name resolution/Name or service not known/' tmp-e

### carries a reset from the server to the client of -L
# prints: ended
fwd -N -L $L1:127.0.0.1:$SERVER
python3 - <<X & listening $SERVER
import socket, struct
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(('127.0.0.1', $SERVER)); s.listen()
c, _ = s.accept(); c.recv(1)
c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)); c.close()
X
tcp_says $L1

### carries a reset from the client of -L to the server
# prints: server saw
fwd -N -L $L1:127.0.0.1:$SERVER
python3 - <<X & p=$!
import socket
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(('127.0.0.1', $SERVER)); s.listen()
c, _ = s.accept(); c.settimeout(10)
try:
    while c.recv(65536): pass
    print('server saw the end')
except OSError as e: print('server saw', e)
X
listening $SERVER
python3 - <<X
import socket, struct, time
c = socket.create_connection(('127.0.0.1', $L1)); c.sendall(b'x' * 1000); time.sleep(0.3)
c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)); c.close()
X
wait $p

### is a SOCKS proxy (-D), versions 4, 4a and 5, IPv4, IPv6 and names
# prints: small\nsmall
server
fwd -D $L1 -N
for s in --socks4 --socks4a --socks5 --socks5-hostname; do
  curl -sS $s 127.0.0.1:$L1 http://127.0.0.1:$SERVER/small
  curl -sS $s 127.0.0.1:$L1 http://localhost:$SERVER/small 2>&1 | sed 's/curl: ([0-9]*)//'
done
curl -sS --socks5 127.0.0.1:$L1 http://127.0.0.1:$SERVER/random | cmp - .served/random && echo equal
curl -sS --socks5-hostname 127.0.0.1:$L1 http://127.0.0.1:1/ 2>&1 | sed 's/curl: ([0-9]*)//; s/after.*ms//'

### joins its standard input and output with a port (-W)
# prints: hello\n0
echo_server
(echo hello; sleep 0.2) | ssh -W 127.0.0.1:$SERVER dev; echo $?
random 4 >a
ssh -W 127.0.0.1:$SERVER dev <a >b; echo $?
cmp a b
ssh -W 127.0.0.1:1 dev </dev/null 2>tmp-e; echo $?
tr -d '\r' <tmp-e

### jumps through the device to its own sshd (-J) and onwards (ProxyCommand, ProxyJump)
# prints: ^jumped\n0\n
cat >>tmp-cfg <<X
Host dev
  HostName 127.0.0.1
  Port $PORT
  User $U
  HostKeyAlias first
Host inner
  HostName 127.0.0.1
  Port $SSHD_PORT
  User $U
  HostKeyAlias second
Host jumped
  ProxyJump dev
  HostName 127.0.0.1
  Port $SSHD_PORT
  User $U
  HostKeyAlias second
Host *
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
  LogLevel ERROR
  IdentityFile $KEY
  IdentitiesOnly yes
X
/usr/bin/ssh -F tmp-cfg -J dev inner 'echo jumped; exit 0'; echo $?
/usr/bin/ssh -F tmp-cfg jumped 'exit 9'; echo $?
/usr/bin/ssh -F tmp-cfg -J dev,inner inner 'echo thrice'; echo $?
/usr/bin/ssh -F tmp-cfg -o ProxyCommand="/usr/bin/ssh -F tmp-cfg -W %h:%p dev" inner 'echo by command'; echo $?
random 2 >a
/usr/bin/scp -q -F tmp-cfg -J dev a inner:$R/a; echo $?
/usr/bin/ssh -F tmp-cfg -J dev inner cat <a | cmp - a && echo equal

### forwards a port of the device (-R), with port 0 told
# prints: ^small\nequal\nAllocated
server
/usr/bin/ssh -F $CFG -N -R 127.0.0.1:0:127.0.0.1:$SERVER -o LogLevel=INFO dev 2>tmp-e & keep $!
until_true grep -q 'Allocated port' tmp-e
p=$(sed -n 's/Allocated port \([0-9]*\) .*/\1/p' tmp-e)
curl_to $p /small
curl_to $p /random | cmp - .served/random && echo equal
sed "s/port $p/port N/; s/\r//" tmp-e
fwd -N -R $L1:127.0.0.1:$SERVER
curl_to $L1 /small
for i in $(seq 20); do curl_to $L1 /small >.s$i & q+=($!); done
wait ${q[*]}
cat .s* | grep -c small

### carries large data, half-close and refusals through -R
# prints: ^0\n
# seconds: 120
random $LARGE_MB >a
fwd -N -R $L1:127.0.0.1:$SERVER
socat -u OPEN:a TCP-LISTEN:$SERVER,reuseaddr,bind=127.0.0.1 & listening $SERVER
socat -u TCP:127.0.0.1:$L1 CREATE:b; echo $?
cmp a b
socat -u TCP-LISTEN:$SERVER,reuseaddr,bind=127.0.0.1 CREATE:c & p=$!; listening $SERVER
socat -u OPEN:a TCP:127.0.0.1:$L1; echo $?
wait $p
cmp a c
socat TCP-LISTEN:$SERVER,reuseaddr,bind=127.0.0.1 SYSTEM:'wc -c' & listening $SERVER
head -c 5000000 /dev/zero | socat -t 20 - TCP:127.0.0.1:$L1
tcp_says $L1

### obeys the listening addresses of -R as GatewayPorts says
# prints: 127.0.0.1
# -f: goes on when the listener is confirmed, so when all its addresses listen.
for where in "" "localhost:" "127.0.0.1:" "*:" "0.0.0.0:" "[::1]:"; do
  ssh -f -N -M -S tmp-ctl -R "$where$L1:127.0.0.1:1" -o ExitOnForwardFailure=yes dev
  echo "[$where] $(ss -Hltn "sport = :$L1" | awk '{print $4}' | sed s/$L1/N/ | sort | tr '\n' ' ')"
  ssh -S tmp-ctl -O exit dev 2>/dev/null
  until_true not_listening $L1
done

### refuses -R on a port that is taken, below 1024, and twice
# prints: ^255
echo_server
ssh -N -R $SERVER:127.0.0.1:1 -o ExitOnForwardFailure=yes dev 2>tmp-e; echo $?
ssh -N -R 80:127.0.0.1:1 -o ExitOnForwardFailure=yes dev 2>>tmp-e; echo $?
ssh -R $SERVER:127.0.0.1:1 dev 'echo goes on' 2>>tmp-e; echo $?
sed "s/\r//; s/$SERVER/N/" tmp-e

### runs nothing when a -R before it fails, and has it listen when it runs (ExitOnForwardFailure)
# prints: ^255\nfailed\nran\n0
ssh -o ExitOnForwardFailure=yes -R 80:127.0.0.1:1 dev 'echo ran; sleep 1' 2>tmp-e; echo $?
grep -q 'remote port forwarding failed' tmp-e && echo failed
ssh -o ExitOnForwardFailure=yes -R $L1:127.0.0.1:$PORT dev "exec 3<>/dev/tcp/127.0.0.1/$L1 && echo ran"; echo $?

### forwards Unix sockets both ways, to and from TCP
# prints: ^small
server
socat UNIX-LISTEN:$R/.s,fork,mode=666 TCP:127.0.0.1:$SERVER & keep $!
until_true test -S $R/.s
fwd -N -L $W/.l:$R/.s; until_true test -S .l
curl -s --unix-socket .l http://x/small
curl -s --unix-socket .l http://x/random | cmp - .served/random && echo equal
fwd -N -L $L1:$R/.s
curl_to $L1 /small
fwd -N -L $W/.l2:127.0.0.1:$SERVER; until_true test -S .l2
curl -s --unix-socket .l2 http://x/small
fwd -N -R $R/.r:127.0.0.1:$SERVER; until_true test -S $R/.r
curl -s --unix-socket $R/.r http://x/random | cmp - .served/random && echo equal
stat -c '%a %U' $R/.r | sed s/$U/user/
fwd -N -R $L2:$W/.served/sock
socat UNIX-LISTEN:.served/sock,fork TCP:127.0.0.1:$SERVER & keep $!
until_true test -S .served/sock
curl_to $L2 /small
ssh -N -R $R/.r:127.0.0.1:1 -o ExitOnForwardFailure=yes dev 2>tmp-e; echo $?
ssh -o StreamLocalBindUnlink=yes -R $R/.r:127.0.0.1:1 dev true 2>>tmp-e; echo $?
cat tmp-e

### tells a client of a socket forward that it cannot be reached
# prints: open failed
/usr/bin/ssh -F $CFG -N -L $L1:$R/none -o LogLevel=INFO dev 2>tmp-e & keep $!
listening $L1
tcp_says $L1 >/dev/null
until_true grep -q 'open failed' tmp-e
sed 's/^channel [0-9]*/channel/; s/\r//; s/connect failed: .*/connect failed/' tmp-e

### forwards the agent (-A), for one connection and no longer
# prints: ED25519\)\nsocket\n
eval $(ssh-agent) >/dev/null; keep $SSH_AGENT_PID
ssh-add -q $KEY
ssh -A -o IdentityAgent=$SSH_AUTH_SOCK dev "ssh-add -l; test -S \$SSH_AUTH_SOCK && echo socket; stat -c '%a %U' \$(dirname \$SSH_AUTH_SOCK); echo \$SSH_AUTH_SOCK >$R/.where" | sed "s/$U/user/"
# The bridge takes the socket away behind the connection, one way through the link later.
until_true sh -c "! test -e $(cat $R/.where)" && echo removed
ssh -A -o IdentityAgent=$SSH_AUTH_SOCK dev "ssh -F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -p $SSHD_PORT $U@127.0.0.1 echo through the agent"; echo $?
ssh -a -o IdentityAgent=$SSH_AUTH_SOCK dev 'echo ${SSH_AUTH_SOCK-unset}'
ssh -A dev 'echo ${SSH_AUTH_SOCK-unset}; ssh-add -l 2>&1'
ssh-add -q -D
ssh -A -o IdentityAgent=$SSH_AUTH_SOCK dev "ssh-add -l"; echo $?

### ends forwarded connections with the client
# prints: ^closed
fwd -N -L $L1:127.0.0.1:$SERVER
socat TCP-LISTEN:$SERVER,reuseaddr,bind=127.0.0.1 SYSTEM:'cat; echo ended >>tmp-end' & listening $SERVER
socat PIPE TCP:127.0.0.1:$L1 & keep $!
until_true ss -Htn "dport = :$SERVER" 
sleep 0.3
kill $FWD
until_true test -s tmp-end && echo closed
fwd -N -R $L1:127.0.0.1:1
kill $FWD
until_true not_listening $L1 && echo no longer listening

### keeps a forward with -f until its connections are done (ExitOnForwardFailure, -f -L sleep)
# prints: small
server
ssh -f -o ExitOnForwardFailure=yes -L $L1:127.0.0.1:$SERVER dev sleep 1; echo $?
curl_to $L1 /small

### loses nothing when both ends stop in turn
# prints: ^0
# seconds: 90
fwd -N -L $L1:127.0.0.1:$SERVER
echo_server
random 8 >a
python3 - <<X; echo $?
import socket, threading, time
data = open('a', 'rb').read()
s = socket.create_connection(('127.0.0.1', $L1))
def send():
    for i in range(0, len(data), 1 << 20):
        s.sendall(data[i:i + (1 << 20)]); time.sleep(0.05)
    s.shutdown(socket.SHUT_WR)
threading.Thread(target=send).start()
got = b''
while 1:
    if len(got) % 7 == 0: time.sleep(0.02)
    b = s.recv(100000)
    if not b: break
    got += b
assert got == data, (len(got), len(data))
X
