# Before the session: greeting, algorithms, authentication; try-ciphers.sh, login-timeout.sh,
# connect*.sh, banner, authinfo of openssh-portable/regress.

### greets at once and speaks SSH 2.0
# prints: ^SSH-2.0-OpenSSH
timeout 5 sh -c "exec 3<>/dev/tcp/127.0.0.1/$PORT; head -1 <&3" 2>/dev/null || timeout 5 bash -c "exec 3<>/dev/tcp/127.0.0.1/$PORT; head -1 <&3 | cut -c1-15"

### offers ciphers, MACs and key exchanges that every current client has (try-ciphers.sh)
# prints: ok
# seconds: 120
for c in $(ssh -Q cipher | grep -E 'ctr|gcm|chacha'); do
  case $c in *gcm* | chacha*) macs=default ;; *) macs="hmac-sha2-256 hmac-sha2-512-etm@openssh.com" ;; esac
  for m in $macs; do
    [ $m = default ] || set -- -m $m
    echo "$c $m $(ssh -c $c "$@" dev echo ok 2>&1)"
    set --
  done
done
for k in curve25519-sha256 curve25519-sha256@libssh.org ecdh-sha2-nistp256 ecdh-sha2-nistp384 ecdh-sha2-nistp521 diffie-hellman-group-exchange-sha256 sntrup761x25519-sha512@openssh.com diffie-hellman-group14-sha256 diffie-hellman-group16-sha512; do
  echo "$k $(ssh -o KexAlgorithms=$k dev echo ok 2>&1)"
done

### offers no weak algorithms
# prints: no matching
255
for a in "-c 3des-cbc" "-c aes128-cbc" "-oKexAlgorithms=diffie-hellman-group1-sha1" "-oKexAlgorithms=diffie-hellman-group-exchange-sha1" "-oHostKeyAlgorithms=ssh-dss" "-oHostKeyAlgorithms=ssh-rsa" "-m hmac-md5 -c aes128-ctr"; do
  ssh $a -o LogLevel=INFO dev true 2>&1 | tr -d '\r' | sed 's/Unable to negotiate with 127.0.0.1 port [0-9]*//; s/Their offer.*//'; echo ${PIPESTATUS[0]}
done

### takes the right password only, and asks again after a wrong one
# prints: ^in\n0\n
k="-o PreferredAuthentications=password"
command sshpass -e ssh -F $CFG $k dev echo in; echo $?
SSHPASS=wrong command sshpass -e ssh -F $CFG $k dev echo in 2>&1 | tr -d '\r' | sed 's/(.*/(methods)./'; echo ${PIPESTATUS[0]}
command ssh -F $CFG -o PreferredAuthentications=none dev echo in 2>&1 | tr -d '\r' | sed 's/(.*/(methods)./'; echo ${PIPESTATUS[0]}
cat >x.exp <<'X'
set timeout 30
log_user 0
spawn -noecho ssh -F $env(CFG) -o PreferredAuthentications=password -o NumberOfPasswordPrompts=3 dev echo let in
expect "password: "
send "wrong\r"
expect "again."
expect "password: "
send "$env(SSHPASS)\r"
expect "let in"
puts "after a second try"
X
expect x.exp

### takes no user but the device's, whatever the password
# prints: 255
# differs: the device has one session; while it is open, another user is told so at once
# bridge prints: one session, and it is open under another user
command sshpass -e ssh -F $CFG -o PreferredAuthentications=password -l nosuchuser dev echo in 2>&1 | tr -d '\r'; echo ${PIPESTATUS[0]}
command sshpass -e ssh -F $CFG -o PreferredAuthentications=password -l "it's;odd" dev echo in 2>&1 | tr -d '\r'; echo ${PIPESTATUS[0]}

### takes a key of each current type that it knows, and no other
# prints: ^ok
ssh dev echo ok
ssh-keygen -q -t ed25519 -N '' -f .other
ssh -o IdentityFile=none -i .other -o PasswordAuthentication=no dev echo ok 2>&1 | tr -d '\r' | sed 's/(.*/(methods)./' | tail -1
ssh -o PubkeyAcceptedAlgorithms=ssh-ed25519 dev echo ok
eval $(ssh-agent) >/dev/null; keep $SSH_AGENT_PID
ssh-add -q $KEY
ssh -o IdentityAgent=$SSH_AUTH_SOCK -o IdentityFile=$KEY.pub dev echo from the agent

### does not keep a client waiting that says nothing, sends rubbish, or leaves
# prints: done
python3 - <<X
import socket
for said in (b'', b'GET / HTTP/1.0\r\n\r\n', b'SSH-1.5-old\r\n', b'\0' * 300, b'x' * 70000, b'SSH-2.0-x\r\n' + b'\xff' * 1000):
    s = socket.create_connection(('127.0.0.1', $PORT)); s.settimeout(10)
    first = s.recv(4)
    try:
        s.sendall(said)
        if said:
            while s.recv(65536): pass
        print(first, 'ended')
    except ConnectionError: print(first, 'ended')
    except socket.timeout: print(first, 'still open')
    s.close()
print('done')
X
ssh dev echo still serving

### connects by ProxyCommand, over IPv4 and by name (proxy-connect.sh)
# prints: ^one\n0
ssh -o ProxyCommand="nc 127.0.0.1 $PORT" dev 'echo one'; echo $?
ssh -o ProxyCommand="socat - TCP:127.0.0.1:%p" dev 'echo $SSH_CONNECTION | wc -w'; echo $?
ssh -4 dev echo four; echo $?
for i in 1 2 3; do ssh -o ProxyCommand="nc 127.0.0.1 $PORT" -C dev "cat; exit $i" <<<x; echo $?; done

### shows the same host key each time, and ssh-keyscan and ssh-keygen agree
# prints: ^ssh-ed25519\n0
ssh-keyscan -t ed25519 -p $PORT 127.0.0.1 2>/dev/null | awk '{print $2}'
ssh-keyscan -t ed25519 -p $PORT 127.0.0.1 2>/dev/null >.scanned
[ "$(cut -d' ' -f2- .scanned)" = "$(cut -d' ' -f2,3 $KNOWN_HOSTS | head -1)" ]; echo $?

### refuses what the client says it will not have
# prints: 255
ssh -o HostKeyAlgorithms=ecdsa-sha2-nistp256 dev true 2>/dev/null; echo $?
ssh -o StrictHostKeyChecking=yes -o UserKnownHostsFile=/dev/null dev true 2>/dev/null; echo $?
