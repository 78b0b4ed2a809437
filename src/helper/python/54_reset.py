# The end of a login that hangs. The stock C agent may hang in the middle of typing, with a thread that waits
# for its connection to the device's SSH server for ever; then no new login is possible either. A reset
# of that connection frees it (the mere end does not: it waits for no event but errors), and can be had
# from here: the SSH server's process is the user's own, and the kernel resets the connection of a
# process that dies with bytes unread. Also a part of the guard (guard.py).
import os, signal, select, time

SERVERS = b'sshd', b'dropbear'
# Seconds that a reset may take, in which all else here waits, and bytes printed from one try to the next.
RESET_TIME, RESET_STEP = 3, 100000


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
