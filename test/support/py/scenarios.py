"""What the helper must do, driven over a real PTY. `scenarios.py FILE NAME` runs one scenario with the
programs of FILE (JSON: secret, start, attach, grace) and prints its findings as JSON; the TypeScript
tests assert them."""
import base64
import ctypes
import hashlib
import json
import os
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
import zlib

from peer import CLOSE, CREDIT, DATA, EOF, OPEN, PROGRAM, RESIZE, SIGNAL, STOP, Peer, Stream, Terminal, pack

SIZE = {'term': 'vt220', 'cols': 91, 'rows': 33, 'x': 910, 'y': 660, 'modes': []}


class Session(object):
    """A helper that was started, and its end."""

    def __init__(self, programs, env=None, **options):
        self.programs, self.env = programs, env
        self.peer = Peer(programs['secret'], **options)
        self.terminal = Terminal(programs['start'], env=env)
        self.peer.attach(self.terminal)
        self.peer.until(lambda: self.peer.info, 15)
        self.daemon = self.peer.info['pid']

    def reattach(self):
        self.terminal.kill()
        self.terminal = Terminal(self.programs['attach'], env=self.env)
        self.peer.attach(self.terminal)

    def end(self):
        self.peer.loss_up = self.peer.loss_down = 0
        for _ in range(3):
            self.peer.outq += self.peer.packet(b'\3over')
            deadline = time.monotonic() + 3
            while time.monotonic() < deadline and not self.peer.bye:
                self.peer.step()
            if self.peer.bye:
                break
        gone = wait(lambda: not alive(self.daemon), 5)
        self.terminal.kill()
        return gone


def wait(what, seconds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if what():
            return True
        time.sleep(.02)
    return bool(what())


def alive(pid):
    try:
        with open('/proc/%d/stat' % pid) as f:
            return f.read().rpartition(')')[2].split()[0] not in 'ZX'
    except IOError:
        return False


def text(value):
    return bytes(value).decode('latin-1')


def sha(data):
    return hashlib.sha256(bytes(data)).hexdigest()


def statuses(s):
    found = {}
    for cmd in ('exit 0', 'exit 1', 'exit 37', 'exit 255', 'kill -TERM $$', 'kill -KILL $$', 'kill -35 $$', 'no-such-command-at-all'):
        one = s.peer.run(cmd)
        found[cmd] = {'exit': one.exit, 'events': [e for e in one.events if e not in ('DATA', 'ERR')]}
    return found


def streams(s):
    every = bytes(range(256)) * 64
    one = s.peer.run('cat; cat >&2 <<E\nerr\nE', every)
    odd = b"printf %s '" + bytes(b for b in range(1, 256) if b not in (0x27,)) + b"'"
    two = s.peer.run(odd)
    three = s.peer.run('head -c 3000000 /dev/zero; head -c 3000000 /dev/zero | tr "\\0" e >&2')
    four = s.peer.run('exec <&-; sleep .2; echo still', os.urandom(3 << 20))
    five = s.peer.run('(sleep .3; echo late) & echo early')
    return {'echoed': bytes(one.out) == every, 'err': text(one.err), 'odd': bytes(two.out) == odd[11:-1],
            'out': sha(three.out), 'errs': sha(three.err), 'compressed': three.compressed > 0, 'events': three.events[-3:],
            'closedStdin': [text(four.out), four.exit], 'background': text(five.out)}


def bulk(s):
    s.peer.loss_up = s.peer.loss_down = .02
    data = os.urandom(20 << 20)
    one = s.peer.run('cat', data, 90)
    return {'equal': sha(one.out) == sha(data), 'exit': one.exit, 'bad': s.peer.counts['bad'] > 0}


def environment(s):
    one = s.peer.run('env; echo "#"; pwd; umask; ulimit -c; grep -E "Sig(Blk|Ign)" /proc/self/status; ls -l /proc/self/fd | wc -l; ps -o pgid= -p $$; echo $$',
                     env={'LC_TEST': 'grün', 'LANG': 'C'})
    env, rest = text(one.out).split('#\n')
    env = dict(line.split('=', 1) for line in env.splitlines() if '=' in line)
    return {'env': env, 'rest': rest.splitlines(), 'shell': s.peer.info['shell'], 'home': s.peer.info['home']}


def terminal(s):
    p = s.peer
    modes = [[1, 7], [3, 8], [53, 0], [72, 1], [42, 1], [30, 1], [18, 255], [128, 9600], [129, 9600], [99, 1]]
    one = p.run('tty; stty size; echo $TERM; test "$(tty)" = "$SSH_TTY" && echo same; stty -a', pty=dict(SIZE, modes=modes))
    n = p.open('exec', cmd='trap "stty size" WINCH; echo ready; while :; do sleep .05; done', pty=SIZE, env={})
    live = p.streams[n]
    p.until(lambda: b'ready' in live.out)
    p.send(RESIZE, n, struct.pack('>4H', 120, 50, 0, 0))
    p.until(lambda: b'50 120' in live.out)
    p.feed(n, b'', True)
    for _ in range(6):
        p.step()
    after_eof = 'EXIT' not in live.events
    p.send(DATA, n, b'\x03')
    interrupted = p.finish(n)
    n = p.open('exec', cmd=None, pty=SIZE, env={'PS1': ''})
    p.feed(n, b'echo "<$0>"; exit 3\n')
    shell = p.finish(n)
    # The tail of the output must come although the leader is gone and a child holds the terminal.
    tail = p.run('sleep 30 & head -c 200000 /dev/zero | tr "\\0" x; printf END', pty=dict(SIZE, modes=[[70, 0]]))
    return {'first': text(one.out).split('\r\n'), 'afterEof': after_eof, 'interrupted': interrupted.exit,
            'shell': text(shell.out), 'shellExit': shell.exit, 'tail': [len(tail.out), text(tail.out[-3:])], 'tailExit': tail.exit}


def signals(s):
    p, found = s.peer, {}
    for name in ('TERM', 'HUP', 'USR1', 'KILL'):
        n = p.open('exec', cmd='sleep 61 & echo $!; sleep 62', pty=None, env={})
        p.until(lambda: p.streams[n].out.endswith(b'\n'))
        p.send(SIGNAL, n, name.encode())
        one = p.finish(n)
        found[name] = [one.exit, not wait(lambda: not alive(int(one.out)), 5)]
    for pty in (None, SIZE):
        n = p.open('exec', cmd='sleep 63 & echo $!; exec sleep 64', pty=pty, env={})
        p.until(lambda: p.streams[n].out.endswith(b'\n'))
        p.send(CLOSE, n)
        p.finish(n)
        pid = int(p.streams[n].out)
        found['closed' + ('Pty' if pty else '')] = wait(lambda: not alive(pid), 5)
    # What a command left behind holds its output, so the channel is open still.
    n = p.open('exec', cmd='sleep 66 & echo $!', pty=None, env={})
    p.until(lambda: p.streams[n].out.endswith(b'\n'))
    pid = int(p.streams[n].out)
    wait(lambda: not alive(os.getpgid(pid)), 5)
    found['leftAlive'] = alive(pid)
    p.send(CLOSE, n)
    p.finish(n)
    found['left'] = wait(lambda: not alive(pid), 5)
    # A hang-up that comes before the child has become a program.
    n = p.open('exec', cmd='exec sleep 65', pty=None, env={})
    p.send(CLOSE, n)
    p.finish(n)
    found['early'] = p.run('sleep .2; pgrep -x -f "sleep 65" || echo none').out.decode().strip()
    n = p.open('exec', cmd='yes', pty=None, env={})
    p.until(lambda: p.streams[n].count > 100000)
    p.send(STOP, n)
    found['stopped'] = p.finish(n).exit
    return found


def reattach(s):
    p = s.peer
    p.loss_up = p.loss_down = .005
    data = os.urandom(12 << 20)
    n = p.open('exec', cmd='tee /dev/stderr', pty=None, env={})
    p.feed(n, data, True)
    one = p.streams[n]
    for part in range(1, 5):
        p.until(lambda: one.count >= part * len(data) // 5, 60)
        s.reattach()
    p.finish(n, 90)
    fronts = [pid for pid in os.listdir('/proc') if pid.isdigit() and int(pid) == s.daemon]
    return {'out': sha(one.out) == sha(data), 'err': sha(one.err) == sha(data), 'exit': one.exit, 'daemon': len(fronts)}


def detached(s):
    """Commands run on, with and without output, while no front is there."""
    p = s.peer
    n = p.open('exec', cmd='sleep .5; head -c 5000000 /dev/zero; echo done >&2; exit 9', pty=None, env={})
    p.until(lambda: 'OPENED' in p.streams[n].events)
    s.terminal.kill()
    time.sleep(1)
    s.terminal = Terminal(s.programs['attach'])
    p.attach(s.terminal)
    one = p.finish(n)
    return {'out': len(one.out), 'err': text(one.err), 'exit': one.exit}


def grace(s):
    p = s.peer
    n = p.open('exec', cmd='echo $$; sleep 66; exit 1', pty=None, env={})
    p.until(lambda: p.streams[n].out.endswith(b'\n'))
    agent = p.open('listen-agent')
    p.until(lambda: 'OPENED' in p.streams[agent].events)
    pids = [s.daemon, int(p.streams[n].out)]
    path = p.streams[agent].answer['path']
    there = os.path.exists(path)
    s.terminal.kill()
    time.sleep(.2)
    still = [alive(pid) for pid in pids]
    gone = wait(lambda: not any(alive(pid) for pid in pids), 15)
    back = Terminal(s.programs['attach'])
    deadline = time.monotonic() + 5
    os.set_blocking(back.fd, True)
    os.write(back.fd, back.program)
    seen = b''
    while not seen.endswith(b'@\n') and time.monotonic() < deadline:
        seen += os.read(back.fd, 100)
    back.kill()
    name = 'iotda-ssh-' + hashlib.sha256(bytes.fromhex(s.programs['secret']) + b'name').hexdigest()[:32]
    files = [d for d in ('/tmp', '/var/tmp', os.path.expanduser('~')) if os.path.exists(d + '/.' + name)]
    return {'there': there, 'still': still, 'gone': gone, 'socket': os.path.exists(os.path.dirname(path)), 'files': files, 'answer': text(seen.strip())}


def serve(family, address, talk):
    server = socket.socket(family)
    server.bind(address)
    server.listen(5)

    def run():
        while True:
            try:
                c, _ = server.accept()
            except OSError:
                return
            try:
                talk(c)
            except OSError:
                pass
            c.close()

    thread = threading.Thread(target=run)
    thread.daemon = True
    thread.start()
    return server


def stop(server):
    # close() alone does not wake the thread in accept().
    server.shutdown(socket.SHUT_RDWR)
    server.close()


def upper(c):
    data = b''
    while True:
        more = c.recv(65536)
        if not more:
            break
        data += more
    c.sendall(data.upper())


def sockets(s):
    p, found = s.peer, {}
    server = serve(socket.AF_INET, ('127.0.0.1', 0), upper)
    port = server.getsockname()[1]
    data = b'abc' * 500000
    for host in ('127.0.0.1', 'localhost'):
        n = p.open('tcp', host=host, port=port)
        p.feed(n, data, True)
        one = p.finish(n)
        found[host] = [bytes(one.out) == data.upper(), [e for e in one.events if e != 'DATA'], one.fault]
    stop(server)
    for name, fields in (('closed', dict(host='127.0.0.1', port=port)), ('unknown', dict(host='no..such..host', port=1))):
        found[name] = p.finish(p.open('tcp', **fields)).refused
    folder = tempfile.mkdtemp(prefix='pyhelper-')
    server = serve(socket.AF_UNIX, folder + '/s', upper)
    n = p.open('unix', path=folder + '/s')
    p.feed(n, b'unix', True)
    found['unix'] = text(p.finish(n).out)
    stop(server)
    found['noUnix'] = p.finish(p.open('unix', path=folder + '/none')).refused
    found['longUnix'] = p.finish(p.open('unix', path=folder + '/' + 200 * 'x')).refused

    def reset(c):
        c.recv(1)
        c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))

    server = serve(socket.AF_INET, ('127.0.0.1', 0), reset)
    n = p.open('tcp', host='127.0.0.1', port=server.getsockname()[1])
    p.feed(n, b'x')
    found['reset'] = p.finish(n).fault
    stop(server)
    os.unlink(folder + '/s')
    os.rmdir(folder)
    return found


def listeners(s):
    p, found = s.peer, {}
    folder = tempfile.mkdtemp(prefix='pyhelper-')
    for name, kind, fields in (('all', 'listen', dict(host='', port=0)), ('localhost', 'listen', dict(host='localhost', port=0)),
                               ('literal', 'listen', dict(host='127.0.0.1', port=0)), ('unix', 'listen-unix', dict(path=folder + '/l')), ('agent', 'listen-agent', {})):
        n = p.open(kind, **fields)
        p.until(lambda: p.streams[n].events)
        answer = p.streams[n].answer
        if answer is None:
            found[name] = p.streams[n].refused
            continue
        if 'port' in answer:
            c = socket.create_connection(('127.0.0.1', answer['port']))
        else:
            mode = os.stat(answer['path']).st_mode & 0o777, os.stat(os.path.dirname(answer['path'])).st_mode & 0o777
            c = socket.socket(socket.AF_UNIX)
            c.connect(answer['path'])
        c.sendall(b'hello')
        p.until(lambda: p.accepted.get(n))
        channel = p.accepted[n][0]
        incoming = p.streams[channel]
        p.until(lambda: bytes(incoming.out) == b'hello')
        p.feed(channel, b'world', True)
        p.until(lambda: not incoming.ending)
        c.shutdown(socket.SHUT_WR)
        c.settimeout(5)
        done = threading.Event()
        got = []

        def read():
            got.append(b''.join(iter(lambda: c.recv(100), b'')))
            done.set()

        threading.Thread(target=read).start()
        p.finish(channel)
        done.wait(5)
        c.close()
        found[name] = {'got': text(got[0]), 'high': channel >> 31, 'peer': incoming.answer['host']}
        if name == 'agent':
            found['auth'] = text(p.run('test -S "$SSH_AUTH_SOCK" && echo "$SSH_AUTH_SOCK"', agent=n).out).strip() == answer['path']
            found['modes'] = ['%o' % m for m in mode]
        if name == 'literal':
            found['busy'] = p.finish(p.open('listen', host='127.0.0.1', port=answer['port'])).refused
        p.send(CLOSE, n)
        p.finish(n)
        if 'path' in answer:
            found[name]['left'] = os.path.exists(answer['path'])
    os.rmdir(folder)
    return found


def sftp(s):
    p = s.peer
    init = struct.pack('>IBI', 5, 1, 3)

    def version(**fields):
        n = p.open('sftp', **fields)
        p.feed(n, init)
        p.until(lambda: len(p.streams[n].out) >= 9 or p.streams[n].refused)
        p.feed(n, b'', True)
        one = p.finish(n)
        return [one.refused or struct.unpack('>IBI', bytes(one.out[:9]))[1:], one.exit]

    found = {'binary': version(), 'absent': version(builtin=True)}
    fake = 'import os\ndef sftp_main(r, w):\n  assert os.read(r, 9)\n  os.write(w, b"\\0\\0\\0\\5\\2\\0\\0\\0\\3")\n  os.read(r, 1)\n'
    p.send(PROGRAM, 0, json.dumps({'name': 'sftp', 'text': pack(fake)}).encode())
    found['builtin'] = version(builtin=True)
    found['unknown'] = p.finish(p.open('teapot')).refused
    return found


def credit(s):
    """A channel that nobody reads stops at its credit and holds nobody else up."""
    p = s.peer
    n = p.open('exec', cmd='yes', pty=None, env={})
    idle = p.streams[n]
    idle.auto = False
    p.until(lambda: idle.count >= 1048576)
    m = p.open('exec', cmd='sleep 67', pty=None, env={})
    stuck = p.streams[m]
    p.feed(m, b'x' * (3 << 20))
    other = p.run('head -c 4000000 /dev/zero; echo ok >&2')
    rss = int(next(l for l in open('/proc/%d/status' % s.daemon) if l.startswith('VmRSS')).split()[1])
    sent = (3 << 20) - len(stuck.queue)
    p.send(CREDIT, n, struct.pack('>I', 1000))
    p.until(lambda: idle.count >= 1049576)
    p.send(CLOSE, n)
    p.send(CLOSE, m)
    p.finish(n)
    p.finish(m)
    return {'idle': idle.count, 'other': [len(other.out), text(other.err)], 'rssMb': rss // 1024, 'taken': sent}


def many(s):
    p = s.peer
    ns = [p.open('exec', cmd='echo %d; cat; exit %d' % (i, i % 256), pty=None, env={}) for i in range(60)]
    for i, n in enumerate(ns):
        p.feed(n, b'%d' % i * 1000, True)
    good = 0
    for i, n in enumerate(ns):
        one = p.finish(n)
        good += bytes(one.out) == b'%d\n' % i + b'%d' % i * 1000 and one.exit == {'status': i % 256}
    return {'good': good, 'fds': len(os.listdir('/proc/%d/fd' % s.daemon))}


def intruders(s):
    """Other users, and this user without the secret, do not become the front."""
    name = '\0iotda-ssh-' + hashlib.sha256(bytes.fromhex(s.programs['secret']) + b'name').hexdigest()[:32]
    proof = hashlib.sha256(bytes.fromhex(s.programs['secret']) + b'front').digest()

    def attempt(proof, uid):
        r, w = os.pipe()
        pid = os.fork()
        if not pid:
            try:
                if uid:
                    os.setuid(uid)
                c = socket.socket(socket.AF_UNIX)
                c.connect(name)
                c.settimeout(3)
                try:
                    c.sendall(proof)
                    answer = c.recv(1)
                except socket.timeout:
                    answer = b'timeout'
                except OSError:
                    answer = b''
                os.write(w, answer or b'closed')
            finally:
                os._exit(0)
        os.close(w)
        answer = b''
        while not answer:
            s.peer.step()
            import select
            if select.select([r], [], [], 0)[0]:
                answer = os.read(r, 100) or b'nothing'
        os.waitpid(pid, 0)
        os.close(r)
        return text(answer)

    found = {'wrong': attempt(b'w' * 32, 0)}
    if os.getuid() == 0:
        found['stranger'] = attempt(proof, 65534)
    crowd = []
    for _ in range(20):
        c = socket.socket(socket.AF_UNIX)
        c.connect(name)
        crowd.append(c)
    found['works'] = s.peer.run('exit 4').exit
    for c in crowd:
        c.close()
    return found


def twice(s):
    """The start program typed once more becomes a front of the same daemon."""
    first = s.daemon
    s.terminal.kill()
    s.terminal = Terminal(s.programs['start'])
    s.peer.attach(s.terminal)
    one = s.peer.run('ps -o ppid= -p $$')
    return {'same': int(one.out) == first}


def paths(s):
    """Where abstract names do not work, the rendezvous is a folder of ours alone, removed at the end."""
    name = '.iotda-ssh-' + hashlib.sha256(bytes.fromhex(s.programs['secret']) + b'name').hexdigest()[:32]
    folder = '/tmp/' + name
    mode = '%o' % (os.stat(folder).st_mode & 0o777)
    s.reattach()
    one = s.peer.run('exit 5')
    s.ended = lambda: os.path.exists(folder)
    return {'mode': mode, 'exit': one.exit, 'folder': folder}


def without_abstract(programs):
    for part in ('start', 'attach'):
        source = zlib.decompress(base64.b64decode(programs[part])).decode()
        assert source.count("yield '\\0'+name") == 1
        programs[part] = pack(source.replace("yield '\\0'+name", 'pass'))


NO_IPV6 = '''
import socket, errno
class Socket(socket.socket):
    def __init__(self, family=socket.AF_INET, *more, **named):
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, 'Address family not supported by protocol')
        super().__init__(family, *more, **named)
socket.socket = Socket
'''


def without_ipv6(programs):
    programs['start'] = pack(NO_IPV6 + zlib.decompress(base64.b64decode(programs['start'])).decode())


def ipv4(s):
    """Listeners on a system that has no sockets of IPv6."""
    found = {}
    for host in ('localhost', '', '::1'):
        n = s.peer.open('listen', host=host, port=0)
        s.peer.until(lambda: s.peer.streams[n].events)
        one = s.peer.streams[n]
        found[host] = one.refused or one.answer['port'] > 0
    return found


def files(s):
    """Descriptors run out: new channels are refused, running ones live, and a front can still come."""
    p = s.peer
    limit = int(p.run('ulimit -Sn').out)
    p.until(lambda: True)
    ns = [p.open('exec', cmd='echo $$; read x', pty=None, env={}) for _ in range(80)]
    p.until(lambda: all(p.streams[n].refused or p.streams[n].out for n in ns))
    refused = [n for n in ns if p.streams[n].refused]
    running = [n for n in ns if n not in refused]
    s.reattach()
    for n in running:
        p.feed(n, b'', True)
    statuses = [p.finish(n).exit['status'] for n in running]
    return {'limit': limit, 'refused': len(refused) > 0, 'running': len(running) > 20, 'statuses': sorted(set(statuses)),
            'reason': p.streams[refused[0]].refused if refused else None, 'after': p.run('exit 6').exit}


def malformed(s):
    """Messages that break the contract end their channel at most, never the helper."""
    p, found = s.peer, {}
    for name, payload in (('json', b'{'), ('list', b'[]'), ('utf8', b'\xff'), ('empty', b'{}'), ('cmd', b'{"kind":"exec","cmd":7,"env":{},"pty":null}'),
                          ('pty', b'{"kind":"exec","cmd":"x","env":{},"pty":{"term":1}}'), ('env', b'{"kind":"exec","cmd":"x","env":[1]}')):
        n = p.open('x')
        p.out.pop()
        p.end = p.out[-1][0] + len(p.out[-1][1]) if p.out else p.una
        p.send(1, n, payload)
        found[name] = p.finish(n).refused['code']
    size = dict(SIZE, cols=1 << 31)
    found['size'] = text(p.run('stty size', pty=size).out).strip()
    for name, kind, payload in (('zdata', 13, b'not zlib'), ('bomb', 13, zlib.compress(bytes(70000))), ('credit', CREDIT, b'x'), ('flood', DATA, None)):
        n = p.open('exec', cmd='exec sleep 68', pty=None, env={})
        if payload is None:
            for _ in range(6):
                p.send(DATA, n, bytes(65536))
        else:
            p.send(kind, n, payload)
        found[name] = bool(p.finish(n).fault)
    n = p.open('exec', cmd='cat', pty=None, env={})
    for kind, payload in ((SIGNAL, b'NOPE'), (RESIZE, b'\0'), (13, zlib.compress(b'inflated')), (2, b'?'), (99, b'?'), (EOF, b''), (EOF, b'')):
        p.send(kind, n, payload)
        p.send(kind, 4242, payload)
    found['survives'] = text(p.finish(n).out)
    return found


def farewell(s):
    """The last words arrive although output floods and input goes on."""
    p = s.peer
    n = p.open('exec', cmd='echo $$; exec cat /dev/urandom', pty=None, env={})
    p.until(lambda: p.streams[n].count > 5000000)
    pid = int(bytes(p.streams[n].out).split(b'\n')[0])
    p.outq += p.packet(b'\3so long')
    p.until(lambda: p.bye)
    return {'bye': p.bye, 'child': wait(lambda: not alive(pid), 5), 'daemon': wait(lambda: not alive(s.daemon), 5)}


def reused(s):
    """A busy channel is closed and its descriptors are taken by a connection that is not there yet, all in one turn."""
    full = socket.socket()
    full.bind(('127.0.0.1', 0))
    full.listen(0)
    port = full.getsockname()[1]
    waiting = []
    # As many as its queue takes; whoever comes then waits for an answer.
    for _ in range(4):
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex(('127.0.0.1', port))
        waiting.append(one)
    time.sleep(.2)
    def flood(c):
        try:
            while 1:
                c.sendall(bytes(65536))
        except OSError:
            pass
    busy_server = serve(socket.AF_INET, ('127.0.0.1', 0), flood)
    early = 0
    for _ in range(20):
        busy = s.peer.open('tcp', host='127.0.0.1', port=busy_server.getsockname()[1])
        s.peer.streams[busy].keep = False
        s.peer.until(lambda: s.peer.streams[busy].count > 100000)
        number = s.peer.next_channel
        s.peer.next_channel += 1
        s.peer.streams[number] = Stream()
        o = json.dumps({'kind': 'tcp', 'host': '127.0.0.1', 'port': port}).encode()
        s.peer.write(struct.pack('>II', CLOSE << 24, busy) + struct.pack('>II', OPEN << 24 | len(o), number) + o)
        s.peer.finish(busy)
        for _ in range(4):
            s.peer.step()
        early += 'OPENED' in s.peer.streams[number].events
        s.peer.send(CLOSE, number)
        s.peer.finish(number)
    stop(busy_server)
    return {'early': early}


def broken(s):
    """A peer answers and goes without having read all: what it said arrives, though writing to it fails meanwhile."""
    found = {}
    more = 40000
    folder = tempfile.mkdtemp(prefix='pyhelper-')
    for kind, family, address in ('tcp', socket.AF_INET, ('127.0.0.1', 0)), ('unix', socket.AF_UNIX, folder + '/s'):
        go = threading.Event()

        def hasty(c):
            c.recv(1)
            c.sendall(bytes(1048576 + more))
            go.wait(10)
            # Long enough for all to be at the other end.
            time.sleep(.3)

        server = serve(family, address, hasty)
        n = s.peer.open(kind, **(dict(host='127.0.0.1', port=server.getsockname()[1]) if kind == 'tcp' else dict(path=address)))
        one = s.peer.streams[n]
        one.auto = False
        s.peer.feed(n, b'x' * 50000)
        # All of our credit: the rest waits in the socket.
        s.peer.until(lambda: one.count == 1048576)
        go.set()
        time.sleep(.6)
        for _ in range(5):
            s.peer.feed(n, b'x' * 1000)
            for _ in range(3):
                s.peer.step()
        s.peer.send(CREDIT, n, struct.pack('>I', 1000000))
        s.peer.finish(n)
        found[kind] = one.count - 1048576
        stop(server)
    os.unlink(folder + '/s')
    os.rmdir(folder)
    return found


def noise(s):
    """Foreign text around, between and inside packets costs packets, not bytes."""
    p = s.peer
    put = p.put

    def noisy(packet):
        put(p.random.choice([b'', b'\r\nBroadcast message: hi;\r\n', b':', b';', b'\xff\xfe', b':AAAA;', b'x' * 20000]) + packet)

    p.put = noisy
    data = os.urandom(500000)
    one = p.run('cat', data)
    return {'equal': sha(one.out) == sha(data)}


def main():
    with open(sys.argv[1]) as f:
        programs = json.load(f)
    libc = ctypes.CDLL(None)
    libc.prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: orphans of the helper are reaped here
    env = None
    if sys.argv[2] == 'paths':
        without_abstract(programs)
        env = {'XDG_RUNTIME_DIR': ''}
    if sys.argv[2] == 'ipv4':
        without_ipv6(programs)
    if sys.argv[2] == 'files':
        import resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (150, 200))
    session = Session(programs, env=env)
    session.ended = lambda: False
    try:
        found = globals()[sys.argv[2]](session)
    finally:
        clean = session.end() if alive(session.daemon) else True
        if not clean:
            os.kill(session.daemon, signal.SIGKILL)
    print(json.dumps({'found': found, 'clean': clean and not session.ended()}))


if __name__ == '__main__':
    main()
