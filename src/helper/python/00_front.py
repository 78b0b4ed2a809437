# The front: a pump between the login terminal and the daemon's socket. This file alone, followed by
# a call of front(), is the program that attaches a new login to a surviving daemon; together with
# the other files it is the helper. `P` (parameters) is put in front of the text by program.ts.
#
# Language: Python 3.5 to 3.14, standard library only.
import os, sys, socket, hashlib, signal, select, _thread

# A `pkill python3` of the user's shall not end every client.
try:
    with open('/proc/self/comm', 'w') as f:
        f.write('iotda-ssh')
except OSError:
    pass


def digest(word):
    """H(secret + word): every name and key of a session comes from here."""
    return hashlib.sha256(bytes.fromhex(P['secret']) + word).digest()


def places():
    """Rendezvous addresses, best first. The abstract name leaves no file behind; the paths are for
    systems without it (not Linux), in a 0700 directory that the daemon removes."""
    name = 'iotda-ssh-' + digest(b'name').hex()[:32]
    yield '\0' + name
    for base in (os.environ.get('XDG_RUNTIME_DIR'), '/tmp', '/var/tmp', os.environ.get('HOME')):
        if base:
            yield base + '/.' + name + '/s'


def same_user(s):
    """True when the other end of a Unix socket runs as this user (where the system can tell)."""
    try:
        # struct ucred: pid, uid, gid.
        return int.from_bytes(s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[4:8], sys.byteorder) == os.getuid()
    except AttributeError:
        return True


def reach():
    """A proven connection to the daemon, or None."""
    for place in places():
        s = socket.socket(socket.AF_UNIX)
        try:
            s.connect(place)
            if same_user(s):
                s.sendall(digest(b'front'))
                return s
        except OSError:
            pass
        s.close()


def raw():
    """Raw terminal without echo; the device may have no stty."""
    try:
        import termios
        a = termios.tcgetattr(0)
        a[0] = a[1] = a[3] = 0
        a[2] = a[2] & ~(termios.CSIZE | termios.PARENB) | termios.CS8 | termios.CREAD
        a[6][termios.VMIN] = 1
        a[6][termios.VTIME] = 0
        termios.tcsetattr(0, termios.TCSANOW, a)
    except Exception:
        pass


def typed():
    """What is there of the terminal's input, at least one byte; b'' when it has gone."""
    try:
        data = os.read(0, 65536)
        # A terminal gives 4 kB at most; the daemon's turn costs more than another read.
        while 0 < len(data) < 65536 and select.select([0], [], [], 0)[0]:
            more = os.read(0, 65536)
            if not more:
                break
            data += more
        return data
    except OSError:
        return b''


def front():
    """Pumps until either side ends. One thread a direction, so that a terminal which takes no
    output never stops input; no O_NONBLOCK, which the waiting shell would inherit. Threads are safe
    here: this process forks no more."""
    for name in ('INT', 'QUIT', 'TSTP', 'TTIN', 'TTOU', 'PIPE', 'ALRM', 'USR1', 'USR2'):
        signal.signal(getattr(signal, 'SIG' + name), signal.SIG_IGN)
    link = reach()
    if not link:
        os.write(1, b'@GONE-%s@\n' % digest(b'gone').hex()[:16].encode())
        return
    raw()

    def up():
        while 1:
            data = typed()
            if not data:
                os._exit(0)
            try:
                link.sendall(data)
            except OSError:
                # The daemon is gone; its last words may still be on their way to the terminal.
                return

    _thread.start_new_thread(up, ())
    try:
        while 1:
            data = link.recv(65536)
            if not data:
                break
            while data:
                data = data[os.write(1, data):]
    finally:
        os._exit(0)
