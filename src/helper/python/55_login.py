# The login below the front. The stock C agent may hang in the middle of typing, with a thread that waits
# for its connection to the device's SSH server for ever; then no new login is possible either. A reset
# of that connection frees it (the mere end does not: it waits for no event but errors), and can be had
# from here: the SSH server's process is the user's own, and the kernel resets the connection of a
# process that dies with bytes unread.

# Seconds without a word after which the bridge is asked whether it is there: when it was in the middle
# of much, when it had just spoken, and when nothing was going on (it probes every 10 s while channels
# are open); and seconds that it has to answer in.
ASK_BULK, ASK_AFTER, ASK_CALM, ANSWER_IN = 1, 2.5, 25, 1.5
# Bytes of a packet behind which more is to be expected.
BULK = 2000
# Seconds without a front, while channels wait for one, after which a login that came no further than
# its boot sh, or than the SSH server, is ended; doubles each time, for devices that are slow.
BOOT_TIME = 10
# Seconds that such a login is old at least.
LOGIN_TIME = 5
SERVERS = b'sshd', b'dropbear'
# Seconds that a reset may take, in which all else here waits, and bytes printed from one try to the next.
RESET_TIME, RESET_STEP = 3, 100000
BOOT_SH = b'stty raw -echo 2>/dev/null;w=b'


def process(pid):
    """Name and parent of a process, and when it began, in seconds since the system did."""
    with open('/proc/%s/stat' % pid, 'rb') as f:
        name, rest = f.read().split(b'(', 1)[1].rsplit(b')', 1)
    rest = rest.split()
    return name, int(rest[1]), int(rest[19]) / os.sysconf('SC_CLK_TCK')


def server_of(leader):
    """The SSH server's process whose login this session leader is; 0 when it is none or not ours."""
    try:
        pid = process(leader)[1]
        if process(pid)[0].startswith(SERVERS) and os.stat('/proc/%d' % pid).st_uid == os.getuid():
            return pid
    except (OSError, ValueError, IndexError):
        pass
    return 0


def unread(ports):
    """Whether the connection with these ports (ours, theirs) has bytes that nobody has read."""
    for name in ('/proc/net/tcp', '/proc/net/tcp6'):
        try:
            with open(name) as f:
                for line in f:
                    w = line.split()
                    if [a.rsplit(':', 1)[-1] for a in w[1:3]] == ports:
                        return int(w[4].split(':')[1], 16) > 0
        except (OSError, ValueError, IndexError):
            pass


def reset(server, leader):
    """Ends the SSH server's process of a login so that its connection is reset. What the agent reads
    of the terminal makes it grant the server more now and then (libssh: every 640 kB), and nothing
    but that makes it send: so print until such a grant comes while the server stands still. NULs
    cost the agent's uplink next to nothing, since it cuts what it sends there."""
    try:
        with open('/proc/%d/environ' % leader, 'rb') as f:
            w = dict(v.partition(b'=')[::2] for v in f.read().split(b'\0'))[b'SSH_CONNECTION'].split()
        ports = ['%04X' % int(w[3]), '%04X' % int(w[1])]
        tty = os.open('/proc/%d/fd/1' % leader, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            end = time.monotonic() + RESET_TIME
            while 1:
                os.kill(server, signal.SIGSTOP)
                time.sleep(.02)
                if unread(ports) is not False or time.monotonic() > end:
                    break
                os.kill(server, signal.SIGCONT)
                left = RESET_STEP
                while left > 0 and time.monotonic() < end and select.select([], [tty], [], .1)[1]:
                    try:
                        left -= os.write(tty, bytes(4096))
                    except BlockingIOError:
                        break
        finally:
            os.close(tty)
    except (OSError, ValueError, KeyError, IndexError):
        pass
    os.kill(server, signal.SIGKILL)


def booting():
    """Session leaders of logins of which nothing has become but the bridge's boot sh."""
    for name in os.listdir('/proc'):
        try:
            pid = int(name)
            with open('/proc/%d/cmdline' % pid, 'rb') as f:
                boots = BOOT_SH in f.read()
            if boots and server_of(os.getsid(pid)):
                yield os.getsid(pid)
        except (OSError, ValueError):
            pass


def unborn(seconds):
    """The SSH server's processes of ours that serve nobody and began within so many seconds: the agent may
    hang in the middle of a login too, where its reader takes the answers that the login waits for."""
    found = {}
    for pid in os.listdir('/proc'):
        try:
            found[int(pid)] = process(pid)
        except (OSError, ValueError, IndexError):
            pass
    with open('/proc/uptime') as f:
        now = float(f.read().split()[0])
    parents = set(p[1] for p in found.values())
    for pid, (name, parent, began) in found.items():
        # Never the server itself: its parent is none.
        if name.startswith(SERVERS) and found.get(parent, (b'',))[0].startswith(SERVERS) and pid not in parents \
                and LOGIN_TIME < now - began < seconds and os.stat('/proc/%d' % pid).st_uid == os.getuid():
            yield pid


class Login(object):
    """Watches for the silence of a hung agent, and ends its login."""

    def __init__(self):
        # The session's leader, above which the SSH server is that may be ended.
        self.leader = self.asked = self.lost = 0
        self.since, self.boot_time = None, BOOT_TIME

    def attached(self, s):
        self.leader, self.asked, self.since = 0, 0, None
        self.boot_time = BOOT_TIME
        try:
            # The process at the other end.
            leader = os.getsid(int.from_bytes(s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[:4], sys.byteorder))
            self.leader = server_of(leader) and leader
        except (OSError, AttributeError):
            pass

    def detached(self, now):
        self.leader, self.since, self.lost = 0, now, now

    def due(self, link, channels):
        """When look() has something to do."""
        if self.since is not None:
            return self.since + self.boot_time
        if not self.leader:
            return None
        if self.asked > link.heard:
            return self.asked + ANSWER_IN + 4 * (link.srtt or 0)
        lively = link.lively or link.una < link.next
        return link.heard + (ASK_BULK if link.bulk else ASK_AFTER if lively else ASK_CALM if channels else P['grace'] / 3 + ASK_CALM)

    def look(self, link, channels, now):
        due = self.due(link, channels)
        if due is None or now < due:
            return
        if self.since is not None:
            self.since, self.boot_time = now, 2 * self.boot_time
            if channels:
                self.finish(booting())
                try:
                    for pid in unborn(now - self.lost):
                        os.kill(pid, signal.SIGKILL)
                except (OSError, ValueError, IndexError):
                    pass
        elif self.asked > link.heard:
            self.finish([self.leader])
            self.leader = 0
        else:
            self.asked, link.lively, link.bulk = now, False, False
            link.ask()

    def finish(self, leaders):
        for leader in leaders:
            try:
                server = server_of(leader)
                if server:
                    reset(server, leader)
            except OSError:
                pass
