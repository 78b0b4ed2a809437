# Channels (PROTOCOL-DEVICE.md section 3): one process, or one connected socket.
import json, errno, select

(OPEN, OPENED, REFUSED, DATA, ERR, EOF, CREDIT, SIGNAL, RESIZE, EXIT, CLOSE, INFO, ZDATA, ZERR, STOP,
 PROGRAM) = range(1, 17)
# Bytes that the bridge, and that we, may send on a channel before any CREDIT.
# A test holds them to src/mux/wire.ts.
CREDIT_TO_BRIDGE, CREDIT_TO_DEVICE, CREDIT_MOST = 262144, 1048576, 2097152
# Bytes of one read, so that a keystroke waits for one slice; more where it compresses well, or where
# the path is so wide that a slice is a small part of what it holds.
SLICE, BIG_SLICE, SLICES = 16384, 65536, 8
# Less is not worth compressing.
ZIP_LEAST = 256
# Bytes of a terminal still read after its leader's exit while others go on writing to it.
TAIL_LIMIT = 262144
# The names that RFC 4254 section 6.10 has; sshd calls the others SIG@openssh.com.
SIGNALS = dict((getattr(signal, 'SIG' + n), n) for n in
               'ABRT ALRM FPE HUP ILL INT KILL PIPE QUIT SEGV TERM USR1 USR2'.split())


class Channel(object):
    """Moves bytes between the link and file descriptors. A process has a writer (its stdin) and
    readers (stdout, stderr); a terminal and a socket are both in one descriptor."""

    def __init__(self, host, number):
        self.host, self.number = host, number
        self.credit, self.owed, self.window, self.taken = CREDIT_TO_DEVICE, 0, CREDIT_TO_BRIDGE, 0
        self.queue = bytearray()
        self.ended = self.mute = self.sent_eof = False
        self.opening = True
        self.writer = self.sock = self.pty = self.pid = self.status = None
        # Descriptor to message type; owned are those to be closed here (a socket closes its own).
        self.readers, self.owned = {}, set()
        self.tail = self.skip = self.back = 0
        self.slice, self.broken = SLICE, ''
        host.channels[number] = self

    def send(self, kind, payload=b''):
        self.host.send(kind, self.number, payload)

    def opened(self, answer=b'{}'):
        self.opening = False
        self.send(OPENED, answer)
        self.push()

    def arm(self):
        """Tells the loop what to wait for. A descriptor without wishes is not polled at all: poll
        reports a hang-up even to those who did not ask, and would spin."""
        for fd in set(self.readers) | ({self.writer} - {None}):
            self.host.watch(fd, self.event,
                            select.POLLOUT if fd == self.writer and self.queue else 0,
                            select.POLLIN if fd in self.readers and (self.credit > 0 or self.mute) else 0)

    def event(self, fd, what):
        if fd == self.writer and self.queue and what & ~select.POLLIN:
            self.push()
        if fd in self.readers and what & ~select.POLLOUT:
            self.pull(fd)

    # From the bridge

    def take(self, data):
        if self.writer is None and not self.opening:
            # Nobody reads it: drop it, and do not let the sender wait.
            self.took(len(data))
            return
        if len(self.queue) + len(data) > self.window:
            self.close('more data than credit')
            return
        self.queue += data
        if len(self.queue) == len(data):
            self.push()

    def push(self):
        if self.writer is not None:
            try:
                while self.queue:
                    n = os.write(self.writer, self.queue)
                    if not n:
                        break
                    del self.queue[:n]
                    self.took(n)
            except BlockingIOError:
                pass
            except OSError as e:
                # What the peer of a socket sent before it went may still be here to be read.
                self.broken = e.strerror or str(e) if self.sock else ''
                self.took(len(self.queue))
                self.queue.clear()
                self.shut(True)
            if self.ended and not self.queue:
                self.shut()
            self.arm()

    def took(self, n):
        self.owed += n
        self.taken += n
        if self.owed >= self.window // 4:
            if self.taken >= self.window < CREDIT_MOST and not self.queue:
                # The reader took a whole window and keeps up: the window is what limits the sender.
                self.owed += self.window
                self.window *= 2
                self.taken = 0
            self.send(CREDIT, struct.pack('>I', self.owed))
            self.owed = 0

    def end(self):
        self.ended = True
        if not self.queue:
            self.shut()

    def shut(self, broken=False):
        """No more input. A terminal has no end of file of its own: as under sshd, nothing happens."""
        fd = self.writer
        if fd is None or self.pty and not broken:
            return
        self.writer = None
        if self.sock:
            try:
                self.sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass
        self.release(fd)
        self.settle()

    def release(self, fd):
        """One use of a descriptor is over; it is closed with its last."""
        if fd in self.readers or fd == self.writer:
            self.arm()
            return
        self.host.drop(fd)
        if fd in self.owned and not self.pty:
            self.owned.remove(fd)
            os.close(fd)

    def stop(self):
        """Nobody wants the output: a writer to stdout gets EPIPE. stderr stays, as under sshd, as
        far as its credit goes; a terminal is read and forgotten."""
        self.mute = True
        if self.sock:
            try:
                self.sock.shutdown(socket.SHUT_RD)
            except OSError:
                pass
        for fd in [] if self.pty else list(self.readers):
            if self.readers[fd] == DATA:
                self.finish(fd)
        if self.number in self.host.channels:
            self.arm()

    def signal(self, number):
        if self.pid and self.status is None:
            try:
                try:
                    os.killpg(self.pid, number)
                except ProcessLookupError:
                    # Forked just now: not yet the leader of its group.
                    os.kill(self.pid, number)
            except OSError:
                pass

    def hangup(self):
        if self.pid and self.status is not None and self.readers:
            # What the command left behind still has its output. The group is the command's as long as no
            # process has its number.
            try:
                os.kill(self.pid, 0)
            except ProcessLookupError:
                try:
                    os.killpg(self.pid, signal.SIGHUP)
                except OSError:
                    pass
            except OSError:
                pass
            return
        self.signal(signal.SIGHUP)
        self.signal(signal.SIGCONT)

    # To the bridge

    def pull(self, fd):
        size = max(self.slice, min(BIG_SLICE, self.host.link.window // SLICES))
        if not self.mute:
            size = min(size, self.credit)
        if size <= 0 or self.host.room() <= 0:
            # Never a read of 0 bytes: it would look like the end of the file.
            return
        try:
            data = os.read(fd, size)
        except BlockingIOError:
            return
        except OSError as e:
            if self.sock:
                self.close(e.strerror or str(e))
                return
            data = b''
        if not data:
            self.finish(fd)
            return
        self.emit(self.readers[fd], data)
        if self.pty and self.status is not None:
            self.tail += len(data)
            self.drained()

    def emit(self, kind, data):
        if self.mute and (self.pty or len(data) > self.credit):
            return
        self.credit -= len(data)
        if self.credit <= 0:
            self.arm()
        if len(data) >= ZIP_LEAST:
            if self.skip:
                self.skip -= 1
            else:
                z = zlib.compress(data, 1)
                if len(z) * 10 < len(data) * 9:
                    self.back, self.slice = 0, BIG_SLICE
                    kind, data = kind + ZDATA - DATA, z
                else:
                    # Incompressible: try again later and later.
                    self.back = self.skip = min(127, 2 * self.back + 1)
                    self.slice = SLICE
        self.send(kind, data)

    def finish(self, fd):
        """A reader is at its end."""
        del self.readers[fd]
        self.release(fd)
        self.settle()

    def exited(self, status):
        self.status = status
        if self.pty:
            self.drained()
        else:
            self.settle()

    def drained(self):
        """The leader is gone: the terminal ends when nothing is left in it, whoever has it open."""
        for fd in list(self.readers):
            if self.tail > TAIL_LIMIT or not readable(fd):
                self.finish(fd)
                return
        self.settle()

    def settle(self):
        if self.readers or self.opening or self.number not in self.host.channels:
            return
        if self.sock:
            if not self.sent_eof:
                self.sent_eof = True
                self.send(EOF)
            if self.writer is None:
                self.close(self.broken)
        elif self.status is not None:
            self.send(EXIT, json.dumps(outcome(self.status)).encode())
            self.send(EOF)
            self.close()

    def close(self, reason=''):
        """The last message of the channel; descriptors go, a process is left to itself."""
        if self.host.channels.pop(self.number, None):
            self.free()
            self.send(CLOSE, reason.encode())

    def free(self):
        for fd in self.owned:
            self.host.drop(fd)
            os.close(fd)
        if self.sock:
            self.host.drop(self.sock.fileno())
            self.sock.close()
        self.sock, self.owned, self.readers, self.writer = None, set(), {}, None


def readable(fd):
    p = select.poll()
    p.register(fd, select.POLLIN)
    return any(what & select.POLLIN for _, what in p.poll(0))


def outcome(status):
    if os.WIFSIGNALED(status):
        return {'signal': SIGNALS.get(os.WTERMSIG(status), 'SIG@openssh.com'),
                'core': os.WCOREDUMP(status), 'message': ''}
    return {'status': os.WEXITSTATUS(status)}
