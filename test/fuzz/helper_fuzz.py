"""Fuzzes the programs that run on the device: `helper_fuzz.py FILE TARGET RUNS SECONDS SEED`, where FILE
is the helper's text (the SFTP server's for the target sftp). Guided by the lines that an input reached.
Prints a JSON report; an input that broke something is in it, in base64."""
import base64
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import socket
import struct
import sys
import tempfile
import time
import traceback
import zlib

SECRET = '5e' * 32
# Bytes of the longest mutant, and seconds that one input may take.
INPUT_MOST, SLOW = 16384, 20
# Address space of the process: memory without bound becomes a MemoryError.
MEMORY_MOST = 1 << 30


def digest(word):
    return hashlib.sha256(bytes.fromhex(SECRET) + word).digest()


def seal(head, payload=b'', direction=b'up'):
    """One packet of the bridge."""
    key = digest(direction)
    body = key[:4] + head + payload
    return b':' + base64.b64encode(body + struct.pack('>I', zlib.crc32(body, zlib.crc32(key[4:12])))) + b';'


def u48(n):
    return struct.pack('>HI', n >> 32 & 0xffff, n & 0xffffffff)


class Choices(object):
    """An input as a sequence of decisions."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def left(self):
        return len(self.data) - self.at

    def byte(self):
        self.at += 1
        return self.data[self.at - 1] if self.at <= len(self.data) else 0

    def number(self, width):
        kind = self.byte()
        size = 1 if kind < 160 else 2 if kind < 230 else width
        return int.from_bytes(bytes(self.byte() for _ in range(size)), 'big')

    def bytes(self, most):
        size = min(self.number(4), most, self.left())
        self.at += size
        return self.data[self.at - size:self.at]


class LinkTarget(object):
    """Any text and any packets, sealed with the right key, in any order and at any time."""
    seeds = [bytes(range(200)), b'\0\1\2\3' * 30, b'link packets']
    words = [b':', b';', seal(struct.pack('>BIB', 1, 1, 0) + u48(0), b'x'), seal(b'\2\0' + u48(0) + bytes(5))]

    def __init__(self, scope):
        self.scope = scope

    def run(self, data):
        choices, now, got = Choices(data), 0., bytearray()
        link = self.scope['Link'](self.scope['digest'], b'down', b'up', got.extend, lambda reason: None, now)
        link.attach(now)
        sent = 0
        while choices.left() > 0:
            now += choices.number(4) % 100000 / 1000.
            what = choices.byte() % 6
            if what == 0:
                link.feed(choices.bytes(3000), now)
            elif what == 1:
                head = struct.pack('>BIB', 1, choices.number(4), choices.byte()) + u48(choices.number(6))
                link.feed(seal(head, choices.bytes(2000) or b'?'), now)
            elif what == 2:
                ranges = [(choices.number(6), choices.number(6)) for _ in range(choices.byte() % 12)]
                head = b'\2' + bytes([choices.byte()]) + u48(choices.number(6)) + struct.pack('>IB', choices.number(4), len(ranges))
                link.feed(seal(head, b''.join(u48(a) + u48(b) for a, b in ranges)), now)
            elif what == 3:
                if len(link.out) < 1 << 20:
                    link.out += bytes(choices.number(4) % 50000)
            elif what == 4:
                text = link.pull(now, 65536)
                sent += len(text)
                # One answer may be asked for by time alone; apart from it a turn sends what it was given room for.
                assert len(text) < 65536 + 3 * 16384, 'sent %d characters in one turn' % len(text)
            else:
                link.attach(now)
            held = sum(len(piece) for _, piece in link.held)
            assert held <= 8388608, 'holds %d bytes' % held
            assert len(link.rest) <= 16384, 'keeps %d characters' % len(link.rest)
            assert link.flying >= 0 and link.una <= link.next <= link.una + len(link.out), 'lost count'
            due = link.due()
            assert due is None or due >= 0


def message(kind, number, payload=b''):
    return struct.pack('>II', kind << 24 | len(payload), number) + payload


JSONS = [b'{"kind":"exec","cmd":"x","env":{},"pty":null}', b'{"kind":"sftp"}', b'{"kind":"tcp","host":"h","port":1}', b'{"kind":"listen","host":"","port":0}',
         b'{"kind":"listen-agent"}', b'{"kind":"nope"}', b'{"kind":["exec"]}', b'{}', b'[]', b'7', b'{', b'{"name":"sftp","text":"!"}', b'\xff']


PROGRAM = 16


class LastWord(Exception):
    """The helper ends itself, by design: a program that is none, a length beyond the bound."""


class MuxTarget(object):
    """Any messages. Nothing is started and nothing connected: the kinds of channels are stand-ins."""
    seeds = [b''.join(message(1, n, JSONS[0]) + message(4, n, b'data') + message(6, n) for n in (1, 2)), b''.join(message(k, 1, JSONS[k % 13]) for k in range(18)), bytes(100)]
    words = [message(k, 1) for k in range(18)] + [message(1, n, text) for n, text in enumerate(JSONS)] + [message(13, 1, zlib.compress(bytes(70000))), message(13, 1, zlib.compress(b'x')), message(7, 1, b'\xff' * 4)]

    def __init__(self, scope):
        self.scope, self.base = scope, max(int(fd) for fd in os.listdir('/proc/self/fd')) + 8
        for kind in scope['KINDS']:
            scope['KINDS'][kind] = self.stand_in

    def stand_in(self, host, number, o):
        channel = self.scope['Channel'](host, number)
        a, b = os.pipe()
        for fd in a, b:
            os.set_blocking(fd, False)
        channel.owned, channel.writer, channel.readers = {a, b}, b, {a: 4}
        channel.opened()
        channel.arm()

    def run(self, data):
        listener = socket.socket(socket.AF_UNIX)
        try:
            host = self.scope['Host'](listener, (None, None))
            host.link.out.clear()
            deliver = host.message

            def message(kind, number, payload):
                try:
                    deliver(kind, number, payload)
                except Exception:
                    if kind == PROGRAM:
                        raise LastWord
                    raise

            host.message = message
            step = 1 + data[-1] if data else 1
            try:
                for at in range(0, len(data), step):
                    host.stream(data[at:at + step])
                    for fd, what in host.all.poll(0):
                        call = host.calls.get(fd)
                        if call and call != host.knock:
                            host.guard(getattr(call, '__self__', None), call, fd, what)
            except LastWord:
                pass
            except ValueError as e:
                if not str(e).startswith('message of'):
                    raise
            assert len(host.inbox) <= 1048576 + 8 + len(data), 'keeps %d bytes' % len(host.inbox)
            assert len(host.link.out) <= 65536 + 400 * len(data), 'answers %d bytes to %d' % (len(host.link.out), len(data))
            assert sum(len(c.queue) for c in host.channels.values()) <= len(data) * 1100, 'queues more than it was given'
        finally:
            listener.close()
            os.closerange(self.base - 7, self.base + 4096)


def request(kind, *parts):
    body = bytes([kind]) + b''.join(parts)
    return struct.pack('>I', len(body)) + body


def s(text):
    return struct.pack('>I', len(text)) + text


def i(*numbers):
    return struct.pack('>%dI' % len(numbers), *numbers)


NO_ATTRS = i(0)
SFTP_WORDS = [
    request(1, i(3)), request(3, i(1), s(b'/a'), i(0x1a), NO_ATTRS), request(3, i(1), s(b'/a'), i(1), NO_ATTRS), request(5, i(2), s(bytes(4)), i(0, 0, 100)),
    request(6, i(2), s(bytes(4)), i(0, 5), s(b'data')), request(4, i(3), s(bytes(4))), request(7, i(4), s(b'/a')), request(8, i(5), s(bytes(4))),
    request(9, i(6), s(b'/a'), i(0xf, 0, 9, 0, 0, 0o644, 1, 1)), request(10, i(7), s(bytes(4)), i(4, 0o600)), request(11, i(8), s(b'/')), request(12, i(9), s(bytes(4))),
    request(13, i(10), s(b'/a')), request(14, i(11), s(b'/d'), NO_ATTRS), request(15, i(12), s(b'/d')), request(16, i(13), s(b'/d/../a')), request(17, i(14), s(b'/a')),
    request(18, i(15), s(b'/a'), s(b'/b')), request(19, i(16), s(b'/l')), request(20, i(17), s(b'/a'), s(b'/l'))] + [
    request(200, i(18), s(name), tail) for name, tail in (
        (b'posix-rename@openssh.com', s(b'/a') + s(b'/b')), (b'hardlink@openssh.com', s(b'/a') + s(b'/c')), (b'fsync@openssh.com', s(bytes(4))),
        (b'statvfs@openssh.com', s(b'/')), (b'fstatvfs@openssh.com', s(bytes(4))), (b'limits@openssh.com', b''), (b'lsetstat@openssh.com', s(b'/l') + i(4, 0o644)),
        (b'expand-path@openssh.com', s(b'~/x')), (b'copy-data', s(bytes(4)) + i(0, 0, 0, 10) + s(bytes(4)) + i(0, 50)), (b'home-directory', s(b'root')),
        (b'users-groups-by-id@openssh.com', s(i(0, 1)) + s(i(0))))]


class Gone(BaseException):
    """The server ended its process."""


class SftpTarget(object):
    """Any requests of a client. In an empty root of its own and as nobody: what it may touch is nothing."""
    seeds = [b''.join(SFTP_WORDS), b''.join(SFTP_WORDS[:6]), b''.join([SFTP_WORDS[0]] + SFTP_WORDS[10:14])]
    words = SFTP_WORDS + [b'/', b'..', b'\0', b'/a', b'/l', b'~']

    def __init__(self, scope):
        self.scope = scope
        root = tempfile.mkdtemp(prefix='sec-sftp-')
        os.chmod(root, 0o777)
        if os.fork():
            # The parent only cleans up; what the child found is its own output.
            status = os.wait()[1]
            shutil.rmtree(root)
            os._exit(status >> 8 or status & 127)
        os.chroot(root)
        os.chdir('/')
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 26, 1 << 26))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        scope['os']._exit = self.gone

    def gone(self, code):
        raise Gone

    def run(self, data):
        server = self.scope['Server'](-1, -1)
        answers = []
        server.flush = lambda: (answers.append(sum(map(len, server.out))), server.out.clear(), setattr(server, 'size', 0))
        at = 0
        try:
            while len(data) - at > 4:
                end = at + 4 + server.length(data, at)
                if len(data) < end:
                    break
                server.take(data[at + 4:end])
                at = end
            server.flush()
        except Gone:
            pass
        finally:
            for handle in self.scope['handles'].values():
                if isinstance(handle.fd, int) and handle.fd > 2:
                    try:
                        os.close(handle.fd)
                    except OSError:
                        pass
            self.scope['handles'].clear()
            del self.scope['unused'][:]
        for name in os.listdir('/'):
            try:
                os.chmod('/' + name, 0o777)
                os.unlink('/' + name)
            except OSError:
                shutil.rmtree('/' + name, True)


TARGETS = {'link': LinkTarget, 'mux': MuxTarget, 'sftp': SftpTarget}


def mutate(data, corpus, words, rng):
    data = bytearray(data)
    for _ in range(rng.randint(1, 16 if rng.random() < .2 else 4)):
        at, what = rng.randint(0, len(data)), rng.randrange(8)
        size = rng.randint(1, 512 if rng.random() < .1 else 8)
        if what == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif what == 1 and at < len(data):
            data[at] = rng.randrange(256)
        elif what == 2:
            del data[at:at + size]
        elif what == 3:
            data[at:at] = bytes(rng.randrange(256) for _ in range(size))
        elif what == 4:
            start = rng.randint(0, len(data))
            data[at:at] = data[start:start + size]
        elif what == 5:
            edge = rng.choice((b'\0' * 4, b'\xff' * 4, b'\x7f\xff\xff\xff', b'\x80\0\0\0', b'\0\0\0\1', b'\xff' * 6, b'\0\0', b'\xff\xff'))
            data[at:at + (len(edge) if rng.random() < .5 else 0)] = edge
        elif what == 6:
            word = rng.choice(words)
            data[at:at + (len(word) if rng.random() < .5 else 0)] = word
        else:
            other = rng.choice(corpus)
            start = rng.randint(0, len(other))
            data[at:at + (size if rng.random() < .5 else 0)] = other[start:rng.randint(start, len(other))]
    return bytes(data[:INPUT_MOST])


def main():
    path, name, runs, seconds, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5])
    with open(path, encoding='utf-8') as f:
        text = f.read()
    scope = {'P': {'secret': SECRET, 'grace': 60}}
    exec(compile(text, '<helper>', 'exec'), scope)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MOST, MEMORY_MOST))
    target, rng = TARGETS[name](scope), random.Random(seed)
    seen, fresh = set(), [0]

    def trace(frame, event, _):
        if frame.f_code.co_filename != '<helper>':
            return None
        if event == 'line':
            line = frame.f_lineno
            if line not in seen:
                seen.add(line)
                fresh[0] += 1
        return trace

    def slow(*_):
        raise BaseException('one input took more than %d seconds' % SLOW)

    signal.signal(signal.SIGALRM, slow)
    corpus, done, end = list(target.seeds), 0, time.monotonic() + seconds
    report, data = {}, b''
    try:
        todo = list(target.seeds)
        while done < runs and time.monotonic() < end:
            data = todo.pop(0) if todo else mutate(rng.choice(corpus), corpus, target.words, rng)
            fresh[0] = 0
            signal.alarm(SLOW)
            sys.settrace(trace)
            try:
                target.run(data)
            finally:
                sys.settrace(None)
                signal.alarm(0)
            done += 1
            if fresh[0] and len(corpus) < 5000:
                corpus.append(data)
    except BaseException as e:
        report['failed'] = ''.join(traceback.format_exception(type(e), e, e.__traceback__))[-3000:]
        report['input'] = base64.b64encode(data).decode()
    report.update(runs=done, corpus=len(corpus), lines=len(seen))
    sys.stdout.write(json.dumps(report))
    sys.stdout.flush()


main()
