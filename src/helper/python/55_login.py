# The login below the front: watched for the silence of an agent that hangs, and ended then (54_reset.py).

# Seconds without a word after which the bridge is asked whether it is there: when it was in the middle
# of much, when it had just spoken, and when nothing was going on (it probes every 10 s while channels
# are open); and seconds that it has to answer in. Each hang on a path whose last answer was quick shortens
# the latter by HASTE, down to HASTE_LEAST of it; an answer later than LATE, or none, puts it back.
ASK_BULK, ASK_AFTER, ASK_CALM, ANSWER_IN = .5, 2.5, 25, 1.5
HASTE, HASTE_LEAST, LATE = .8, .32, .3
# Bytes of a packet behind which more is to be expected.
BULK = 2000
# Seconds without a front, while channels wait for one, after which a login that came no further than
# its boot sh, or than the SSH server, is ended; doubles each time, for devices that are slow.
BOOT_TIME = 6
# Seconds that such a login is old at least.
LOGIN_TIME = 5
BOOT_SH = b'stty raw -echo 2>/dev/null;w=b'
# In the arguments of stage 1, and so of the front that it becomes.
STAGE_1 = b'a2b_base64'


def arguments(pid):
    with open('/proc/%d/cmdline' % pid, 'rb') as f:
        return f.read()


def uptime():
    with open('/proc/uptime') as f:
        return float(f.read().split()[0])


def fronts():
    """The parents of processes with a socket: a boot sh among them has a helper's front."""
    for pid in os.listdir('/proc'):
        try:
            if any(os.readlink('/proc/%s/fd/%s' % (pid, fd)).startswith('socket:') for fd in os.listdir('/proc/%d/fd' % int(pid))):
                yield process(pid)[1]
        except (OSError, ValueError, IndexError):
            pass


def booting(seconds):
    """Session leaders of logins that began within so many seconds, and of which nothing has become but the bridge's
    boot sh and perhaps stage 1. (The front of the sh tier has no socket, but a name of its own.)"""
    boots, busy, now = {}, set(fronts()), uptime()
    for name in os.listdir('/proc'):
        try:
            line, (_, parent, began) = arguments(int(name)), process(int(name))
            if BOOT_SH in line:
                boots[int(name)] = os.getsid(int(name)), now - began
            elif line and STAGE_1 not in line and not line.startswith(b'sleep'):
                busy.add(parent)
        except (OSError, ValueError, IndexError):
            pass
    served = set(boots[pid][0] for pid in busy if pid in boots)
    for leader, age in set(boots.values()):
        if LOGIN_TIME < age < seconds and leader not in served and server_of(leader):
            yield leader


def unborn(seconds):
    """The SSH server's processes of ours that serve nobody and began within so many seconds: the agent may
    hang in the middle of a login too, where its reader takes the answers that the login waits for."""
    found = {}
    for pid in os.listdir('/proc'):
        try:
            found[int(pid)] = process(pid)
        except (OSError, ValueError, IndexError):
            pass
    now = uptime()
    parents = set(p[1] for p in found.values())
    for pid, (name, parent, began) in found.items():
        # Never the server itself: its parent is none. One that serves a session says so: "user@internal-sftp".
        if name.startswith(SERVERS) and found.get(parent, (b'',))[0].startswith(SERVERS) and pid not in parents \
                and LOGIN_TIME < now - began < seconds and os.stat('/proc/%d' % pid).st_uid == os.getuid() \
                and b'@' not in arguments(pid):
            yield pid


class Login(object):
    """Watches for the silence of a hung agent, and ends its login."""

    def __init__(self):
        # The session's leader, above which the SSH server is that may be ended.
        self.leader = self.asked = self.lost = 0
        self.since, self.boot_time = None, BOOT_TIME
        # `quick`: since a login was ended last, an answer came in time by far.
        self.haste, self.ended, self.quick = 1., False, False

    def attached(self, s):
        if self.ended:
            self.haste = max(HASTE_LEAST, self.haste * HASTE) if self.quick else 1.
            self.quick = False
        self.leader, self.asked, self.since, self.ended = 0, 0, None, False
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
            return self.asked + ANSWER_IN * self.haste + 4 * (link.srtt or 0)
        lively = link.lively or link.una < link.next
        return link.heard + (ASK_BULK if link.bulk else ASK_AFTER if lively else ASK_CALM if channels else P['grace'] / 3 + ASK_CALM)

    def look(self, link, channels, now):
        if 0 < self.asked <= link.heard:
            self.quick = link.heard - self.asked <= LATE + 4 * (link.srtt or 0)
            if not self.quick:
                self.haste = 1.
            self.asked = 0
        due = self.due(link, channels)
        if due is None or now < due:
            return
        if self.since is not None:
            self.since, self.boot_time = now, 2 * self.boot_time
            if channels:
                # The agent may have begun the login before it let go of the one before.
                seconds = now - self.lost + LOGIN_TIME
                self.finish(booting(seconds))
                try:
                    for pid in unborn(seconds):
                        os.kill(pid, signal.SIGKILL)
                except (OSError, ValueError, IndexError):
                    pass
        elif self.asked > link.heard:
            self.finish([self.leader])
            self.leader, self.ended = 0, True
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
