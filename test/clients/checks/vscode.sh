# What Remote-SSH does: a long-lived bash fed with a script on standard input, which starts a server on
# the device; -D or -L to that server; many more channels beside, all on one connection.

### installs and starts a server by a script on standard input, and reaches it (-D, -T, bash)
# prints: ^ready\nhello from the server
mkfifo tmp-in
/usr/bin/ssh -F $CFG -T -D $L1 -o ConnectTimeout=15 dev bash <tmp-in >tmp-out 2>tmp-err & p=$!; keep $p
exec 3>tmp-in
cat >&3 <<X
cd $R || exit 1
cat >.server.py <<'PY'
import http.server
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b'hello from the server\n' if self.path == '/' else b'z' * 5000000)
    def do_POST(self):
        n = int(self.headers['content-length']); self.send_response(200); self.end_headers()
        self.wfile.write(b'%d\n' % len(self.rfile.read(n)))
    def log_message(self, *a): pass
s = http.server.ThreadingHTTPServer(('127.0.0.1', 0), H)
print('listening on', s.server_port, flush=True)
s.serve_forever()
PY
setsid python3 .server.py >.log 2>&1 </dev/null &
echo \$! >.pid
while ! grep -q listening .log; do sleep 0.05; done
echo "%%port=\$(grep -o '[0-9]*' .log)%%"
X
until_true grep -q '%%port=' tmp-out && echo ready
port=$(sed -n 's/.*%%port=\([0-9]*\)%%.*/\1/p' tmp-out)
keep $(cat $R/.pid)
curl -sS --max-time 20 --socks5-hostname 127.0.0.1:$L1 http://127.0.0.1:$port/
for i in $(seq 8); do curl -sS --max-time 40 --socks5-hostname 127.0.0.1:$L1 http://127.0.0.1:$port/big | wc -c >.n$i & q+=($!); done
random 4 >tmp-up
curl -sS --max-time 40 --socks5-hostname 127.0.0.1:$L1 --data-binary @tmp-up http://127.0.0.1:$port/
echo 'echo still the same shell $((6 * 7))' >&3
until_true grep -q 'shell 42' tmp-out && echo shell alive
wait ${q[*]}
cat .n* | sort -u
exec 3>&-
wait $p; echo $?
curl -s --max-time 5 http://127.0.0.1:$port/ && echo server outlives the connection

### opens many channels at once on one connection: commands, copies, forwards, a terminal
# prints: ^hello
# seconds: 90
server
master
ssh -S ctl -O forward -L $L1:127.0.0.1:$SERVER dev
random 2 >a
for i in $(seq 6); do
  ssh -S ctl dev "cat >/dev/null; echo $i" <a >.c$i & q+=($!)
  scp -q -o ControlPath=ctl a dev:$R/a$i & q+=($!)
  curl_to $L1 /random 2>&1 | cmp - .served/random >.d$i 2>&1 & q+=($!)
done
ssh -S ctl -tt dev 'echo hello from a terminal' </dev/null | tr -d '\r'
wait ${q[*]}
cat .c? .d?
ssh -S ctl -O exit dev 2>/dev/null

### runs a hundred commands one after the other on one connection
# prints: ^100 0
master
for i in $(seq 100); do ssh -S ctl dev "echo $i; exit $((i % 3))" >>.o; [ $? = $((i % 3)) ] || echo bad $i; done
echo "$(sort -n .o | uniq | wc -l) $?"
ssh -S ctl -O exit dev 2>/dev/null

### finds out about the device as its install script does
# prints: Linux
ssh -T dev bash <<'X'
uname -s; uname -m; echo "$HOME" | grep -c home; id -u | grep -c .; command -v bash; echo $SHELL; umask; cat /etc/os-release | head -1; [ -t 0 ] || echo no terminal; ulimit -n; locale 2>/dev/null | head -1; echo $BASH_VERSION | cut -d. -f1
X

### is cut in the middle: the shell ends, what was detached goes on
# prints: ^ended\ndetached lives
mkfifo tmp-in
/usr/bin/ssh -F $CFG -T dev bash <tmp-in >tmp-out 2>&1 & p=$!
exec 3>tmp-in
# Its own number, written when it is in its session: until then it hears of the shell's end as the shell does.
echo "setsid sh -c 'echo \$\$ >$R/.detached; exec sleep 60' >/dev/null 2>&1 </dev/null & echo \$\$ >$R/.shell" >&3
until_true test -s $R/.shell
until_true test -s $R/.detached
{ kill -9 $p; wait $p; } 2>/dev/null
until_true sh -c "! kill -0 $(cat $R/.shell)" && echo ended
kill -0 $(cat $R/.detached) && echo detached lives
kill $(cat $R/.detached)
