# The daemon: one process, one poll loop, all channels.
import time, hmac

# Characters waiting for the front; packets are cut no earlier than needed.
QUEUE_LIMIT = 65536
# Seconds and number of connections that have not yet proven to be a front.
PROOF_TIME, PROOF_MOST = 5, 8
# Bytes of a message's payload; an OPEN may hold a long command.
MESSAGE_LIMIT, OPEN_LIMIT = 65536, 1048576
# Descriptors we use at most, and those kept free so that a new front can always come.
FILES_MOST, FILES_KEPT = 8192, 24
# Seconds to get the farewell out.
BYE_TIME = 1


class Host(object):
    def __init__(self, listener, login):
        now = time.monotonic()
        self.link = Link(digest, b'down', b'up', self.stream, self.bye, now)
        self.user, self.sftp = User(*login), find_sftp()
        self.inbox, self.outbox, self.grants = bytearray(), bytearray(), bytearray()
        self.channels, self.pids, self.programs = {}, {}, {}
        self.front = self.over = None
        self.login = Login() if P.get('races') else None
        self.link.races = self.login is not None
        self.timers, self.last, self.proving, self.incoming = [], 0, 0, 0
        # Two pollers: `all` for when the link takes data, `calm` without what would only feed it.
        # So a full link costs nothing, however many channels wait.
        self.all, self.calm, self.wishes, self.calls = select.poll(), select.poll(), {}, {}
        # Descriptors watched since the last poll.
        self.fresh = set()
        self.listener = listener
        self.watch(listener.fileno(), self.knock, select.POLLIN)
        wake, self.waker = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(self.waker, False)
        signal.set_wakeup_fd(self.waker)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self.terminated)
        self.watch(wake, self.reap, select.POLLIN)
        # Channels take descriptors in threes; ours may be as many as the system lets us have.
        self.files = min(FILES_MOST, self.user.files[1] if self.user.files[1] > 0 else FILES_MOST)
        resource.setrlimit(resource.RLIMIT_NOFILE, (self.files, self.user.files[1]))
        system = os.uname()
        self.send(INFO, 0, json.dumps({
            'v': 1, 'tier': 'python', 'version': '.'.join(map(str, sys.version_info[:3])),
            'pid': os.getpid(), 'user': self.user.name, 'home': self.user.home,
            'shell': self.user.shell, 'sftp': self.sftp,
            'system': ' '.join((system.sysname, system.release, system.machine))}).encode())

    # The loop

    def watch(self, fd, call, always=0, gated=0):
        """Calls call(fd, events) for `always`, and for `gated` while the link takes data."""
        if not always | gated:
            self.drop(fd)
            return
        old, self.wishes[fd], self.calls[fd] = self.wishes.get(fd), (always, gated), call
        if not old:
            self.fresh.add(fd)
        if old == (always, gated):
            return
        self.all.register(fd, always | gated)
        if always:
            self.calm.register(fd, always)
        elif old and old[0]:
            self.calm.unregister(fd)

    def drop(self, fd):
        old = self.wishes.pop(fd, None)
        if old:
            del self.calls[fd]
            self.all.unregister(fd)
            if old[0]:
                self.calm.unregister(fd)

    def later(self, seconds, call):
        self.timers.append((time.monotonic() + seconds, call))

    def room(self):
        return self.link.room() if self.front and len(self.outbox) < 2 * QUEUE_LIMIT else 0

    def run(self):
        while self.over is None:
            now = time.monotonic()
            for timer in [t for t in self.timers if t[0] <= now]:
                self.timers.remove(timer)
                timer[1]()
            if now >= self.link.heard + P['grace']:
                self.over = 'nobody came back within %d seconds' % P['grace']
                break
            if self.login:
                self.login.look(self.link, self.channels, now)
            self.flush(now)
            due = [t[0] for t in self.timers] + [self.link.heard + P['grace']]
            if self.front and self.link.due() is not None and len(self.outbox) < QUEUE_LIMIT:
                due.append(self.link.due())
            at = self.login and self.login.due(self.link, self.channels)
            if at:
                due.append(at)
            wait = max(0, min(due) - time.monotonic())
            self.fresh.clear()
            events = (self.all if self.room() > 0 else self.calm).poll(int(wait * 1000) + 1)
            if len(events) > 1:
                # In turn: those after the last one served come first.
                events.sort()
                events = [e for e in events if e[0] > self.last] + [e for e in events if e[0] <= self.last]
            for fd, what in events:
                call = self.calls.get(fd)
                # What was told of a descriptor is not of whoever has its number since.
                if call and fd not in self.fresh:
                    if self.wishes[fd][1] and self.room() > 0:
                        self.last = fd
                    self.guard(getattr(call, '__self__', None), call, fd, what)

    def guard(self, channel, call, *values):
        """A defect in one channel ends that channel only."""
        try:
            call(*values)
        except Exception as e:
            if not isinstance(channel, Channel):
                raise
            channel.hangup()
            channel.close(repr(e))

    # The front

    def knock(self, fd, what):
        try:
            s = self.listener.accept()[0]
        except OSError:
            return
        if not same_user(s) or self.proving >= PROOF_MOST:
            s.close()
            return
        s.setblocking(False)
        self.proving += 1
        proof = bytearray()

        def read(fd, what):
            try:
                data = s.recv(32 - len(proof))
            except BlockingIOError:
                return
            except OSError:
                data = b''
            proof.extend(data)
            if not data or len(proof) == 32:
                self.drop(fd)
                self.timers.remove(timer)
                self.proving -= 1
                if hmac.compare_digest(bytes(proof), digest(b'front')):
                    self.attach(s)
                else:
                    s.close()

        def expire():
            self.proving -= 1
            self.drop(s.fileno())
            s.close()

        timer = (time.monotonic() + PROOF_TIME, expire)
        self.timers.append(timer)
        self.watch(s.fileno(), read, select.POLLIN)

    def attach(self, s):
        self.detach()
        self.front = s
        self.link.attach(time.monotonic())
        if self.login:
            self.login.attached(s)
        self.watch(s.fileno(), self.talk, select.POLLIN)

    def detach(self):
        if self.front:
            self.drop(self.front.fileno())
            self.front.close()
            self.front = None
            self.outbox.clear()
            if self.login:
                self.login.detached(time.monotonic())

    def talk(self, fd, what):
        if what & ~select.POLLOUT:
            try:
                data = self.front.recv(65536)
            except BlockingIOError:
                return
            except OSError:
                data = b''
            if data:
                self.link.feed(data, time.monotonic())
            else:
                self.detach()

    def flush(self, now):
        while self.front:
            if self.grants and self.link.quiet(now):
                self.link.out += self.grants
                self.grants.clear()
            if len(self.outbox) < QUEUE_LIMIT:
                self.outbox += self.link.pull(now, QUEUE_LIMIT)
            if not self.outbox:
                break
            try:
                n = self.front.send(self.outbox)
            except BlockingIOError:
                break
            except OSError:
                self.detach()
                break
            del self.outbox[:n]
        if self.front:
            self.watch(self.front.fileno(), self.talk,
                       select.POLLIN | (select.POLLOUT if self.outbox else 0))

    # Messages

    def send(self, kind, channel, payload):
        # An agent that races is sent nothing in the middle of a burst that can wait for its end.
        out = self.grants if kind == CREDIT and self.link.races else self.link.out
        out += struct.pack('>II', kind << 24 | len(payload), channel) + payload

    def stream(self, data):
        """Bytes of the bridge's stream, in order."""
        inbox = self.inbox
        inbox += data
        at, size = 0, len(inbox)
        while size - at >= 8:
            length, number = struct.unpack_from('>II', inbox, at)
            kind, length = length >> 24, length & 0xffffff
            if length > (OPEN_LIMIT if kind == OPEN else MESSAGE_LIMIT):
                raise ValueError('message of %d bytes' % length)
            if size - at - 8 < length:
                break
            self.message(kind, number, bytes(inbox[at + 8:at + 8 + length]))
            at += 8 + length
        del inbox[:at]

    def message(self, kind, number, payload):
        if kind == OPEN:
            if number not in self.channels:
                self.open(number, payload)
            return
        if kind == PROGRAM:
            program = json.loads(payload.decode())
            self.programs[program['name']] = zlib.decompress(a2b_base64(program['text']))
            return
        channel = self.channels.get(number)
        if channel:
            self.guard(channel, self.deliver, channel, kind, payload)

    def deliver(self, channel, kind, payload):
        if kind == DATA:
            channel.take(payload)
        elif kind == ZDATA:
            inflate = zlib.decompressobj()
            payload = inflate.decompress(payload, MESSAGE_LIMIT)
            if not inflate.eof:
                raise ValueError('more than one message may hold')
            channel.take(payload)
        elif kind == EOF:
            channel.end()
        elif kind == CREDIT:
            channel.credit += struct.unpack('>I', payload)[0]
            channel.arm()
        elif kind == SIGNAL:
            for signum, name in SIGNALS.items():
                if name == payload.decode():
                    channel.signal(signum)
        elif kind == RESIZE and channel.pty:
            set_size(channel.pty, *struct.unpack('>4H', payload))
        elif kind == CLOSE:
            channel.hangup()
            channel.close()
        elif kind == STOP:
            channel.stop()

    def refuse(self, number, code, message):
        channel = self.channels.pop(number, None)
        if channel:
            channel.free()
        self.send(REFUSED, number, json.dumps({'code': code, 'message': message}).encode())

    def check_room(self):
        """OSError when a new channel would take the descriptors that fronts need."""
        fd = os.dup(self.waker)
        os.close(fd)
        if fd > self.files - FILES_KEPT:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    def open(self, number, payload):
        try:
            self.check_room()
            o = json.loads(payload.decode())
            KINDS[o['kind']](self, number, o)
        except KeyError as e:
            self.refuse(number, 'unsupported', 'kind of channel or field %s' % e)
        except OSError as e:
            self.refuse(number, 'resource', e.strerror or str(e))
        except Exception as e:
            self.refuse(number, 'unsupported', repr(e))

    def start(self, number, o):
        program = None
        if o['kind'] == 'sftp' and (o.get('builtin') or not self.sftp):
            program = self.programs.get('sftp')
            if not program:
                self.refuse(number, 'unsupported', 'need program sftp')
                return
        channel = Channel(self, number)
        start_process(channel, o, self.user, program)
        self.pids[channel.pid] = channel
        channel.opened()
        channel.arm()

    def reap(self, fd, what):
        try:
            os.read(fd, 4096)
        except BlockingIOError:
            pass
        while 1:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if not pid:
                break
            channel = self.pids.pop(pid, None)
            if channel:
                self.guard(channel, channel.exited, status)

    # The end

    def bye(self, reason):
        self.over = reason

    def terminated(self, *_):
        self.over = 'the helper was told to end'

    def end(self):
        """Hangs up everything and leaves nothing behind."""
        for channel in list(self.channels.values()):
            channel.hangup()
            channel.free()
        if self.front:
            try:
                self.front.settimeout(BYE_TIME)
                self.front.sendall(self.outbox + 3 * self.link.farewell(self.over))
            except OSError:
                pass


KINDS = {'exec': Host.start, 'sftp': Host.start, 'tcp': open_tcp, 'unix': open_unix,
         'listen': listen_tcp, 'listen-unix': listen_unix, 'listen-agent': listen_agent}
