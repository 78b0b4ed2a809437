# What the operator's options forbid; forward-control.sh of openssh-portable/regress.

### allows and refuses each kind of forwarding as configured
server
out() { sed 's/^channel [0-9]*/channel/; s/\r//; s/^/  /; s/failed: .*/failed/' tmp-e; : >tmp-e; }
for spec in "-L $L1:127.0.0.1:$SERVER" "-D $L1"; do
  /usr/bin/ssh -F $CFG -N -o LogLevel=INFO $spec dev 2>tmp-e & p=$!
  listening $L1
  case "$spec" in -L*) curl_to $L1 /small 2>/dev/null ;; *) curl -s --socks5 127.0.0.1:$L1 http://127.0.0.1:$SERVER/small ;; esac
  echo "${spec%% *} $(($? == 0))"
  stop $p
  out
done
ssh -o LogLevel=INFO -W 127.0.0.1:$SERVER dev <<<$'GET /small HTTP/1.0\r\n\r' 2>tmp-e | tail -1
echo "-W ${PIPESTATUS[0]}"; out
ssh -o ExitOnForwardFailure=yes -R $L2:127.0.0.1:$SERVER dev "curl -s -m 20 http://127.0.0.1:$L2/small" 2>tmp-e
echo "-R $?"; out
ssh -o ExitOnForwardFailure=yes -R 0:127.0.0.1:$SERVER dev true 2>tmp-e
echo "-R 0 $?"; out
ssh -o ExitOnForwardFailure=yes -R $R/.s:127.0.0.1:$SERVER dev "curl -s -m 20 --unix-socket $R/.s http://x/small" 2>tmp-e
echo "-R socket $?"; out
socat UNIX-LISTEN:$R/.l,fork,mode=666 TCP:127.0.0.1:$SERVER & keep $!
until_true test -S $R/.l
/usr/bin/ssh -F $CFG -N -o LogLevel=INFO -L $L1:$R/.l dev 2>tmp-e & p=$!
listening $L1
curl_to $L1 /small 2>/dev/null
echo "-L socket $(($? == 0))"
stop $p
out
eval $(ssh-agent) >/dev/null; keep $SSH_AGENT_PID
ssh-add -q $KEY
ssh -A -o IdentityAgent=$SSH_AUTH_SOCK dev 'echo ${SSH_AUTH_SOCK+agent}' 2>tmp-e
echo "-A $?"; out

### listens where GatewayPorts allows it
for where in "" "localhost:" "127.0.0.1:" "*:" "0.0.0.0:" "127.0.0.2:"; do
  /usr/bin/ssh -F $CFG -N -R "$where$L1:127.0.0.1:1" -o ExitOnForwardFailure=yes dev 2>/dev/null & p=$!
  until_true sh -c "ss -Hltn 'sport = :$L1' | grep -q . || ! kill -0 $p"
  echo "[$where] $(ss -Hltn "sport = :$L1" | awk '{print $4}' | sed s/$L1/N/ | sort | tr '\n' ' ')"
  stop $p
  until_true not_listening $L1
done
