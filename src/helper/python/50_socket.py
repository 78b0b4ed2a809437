# Sockets of the device: outgoing connections, listeners and what they accept.

# Seconds after which a name is given up; the resolver is a process of its own, so nothing waits on it.
RESOLVE_TIME = 20
# Connections taken in one turn, and seconds of rest when there is no descriptor for the next.
ACCEPT_MOST, ACCEPT_REST = 16, 1


class Network(Channel):
    """A channel that needs addresses first; use(places) continues with [family, address] pairs."""

    def resolve(self, name, port):
        name = name.encode()
        try:
            self.use(look_up(name, port, socket.AI_NUMERICHOST))
            return
        except socket.gaierror:
            pass
        r, w = os.pipe()
        self.owned = {r}
        try:
            if not os.fork():
                try:
                    close_others((w,))
                    signal.signal(signal.SIGALRM, signal.SIG_DFL)
                    signal.alarm(RESOLVE_TIME)
                    try:
                        answer = look_up(name, port, 0)
                    except Exception as e:
                        answer = getattr(e, 'strerror', None) or str(e)
                    os.write(w, json.dumps(answer).encode())
                finally:
                    os._exit(0)
        finally:
            os.close(w)
        self.host.watch(r, self.resolved, select.POLLIN)

    def resolved(self, fd, what):
        data = os.read(fd, 65536)
        self.free()
        answer = json.loads(data.decode()) if data else 'name lookup timed out'
        if isinstance(answer, list):
            self.use(answer)
        else:
            self.host.refuse(self.number, 'connect-failed', answer)


def look_up(name, port, flags):
    return [[a[0], a[4]] for a in socket.getaddrinfo(name, port, 0, socket.SOCK_STREAM, 0, flags)]


class Connection(Network):
    def use(self, places):
        self.places, self.problem = places, 'no address'
        self.attempt()

    def attempt(self):
        """Tries the addresses in order, as sshd does."""
        while self.places:
            family, address = self.places.pop(0)
            try:
                self.sock = socket.socket(family)
                self.sock.setblocking(False)
                code = self.sock.connect_ex(tuple(address) if isinstance(address, list) else address)
            except OSError as e:
                # A path that no socket can have has no number.
                code = e.errno or errno.ENAMETOOLONG
            if code in (0, errno.EINPROGRESS):
                self.host.watch(self.sock.fileno(), self.answered, select.POLLOUT)
                return
            self.problem = os.strerror(code)
            self.free()
        self.host.refuse(self.number, 'connect-failed', self.problem)

    def answered(self, fd, what):
        code = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self.problem = os.strerror(code)
            self.free()
            self.attempt()
        else:
            self.adopt(self.sock)
            self.opened()

    def adopt(self, s):
        self.sock = s
        s.setblocking(False)
        if s.family != socket.AF_UNIX:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.writer = s.fileno()
        self.readers = {self.writer: DATA}
        self.arm()


class Listener(Network):
    path = folder = None

    def __init__(self, host, number):
        Channel.__init__(self, host, number)
        self.socks = []

    def use(self, places):
        problem = None
        for family, address in places:
            try:
                # A system without IPv6 has no such socket.
                s = socket.socket(family)
            except OSError as e:
                problem = e
                continue
            self.socks.append(s)
            try:
                if family == socket.AF_UNIX:
                    mask = os.umask(0o177)
                    try:
                        s.bind(address)
                        self.path = address
                    finally:
                        os.umask(mask)
                else:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    if family == socket.AF_INET6:
                        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                    # Port 0: the others take the one that the first was given.
                    s.bind((address[0], address[1] or self.port()) + tuple(address[2:]))
                s.listen(128)
                s.setblocking(False)
            except OSError as e:
                problem = e
                self.socks.pop().close()
        if not self.socks:
            self.host.refuse(self.number, 'prohibited' if problem.errno == errno.EACCES else
                             'connect-failed', problem.strerror or str(problem))
            return
        self.opened(json.dumps({'path': self.path.decode('latin-1')} if self.path
                               else {'port': self.port()}).encode())
        self.resume()

    def port(self):
        return self.socks[0].getsockname()[1] if len(self.socks) > 0 else 0

    def resume(self):
        for s in self.socks:
            self.host.watch(s.fileno(), self.event, select.POLLIN)

    def event(self, fd, what):
        for s in self.socks:
            try:
                for _ in range(ACCEPT_MOST if s.fileno() == fd else 0):
                    self.host.check_room()
                    self.accepted(*s.accept())
            except (BlockingIOError, ConnectionError):
                pass
            except OSError:
                for s in self.socks:
                    self.host.drop(s.fileno())
                self.host.later(ACCEPT_REST, self.resume)

    def accepted(self, s, address):
        host = self.host
        host.incoming += 1
        channel = Connection(host, 0x80000000 | host.incoming)
        where = address[:2] if isinstance(address, tuple) else ('', 0)
        channel.send(OPEN, json.dumps({'kind': 'accept', 'listener': self.number,
                                       'host': where[0], 'port': where[1]}).encode())
        channel.opening = False
        channel.adopt(s)

    def free(self):
        for s in self.socks:
            self.host.drop(s.fileno())
            s.close()
        self.socks = []
        try:
            if self.path:
                os.unlink(self.path)
            if self.folder:
                os.rmdir(self.folder)
        except OSError:
            pass
        self.path = self.folder = None
        Channel.free(self)


def open_tcp(host, number, o):
    Connection(host, number).resolve(o['host'], o['port'])


def open_unix(host, number, o):
    Connection(host, number).use([[socket.AF_UNIX, text(o['path'])]])


def listen_tcp(host, number, o):
    name, port = o['host'], o['port']
    families = (socket.AF_INET, socket.AF_INET6) if socket.has_ipv6 else (socket.AF_INET,)
    known = {'': ('0.0.0.0', '::'), '*': ('0.0.0.0', '::'), 'localhost': ('127.0.0.1', '::1')}.get(name)
    listener = Listener(host, number)
    if known:
        listener.use([[family, (place, port)] for family, place in zip(families, known)])
    else:
        listener.resolve(name, port)


def listen_unix(host, number, o):
    Listener(host, number).use([[socket.AF_UNIX, text(o['path'])]])


def listen_agent(host, number, o):
    """A socket for SSH_AUTH_SOCK in a folder that is ours alone, named as sshd names it."""
    problem = None
    for base in '/tmp', '/var/tmp', os.environ.get('XDG_RUNTIME_DIR'), host.user.home:
        folder = '%s/ssh-%s' % (base, b2a_hex(os.urandom(8)).decode())
        try:
            os.mkdir(folder, 0o700)
        except OSError as e:
            problem = e
            continue
        listener = Listener(host, number)
        listener.folder = folder
        listener.use([[socket.AF_UNIX, os.fsencode(folder + '/agent.%d' % os.getpid())]])
        return
    raise problem
