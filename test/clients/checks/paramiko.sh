# paramiko: commands, shell, files, forwarding.
py() {
  cat >.x.py
  /usr/bin/python3 -W ignore - <<X
import paramiko, os, sys, socket, hashlib, threading, time
env = os.environ
def connect(**more):
    c = paramiko.SSHClient()
    c.load_host_keys(env['KNOWN_HOSTS'])
    o = dict(port=int(env['PORT']), username=env['U'], password=env['SSHPASS'], look_for_keys=False, allow_agent=False, timeout=20)
    o.update(more)
    c.connect('127.0.0.1', **o)
    return c
R = env['R']
exec(open('.x.py').read())
X
}
export R

### runs commands with status, streams and input
# prints: ^7 b'out\\n' b'err\\n'
py <<'X'
c = connect()
i, o, e = c.exec_command('echo out; echo err >&2; exit 7')
print(o.channel.recv_exit_status(), o.read(), e.read())
i, o, e = c.exec_command('cat; exit 3')
data = bytes(range(256)) * 4000
threading.Thread(target=lambda: (i.write(data), i.channel.shutdown_write())).start()
print(o.read() == data, o.channel.recv_exit_status())
i, o, e = c.exec_command('kill -9 $$')
print(o.channel.recv_exit_status())
i, o, e = c.exec_command('/nowhere')
print(o.channel.recv_exit_status(), e.read())
i, o, e = c.exec_command('echo $LC_X', environment={'LC_X': '中文'})
print(o.read())
X

### logs in by key, by keyboard-interactive where there is one, and not with a wrong password
# prints: key
py <<'X'
c = connect(password=None, key_filename=env['KEY'])
print('key', c.get_transport().is_authenticated())
for wrong in dict(password='wrong'), dict(username='no' + env['U'][-3:], password='x'):
    if 'username' in wrong and env['SIDE'] == 'bridge': wrong = dict(password='wrong again')
    try:
        connect(**wrong)
        print('in')
    except paramiko.AuthenticationException as e:
        print('refused')
c.close()
X

### moves files: put, get, prefetch, stat, rename, odd names, errors
# prints: ^True
# seconds: 90
py <<'X'
c = connect()
s = c.open_sftp()
data = bytes(range(256)) * 20_000
open('a', 'wb').write(data)
s.put('a', R + '/a')
s.get(R + '/a', 'b')
print(open('b', 'rb').read() == data, s.stat(R + '/a').st_size)
for name in "it's 中文 [x]", ' lead', '-dash', 'new\nline':
    with s.open(R + '/' + name, 'w') as f: f.write('x')
print(sorted(s.listdir(R)))
s.rename(R + '/a', R + '/c'); s.chmod(R + '/c', 0o640); s.truncate(R + '/c', 10); s.utime(R + '/c', (1e9, 1e9))
a = s.stat(R + '/c'); print(oct(a.st_mode), a.st_size, a.st_mtime)
s.symlink('c', R + '/l'); print(s.readlink(R + '/l'), s.normalize(R + '/../' + os.path.basename(R)) == R)
for what in lambda: s.stat(R + '/none'), lambda: s.open('/etc/shadow'), lambda: s.mkdir('/etc/none'), lambda: s.rmdir(R + '/c'), lambda: s.remove(R + '/none'):
    try: what(); print('worked')
    except OSError as e: print(type(e).__name__, e.errno)
os.unlink('a'); os.unlink('b')
X

### opens a shell with a terminal and resizes it
# prints: 40 100
py <<'X'
c = connect()
ch = c.invoke_shell(term='vt220', width=90, height=30)
def until(text):
    got = b''
    while text not in got: got += ch.recv(1000)
    return got
ch.send('PS1=; stty -echo; echo re""ady $TERM\n'); until(b'ready vt220')
ch.resize_pty(100, 40)
ch.send('stty size\n'); until(b'40 100'); print('40 100')
ch.send('exit 5\n'); print(ch.recv_exit_status())
X

### forwards a port both ways (direct-tcpip, tcpip-forward)
# prints: ^b'hello'
echo_server
py <<X
c = connect()
t = c.get_transport()
ch = t.open_channel('direct-tcpip', ('127.0.0.1', $SERVER), ('127.0.0.1', 1))
ch.sendall(b'hello'); print(ch.recv(5)); ch.shutdown_write(); print(ch.recv(1)); ch.close()
try: t.open_channel('direct-tcpip', ('127.0.0.1', 1), ('127.0.0.1', 1))
except paramiko.ChannelException as e: print(e)
port = t.request_port_forward('127.0.0.1', 0)
s = socket.create_connection(('127.0.0.1', port))
ch = t.accept(10); ch.sendall(b'from afar'); print(s.recv(9)); ch.close(); print(s.recv(1))
t.cancel_port_forward('127.0.0.1', port)
X

### carries a large file and thirty commands at once on one connection
# prints: ^True
# seconds: 90
random $LARGE_MB >.a
py <<'X'
c = connect()
data = open('.a', 'rb').read()
i, o, e = c.exec_command('sha256sum')
i.write(data); i.channel.shutdown_write()
print(o.read().split()[0].decode() == hashlib.sha256(data).hexdigest())
got = [None] * 30
def one(n):
    # A command that ends before paramiko has looked at the answer to exec is "Channel closed" to it.
    i, o, e = c.exec_command('cat; echo %d; exit %d' % (n, n)); i.channel.shutdown_write(); got[n] = (o.read(), o.channel.recv_exit_status())
ts = [threading.Thread(target=one, args=(n,)) for n in range(30)]
for t in ts: t.start()
for t in ts: t.join()
print(got == [(b'%d\n' % n, n) for n in range(30)])
X

### is cut in the middle of a command and of a transfer, and the next one works
# prints: ^gone\nclosed\n0 b'again\\n'\nnothing left\nonly x
before
py <<'X' 2>/dev/null & p=$!
c = connect()
i, o, e = c.exec_command('echo >%s/.up; cat; true %s' % (R, R))
s = c.open_sftp()
f = s.open(R + '/.big', 'w'); f.set_pipelined(True)
while 1: f.write(b'x' * 30000)
X
until_true test -s $R/.big -a -s $R/.up
pkill -9 -P $p
{ wait $p; } 2>/dev/null
until_true sh -c "! pgrep -u $U -f '[c]at; true $R'" && echo gone
closed $R/.big
py <<'X'
c = connect()
i, o, e = c.exec_command('echo again')
print(o.channel.recv_exit_status(), o.read())
X
nothing_left
[ -z "$(tr -d x <$R/.big)" ] && echo only x
