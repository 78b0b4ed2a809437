# Entry of the start program: binds the rendezvous, leaves the daemon behind, becomes the front.


def bind():
    """The rendezvous' listening socket and its path (None when abstract). OSError when no place
    works or a daemon is there already."""
    problem = OSError('no place for a socket')
    for place in places():
        s = socket.socket(socket.AF_UNIX)
        path = None if place[0] == '\0' else place
        try:
            if path:
                os.mkdir(os.path.dirname(path), 0o700)
            s.bind(place)
            s.listen(PROOF_MOST)
            s.setblocking(False)
            return s, path
        except OSError as e:
            s.close()
            problem = e
            if e.errno == errno.EADDRINUSE:
                break
    raise problem


def start():
    try:
        listener, path = bind()
    except OSError:
        # The same program typed twice: the first one's daemon serves.
        front()
        return
    # Before the daemon leaves the login's session.
    login = login_process()
    pid = os.fork()
    if not pid:
        try:
            os.setsid()
            if not os.fork():
                daemon(listener, path, login)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    listener.close()
    front()


def daemon(listener, path, login):
    null = os.open('/dev/null', os.O_RDWR)
    for fd in 0, 1, 2:
        os.dup2(null, fd)
    close_others((listener.fileno(),))
    for name in 'HUP INT QUIT TSTP TTIN TTOU PIPE ALRM USR1 USR2'.split():
        signal.signal(getattr(signal, 'SIG' + name), signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    host = Host(listener, login)
    try:
        os.chdir(host.user.home)
    except OSError:
        os.chdir('/')
    try:
        host.run()
    except BaseException as e:
        host.over = repr(e)
    host.end()
    if path:
        try:
            os.unlink(path)
            os.rmdir(os.path.dirname(path))
        except OSError:
            pass
