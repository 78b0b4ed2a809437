# The login below the front. The stock C agent may hang in the middle of typing, with a thread that waits
# for its connection to the device's SSH server for ever; then no new login is possible either. The end
# of that connection frees it, and it can be had from here: the SSH server's process is the user's own.

# Seconds without a word after which a bridge that had just spoken is asked whether it is there, and
# seconds that it has to answer in; the same when nothing was going on (it probes every 10 s while
# channels are open).
ASK_AFTER, ANSWER_IN, ASK_CALM = 3, 3, 25
# Seconds without a front, while channels wait for one, after which a login that came no further than
# its boot sh is ended; doubles each time, for devices that are slow.
BOOT_TIME = 20
BOOT_SH = b'stty raw -echo 2>/dev/null;w=b'


def process(pid):
    """Name and parent of a process."""
    with open('/proc/%d/stat' % pid, 'rb') as f:
        name, rest = f.read().split(b'(', 1)[1].rsplit(b')', 1)
    return name, int(rest.split()[1])


def server_of(leader):
    """The SSH server's process whose login this session leader is; 0 when it is none or not ours."""
    try:
        pid = process(leader)[1]
        if process(pid)[0].startswith((b'sshd', b'dropbear')) and os.stat('/proc/%d' % pid).st_uid == os.getuid():
            return pid
    except (OSError, ValueError, IndexError):
        pass
    return 0


def server_of_front(s):
    try:
        return server_of(os.getsid(int.from_bytes(s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[:4], sys.byteorder)))
    except (OSError, AttributeError):
        return 0


def booting():
    """SSH server processes of logins of which nothing has become but the bridge's boot sh."""
    for name in os.listdir('/proc'):
        try:
            pid = int(name)
            with open('/proc/%d/cmdline' % pid, 'rb') as f:
                boots = BOOT_SH in f.read()
            server = boots and server_of(os.getsid(pid))
            if server:
                yield server
        except (OSError, ValueError):
            pass


class Login(object):
    """Watches for the silence of a hung agent, and ends its login."""

    def __init__(self):
        self.server = self.asked = 0
        self.since, self.boot_time = None, BOOT_TIME

    def attached(self, s):
        self.server, self.asked, self.since = server_of_front(s), 0, None
        self.boot_time = BOOT_TIME

    def detached(self, now):
        self.server, self.since = 0, now

    def due(self, link, channels):
        """When look() has something to do."""
        if self.since is not None:
            return self.since + self.boot_time
        if not self.server:
            return None
        if self.asked > link.heard:
            return self.asked + ANSWER_IN + 4 * (link.srtt or 0)
        lively = link.lively or link.una < link.next
        return link.heard + (ASK_AFTER if lively else ASK_CALM if channels else P['grace'] / 3 + ASK_CALM)

    def look(self, link, channels, now):
        due = self.due(link, channels)
        if due is None or now < due:
            return
        if self.since is not None:
            self.since, self.boot_time = now, 2 * self.boot_time
            if channels:
                self.finish(booting())
        elif self.asked > link.heard:
            self.finish([self.server])
            self.server = 0
        else:
            self.asked, link.lively = now, False
            link.ask()

    def finish(self, servers):
        for pid in servers:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
