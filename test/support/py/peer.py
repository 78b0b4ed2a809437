"""A small bridge end of the link and the mux for tests, written from PROTOCOL-DEVICE.md alone and
sharing no code with the helper. Runs the helper on a real PTY; text may be lost on purpose."""
import base64
import hashlib
import json
import os
import pty
import random
import select
import signal
import struct
import sys
import termios
import time
import tty
import zlib

OPEN, OPENED, REFUSED, DATA, ERR, EOF, CREDIT, SIGNAL, RESIZE, EXIT, CLOSE, INFO, ZDATA, ZERR, STOP, PROGRAM = range(1, 17)
STAGE1 = ('import zlib,base64\nexec(zlib.decompress(base64.b64decode('
          'open(0,"rb",0,closefd=False).readline())))')


class Timeout(Exception):
    pass


class Terminal(object):
    """A login stand-in: a PTY on which one helper program runs."""

    def __init__(self, program, python=None, env=None, cwd=None):
        python = python or os.environ.get('HELPER_PYTHON') or sys.executable
        self.pid, self.fd = pty.fork()
        if not self.pid:
            tty.setraw(0)
            os.write(1, b'@RDY@')
            if cwd:
                os.chdir(cwd)
            os.execvpe(python, [python, "-I", "-c", STAGE1], dict(os.environ, **(env or {})))
        # A line typed before the terminal is raw would be cut at 4,095 bytes.
        ready = b''
        while not ready.endswith(b'@RDY@'):
            ready += os.read(self.fd, 1)
        os.set_blocking(self.fd, False)
        self.program = program.encode() + b'\n'
        self.seen = b''

    def kill(self):
        """Ends the login as a lost session does: the terminal hangs up."""
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)


class Stream(object):
    """What came in on one channel."""

    def __init__(self):
        self.out, self.err = bytearray(), bytearray()
        self.events, self.exit, self.refused, self.fault = [], None, None, ''
        self.credit, self.queue, self.ending = 256 << 10, bytearray(), False
        self.hash, self.count = hashlib.sha256(), 0
        self.keep = True
        self.auto = True
        self.compressed = 0
        self.answer = None


class Peer(object):
    def __init__(self, secret, loss_up=0.0, loss_down=0.0, seed=1):
        self.secret = secret
        self.random = random.Random(seed)
        self.loss_up, self.loss_down = loss_up, loss_down
        self.up, self.down = self.h(b'up'), self.h(b'down')
        self.terminal = None
        # Sender: segments [start, bytes, sent time or None, pn]
        self.out, self.una, self.end = [], 0, 0
        self.pn = 0
        self.window, self.segment = 65536, 2000
        # Receiver
        self.recv, self.held, self.seen = 0, {}, 0
        self.inbox = bytearray()
        self.rest = b''
        self.streams, self.accepted, self.info, self.bye = {}, {}, None, None
        self.next_channel = 1
        self.ack_due, self.ack_now, self.reply = None, False, False
        self.counts = {'packets': 0, 'bad': 0, 'acks': 0, 'duplicates': 0}
        self.outq = bytearray()
        self.foreign = b''
        self.last_in = time.monotonic()

    def h(self, word):
        return hashlib.sha256(bytes.fromhex(self.secret) + word).digest()

    # ---- link

    def packet(self, body):
        body = self.up[:4] + body
        crc = zlib.crc32(self.up[4:12] + body)
        return b':' + base64.b64encode(body + struct.pack('>I', crc)) + b';'

    def put(self, packet):
        if self.random.random() >= self.loss_up:
            self.outq += packet

    def attach(self, terminal, send_program=True):
        self.terminal = terminal
        self.rest, self.outq = b'', bytearray()
        for one in self.out:
            one[2] = None
        self.ack_now = self.reply = True
        if send_program:
            self.outq += terminal.program
        self.last_in = time.monotonic()

    def write(self, data):
        while data:
            self.out.append([self.end, data[:self.segment], None, 0])
            self.end += len(data[:self.segment])
            data = data[self.segment:]

    def transmit(self, now):
        flying = 0
        for one in self.out:
            if one[2] is not None and now - one[2] > 1.0:
                one[2] = None
            if one[2] is None:
                if flying >= self.window or len(self.outq) > 200000:
                    break
                self.pn += 1
                one[2], one[3] = now, self.pn
                flying += len(one[1])
                last = one is self.out[-1] or flying >= self.window or self.pn % 8 == 0
                self.put(self.packet(struct.pack('>BIBHI', 1, self.pn, int(last), one[0] >> 32, one[0] & 0xffffffff) + bytes(one[1])))
            else:
                flying += len(one[1])
        if self.ack_now or self.ack_due is not None and now >= self.ack_due:
            ranges, starts = [], sorted(self.held)
            for s in starts:
                e = s + len(self.held[s])
                if ranges and ranges[-1][1] >= s:
                    ranges[-1][1] = max(e, ranges[-1][1])
                else:
                    ranges.append([s, e])
            ranges = ranges[:32]
            self.put(self.packet(struct.pack('>BBHIIB', 2, int(self.reply), self.recv >> 32, self.recv & 0xffffffff, self.seen, len(ranges))
                     + b''.join(struct.pack('>HIHI', s >> 32, s & 0xffffffff, e >> 32, e & 0xffffffff) for s, e in ranges)))
            self.counts['acks'] += 1
            self.ack_now, self.ack_due, self.reply = False, None, False

    def parse(self, text, now):
        pieces = (self.rest + text).split(b';')
        self.rest = pieces.pop()[-16384:]
        for piece in pieces:
            before, colon, packet = piece.rpartition(b':')
            self.foreign = (self.foreign + before)[-4096:]
            try:
                raw = base64.b64decode(packet, validate=True)
            except ValueError:
                self.counts['bad'] += 1
                continue
            if len(raw) < 9 or raw[:4] != self.down[:4] or zlib.crc32(self.down[4:12] + raw[:-4]) != struct.unpack('>I', raw[-4:])[0]:
                self.counts['bad'] += 1
                continue
            self.counts['packets'] += 1
            self.last_in = now
            self.packet_in(raw[4], raw[5:-4], now)

    def packet_in(self, kind, body, now):
        if kind == 1:
            pn, flags, hi, lo = struct.unpack('>IBHI', body[:11])
            offset, data = hi << 32 | lo, body[11:]
            self.seen = max(self.seen, pn)
            if flags & 1 or offset > self.recv or offset + len(data) <= self.recv:
                self.ack_now = True
                if offset + len(data) <= self.recv:
                    self.counts['duplicates'] += 1
            elif self.ack_due is None:
                self.ack_due = now + .15
            if offset + len(data) > self.recv and len(self.held.get(offset, b'')) < len(data):
                self.held[offset] = data
            while True:
                for s in list(self.held):
                    if s <= self.recv:
                        data = self.held.pop(s)[self.recv - s:]
                        if data:
                            self.recv += len(data)
                            self.stream(data)
                            break
                else:
                    break
        elif kind == 2:
            flags, hi, lo, pn, count = struct.unpack('>BHIIB', body[:12])
            recv = hi << 32 | lo
            assert recv <= self.end, 'the helper acknowledges bytes never sent'
            ranges = []
            for i in range(count):
                a, b, c, d = struct.unpack('>HIHI', body[12 + 12 * i:24 + 12 * i])
                ranges.append((a << 32 | b, c << 32 | d))
            if flags & 1:
                self.ack_now = True
            self.una = max(self.una, recv)
            kept = []
            for one in self.out:
                s, e = one[0], one[0] + len(one[1])
                if e <= recv or any(a <= s and e <= b for a, b in ranges):
                    continue
                if one[2] is not None and one[3] <= pn and not (count == 8 and s >= ranges[-1][1]):
                    one[2] = None
                kept.append(one)
            self.out = kept
        elif kind == 3:
            self.bye = body.decode()

    # ---- mux

    def send(self, kind, channel, payload=b''):
        self.write(struct.pack('>II', kind << 24 | len(payload), channel) + payload)

    def stream(self, data):
        self.inbox += data
        at = 0
        while len(self.inbox) - at >= 8:
            head, channel = struct.unpack('>II', self.inbox[at:at + 8])
            size = head & 0xffffff
            if len(self.inbox) - at - 8 < size:
                break
            self.message(head >> 24, channel, bytes(self.inbox[at + 8:at + 8 + size]))
            at += 8 + size
        del self.inbox[:at]

    def message(self, kind, channel, payload):
        if kind == INFO:
            assert self.info is None and channel == 0
            self.info = json.loads(payload.decode())
            return
        if kind == OPEN:
            s = self.streams[channel] = Stream()
            s.answer = json.loads(payload.decode())
            self.accepted.setdefault(s.answer['listener'], []).append(channel)
            return
        s = self.streams.get(channel)
        assert s, 'message %d for unknown channel %d' % (kind, channel)
        assert 'CLOSE' not in s.events, 'message %d after CLOSE' % kind
        if kind in (ZDATA, ZERR):
            payload = zlib.decompress(payload)
            s.compressed += 1
            kind -= 9
        if kind in (DATA, ERR):
            if kind == DATA:
                s.hash.update(payload)
                s.count += len(payload)
            if s.keep:
                (s.out if kind == DATA else s.err).extend(payload)
            name = 'DATA' if kind == DATA else 'ERR'
            if not s.events or s.events[-1] != name:
                s.events.append(name)
            if s.auto:
                s.owed = getattr(s, 'owed', 0) + len(payload)
                if s.owed >= 262144:
                    self.send(CREDIT, channel, struct.pack('>I', s.owed))
                    s.owed = 0
        elif kind == CREDIT:
            s.credit += struct.unpack('>I', payload)[0]
        else:
            s.events.append({OPENED: 'OPENED', REFUSED: 'REFUSED', EOF: 'EOF', EXIT: 'EXIT', CLOSE: 'CLOSE'}[kind])
            if kind == EXIT:
                s.exit = json.loads(payload.decode())
            elif kind == OPENED:
                s.answer = json.loads(payload.decode())
            elif kind == REFUSED:
                s.refused = json.loads(payload.decode())
            elif kind == CLOSE:
                s.fault = payload.decode()

    def open(self, kind, **fields):
        number = self.next_channel
        self.next_channel += 1
        self.streams[number] = Stream()
        self.send(OPEN, number, json.dumps(dict(fields, kind=kind)).encode())
        return number

    def feed(self, channel, data, end=False):
        self.streams[channel].queue += data
        self.streams[channel].ending = end

    def feed_all(self):
        for number, s in self.streams.items():
            while s.queue and s.credit > 0 and len(self.out) < 400:
                data = bytes(s.queue[:min(16384, s.credit)])
                del s.queue[:len(data)]
                s.credit -= len(data)
                self.send(DATA, number, data)
            if s.ending and not s.queue:
                s.ending = False
                self.send(EOF, number)

    # ---- loop

    def step(self, wait=0.05):
        now = time.monotonic()
        self.feed_all()
        self.transmit(now)
        fd = self.terminal.fd
        p = select.poll()
        p.register(fd, select.POLLIN | (select.POLLOUT if self.outq else 0))
        events = p.poll(int(wait * 1000))
        for _, what in events:
            if what & select.POLLOUT and self.outq:
                try:
                    n = os.write(fd, self.outq[:4096])
                    del self.outq[:n]
                except BlockingIOError:
                    pass
            if what & (select.POLLIN | select.POLLHUP):
                for _ in range(32):
                    try:
                        text = os.read(fd, 2048)
                    except BlockingIOError:
                        break
                    except OSError:
                        time.sleep(.01)
                        break
                    if not text:
                        break
                    self.terminal.seen = (self.terminal.seen + text)[-4096:]
                    if self.random.random() >= self.loss_down:
                        self.parse(text, time.monotonic())

    def until(self, what, seconds=30):
        deadline = time.monotonic() + seconds
        while not what():
            if time.monotonic() > deadline:
                raise Timeout('no %r in %d s; last text %r' % (what, seconds, self.terminal.seen[-300:]))
            self.step()

    def finish(self, channel, seconds=30):
        s = self.streams[channel]
        self.until(lambda: 'CLOSE' in s.events or 'REFUSED' in s.events, seconds)
        return s

    def run(self, cmd, stdin=b'', seconds=30, **fields):
        fields.setdefault('pty', None)
        fields.setdefault('env', {})
        if isinstance(cmd, bytes):
            cmd = cmd.decode('latin-1')
        n = self.open('exec', cmd=cmd, **fields)
        self.feed(n, stdin, True)
        return self.finish(n, seconds)



def pack(text):
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def load(folder):
    """The helper's source as it is in the tree."""
    text = []
    for name in sorted(os.listdir(folder)):
        if name[:1].isdigit() and name.endswith('.py'):
            with open(os.path.join(folder, name), encoding='utf-8') as f:
                text.append(f.read())
    return '\n'.join(text)
