# Starting processes as sshd does: the user's shell, home and login environment, a fresh session.
import fcntl, pwd, resource

# Of the login terminal or of the shell that it ran, not of a new session.
NOT_INHERITED = 'SHLVL OLDPWD PWD _ SSH_TTY TERM COLUMNS LINES'.split()
SFTP_SERVERS = ('/usr/lib/openssh', '/usr/libexec', '/usr/libexec/openssh', '/usr/lib/ssh',
                '/usr/lib64/misc', '/usr/lib64/ssh', '/usr/lib', '/usr/sbin')


def login_process():
    """(environment, umask) with which the login shell, our session's leader, was started: its start-up
    files have changed its own since. (None, None) where the system does not tell."""
    try:
        leader = '/proc/%d/' % os.getsid(0)
        with open(leader + 'environ', 'rb') as f:
            env = dict(entry.split(b'=', 1) for entry in f.read().split(b'\0') if b'=' in entry)
        if b'PATH' not in env:
            return None, None
        with open(leader + 'status') as f:
            parent = f.read().split('\nPPid:')[1].split()[0]
        with open('/proc/%s/status' % parent) as f:
            mask = f.read().split('\nUmask:')[1].split()[0]
        return env, int(mask, 8)
    except (OSError, ValueError, IndexError):
        return None, None


class User(object):
    """Who we are on this device: from the password file where it knows us, else from the login."""

    def __init__(self, login_env, umask):
        env = os.environ
        try:
            entry = pwd.getpwuid(os.getuid())
        except KeyError:
            entry = None
        self.name = entry.pw_name if entry else env.get('USER') or str(os.getuid())
        self.home = entry.pw_dir if entry else env.get('HOME') or '/'
        self.shell = entry and entry.pw_shell or env.get('SHELL') or '/bin/sh'
        # Descriptors that a new process may have (soft, hard), as the login has it.
        self.files = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.umask = umask
        self.env = login_env or dict(os.environb)
        for name in NOT_INHERITED:
            self.env.pop(name.encode(), None)
        for name, value in (('USER', self.name), ('LOGNAME', self.name), ('HOME', self.home)):
            self.env.setdefault(name.encode(), os.fsencode(value))
        self.env[b'SHELL'] = os.fsencode(self.shell)
        if not login_env:
            self.drop_lc_ctype()

    def drop_lc_ctype(self):
        """Python sets LC_CTYPE where the login has no locale (PEP 538); what we were started with shows."""
        try:
            with open('/proc/self/environ', 'rb') as f:
                if b'\0LC_CTYPE=' not in b'\0' + f.read():
                    self.env.pop(b'LC_CTYPE', None)
        except OSError:
            pass


def find_sftp():
    for folder in SFTP_SERVERS + tuple(os.environ.get('PATH', '').split(':')):
        path = folder + '/sftp-server'
        if folder and os.access(path, os.X_OK) and os.path.isfile(path):
            return path


def text(value):
    """JSON text that stands for bytes. Up to the first NUL, as C programs read them."""
    return value.split('\0')[0].encode('latin-1')


def start_process(channel, o, user, program):
    """Runs what an OPEN of kind exec or sftp asks for; `program` is the built-in SFTP server's text
    when that is to run. OSError when the system has no room for it."""
    env = dict(user.env)
    for name, value in (o.get('env') or {}).items():
        env[text(name)] = text(value)
    shell = os.fsencode(user.shell)
    agent = channel.host.channels.get(o.get('agent'))
    if agent:
        env[b'SSH_AUTH_SOCK'] = agent.path
    cmd, pty = o.get('cmd'), o.get('pty')
    path, argv = shell, [b'-' + shell.split(b'/')[-1]]
    if cmd is not None:
        argv = [argv[0][1:], b'-c', text(cmd)]
    if o['kind'] == 'sftp':
        path = os.fsencode(channel.host.sftp or '')
        argv = [path]
    opened = []
    try:
        if pty:
            master, slave = os.openpty()
            opened += master, slave
            ours, theirs = [master], [slave, slave, slave]
            set_size(slave, pty['cols'], pty['rows'], pty['x'], pty['y'])
            set_modes(slave, pty['modes'])
            env[b'SSH_TTY'] = os.fsencode(os.ttyname(slave))
            if pty['term']:
                env[b'TERM'] = text(pty['term'])
        else:
            for _ in range(3):
                opened += os.pipe()
            ours, theirs = [opened[1], opened[2], opened[4]], [opened[0], opened[3], opened[5]]
        # A signal sent to the child before it has its own handlers waits for them.
        signal.pthread_sigmask(signal.SIG_BLOCK, list(SIGNALS))
        try:
            pid = os.fork()
            if not pid:
                child(user, path, argv, env, theirs, pty, cmd, program)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
    except BaseException:
        for fd in opened:
            os.close(fd)
        raise
    for fd in set(theirs):
        os.close(fd)
    for fd in ours:
        os.set_blocking(fd, False)
    channel.owned, channel.pid, channel.writer = set(ours), pid, ours[0]
    if pty:
        channel.pty = ours[0]
        channel.readers = {ours[0]: DATA}
    else:
        channel.readers = {ours[1]: DATA, ours[2]: ERR}


def child(user, path, argv, env, files, pty, cmd, program):
    """In the new process; never returns."""
    try:
        signal.set_wakeup_fd(-1)
        os.setsid()
        if pty:
            fcntl.ioctl(files[0], termios.TIOCSCTTY, 0)
        for i in 0, 1, 2:
            os.dup2(files[i], i)
        # exec resets handlers but not what is ignored, and Python and nohup ignore some.
        for number in range(1, signal.NSIG):
            try:
                if signal.getsignal(number) != signal.SIG_DFL:
                    signal.signal(number, signal.SIG_DFL)
            except (OSError, ValueError):
                pass
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        resource.setrlimit(resource.RLIMIT_NOFILE, user.files)
        if user.umask is not None:
            os.umask(user.umask)
        try:
            os.chdir(user.home)
        except OSError as e:
            # What a subsystem says of it, sshd does not pass on.
            if argv != [path]:
                os.write(2, b'Could not chdir to home directory %s: %s\n' % (
                    os.fsencode(user.home), e.strerror.encode()))
        if program:
            close_others()
            scope = {}
            exec(program, scope)
            scope['sftp_main'](0, 1)
            os._exit(0)
        if pty and cmd is None and not os.path.exists('.hushlogin'):
            for name in '/run/motd.dynamic', '/etc/motd':
                try:
                    with open(name, 'rb') as f:
                        os.write(1, f.read(65536))
                except OSError:
                    pass
        os.execve(path, argv, env)
    except OSError as e:
        os.write(2, b'%s: %s\n' % (path, e.strerror.encode()))
    except BaseException as e:
        os.write(2, repr(e).encode() + b'\n')
    finally:
        os._exit(1)


def close_others(keep=()):
    """Closes all but stdio: a fork that runs no other program must not hold other channels open."""
    try:
        fds = [int(n) for n in os.listdir('/proc/self/fd')]
    except OSError:
        fds = range(1024)
    for fd in fds:
        if fd > 2 and fd not in keep:
            try:
                os.close(fd)
            except OSError:
                pass
