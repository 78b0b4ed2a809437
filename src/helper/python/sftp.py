# The built-in SFTP server, version 3 (draft-ietf-secsh-filexfer-02), for devices without an
# sftp-server of their own. It answers as OpenSSH's sftp-server does, byte for byte where clients can
# see it, oddities that they may rely on included; "as OpenSSH" below always means that program.
#
# Sent to the device by the mux message PROGRAM when it is first needed, so every line costs time on a
# slow link. Names are bytes all the way. Language: Python 3.5 to 3.14, standard library only.
import os, stat, time, pwd, grp, resource, functools, itertools
from struct import pack, unpack_from, iter_unpack, error
# Constants only.
from errno import *

INIT, VERSION, STATUS, HANDLE, DATA, NAME, ATTRS, EXTENDED, REPLY = 1, 2, 101, 102, 103, 104, 105, 200, 201
# What fail() takes besides error numbers of the system.
FAILURE, END = 0, -1
BAD_MESSAGE = 5
TEXTS = 'Success|End of file|No such file|Permission denied|Failure|Bad message|||Operation unsupported'.split('|')
# Status codes of error numbers; 4, Failure, for all others.
CODES = {END: 1, ENOENT: 2, ENOTDIR: 2, EBADF: 2, ELOOP: 2, EPERM: 3, EACCES: 3, EFAULT: 3,
         ENAMETOOLONG: BAD_MESSAGE, EINVAL: BAD_MESSAGE, ENOSYS: 8}

# Bytes of a request, and of the data in one; all as OpenSSH, and told by limits@openssh.com.
PACKET_MOST, DATA_MOST = 262144, 261120
# Bytes of answers that wait for the end of the requests at hand.
OUT_MOST = 262144
# Open files and folders, whatever the system allows.
HANDLES_MOST = 65536
# Names in one answer, symbolic links in one path, bytes of a path, bytes of one step of copy-data.
NAMES_MOST, LINKS_MOST, PATH_MOST, COPY_STEP = 100, 20, 4096, 65536
# Seconds after which a listing shows the year; it does so for the future, too.
HALF_YEAR = 15768000

# Open handles by their four bytes. Numbers are given out again, last first, as OpenSSH: a test
# compares the bytes of both.
handles, unused = {}, []


class Handle(object):
    """An open file has a descriptor, an open folder an iterator of names."""

    def __init__(self, number, path, fd, append=0, names=None):
        self.number, self.path, self.fd, self.append, self.names = number, path, fd, append, names


def fail(number=FAILURE, text=None):
    e = OSError(number, '')
    e.text = text
    raise e


def string(data):
    return pack('>I', len(data)) + data


def encoded(text):
    return text.encode('utf-8', 'surrogateescape')


class Server(object):
    """One connection: cuts the stream into requests and gathers the answers."""

    # The client's version, None until its INIT.
    version = None

    def __init__(self, rfd, wfd):
        self.rfd, self.wfd, self.out, self.size = rfd, wfd, [], 0

    def run(self):
        data = bytearray()
        while 1:
            more = os.read(self.rfd, PACKET_MOST)
            if not more:
                break
            data += more
            at = 0
            while len(data) - at > 4:
                end = at + 4 + self.length(data, at)
                if len(data) < end:
                    break
                self.take(bytes(memoryview(data)[at + 4:end]))
                at = end
            del data[:at]
            self.flush()

    def length(self, data, at):
        size = unpack_from('>I', data, at)[0]
        if size > PACKET_MOST:
            self.give_up(11)
        return size

    def give_up(self, code):
        """After this nothing in the stream can be trusted."""
        self.flush()
        os._exit(code)

    def flush(self):
        data, self.out, self.size = memoryview(b''.join(self.out)), [], 0
        try:
            while data:
                data = data[os.write(self.wfd, data):]
        except OSError:
            os._exit(1)

    def send(self, kind, *parts):
        size = sum(map(len, parts))
        self.out.append(pack('>IB', 1 + size, kind))
        self.out += parts
        self.size += size
        if self.size > OUT_MOST:
            self.flush()

    def take(self, packet):
        """One request. All of its fields are read before anything is done."""
        self.packet, self.at = packet, 1
        try:
            kind, number = packet[0], self.i()
            if kind == INIT:
                self.version = number
                self.send(VERSION, b'\0\0\0\3', *[string(part) for e in EXTENSIONS for part in e[:2]])
                return
            if self.version is None:
                self.give_up(255)
            if kind == EXTENDED:
                kind = self.s()
            # As the draft has it; OpenSSH says nothing to an unknown number, and stalls.
            fields, call = CALLS.get(kind, ('', lambda: fail(ENOSYS)))
            values = [getattr(self, f)() for f in fields]
        except (error, IndexError):
            self.give_up(255)
        code, text = 0, None
        try:
            answer = call(*values)
            if answer:
                self.send(answer[0], packet[1:5], *answer[1:])
                return
        except OSError as e:
            code, text = CODES.get(e.errno, 4), getattr(e, 'text', None)
        except (OverflowError, ValueError):
            # A number that the system's call has no room for.
            code = BAD_MESSAGE
        except Exception:
            # A call that this system does not have.
            code = 8
        except error:
            # A field within a field that is cut off: fatal, as OpenSSH.
            self.give_up(255)
        # Older clients know no text.
        self.send(STATUS, packet[1:5], pack('>I', code), *[
            string((text or TEXTS[code]).encode()), string(b'')] if self.version > 2 else ())

    # Fields of a request, by the letters of CALLS

    def i(self):
        self.at += 4
        return unpack_from('>I', self.packet, self.at - 4)[0]

    def q(self):
        return self.i() << 32 | self.i()

    def d(self):
        """Bytes."""
        size = self.i()
        self.at += size
        if self.at > len(self.packet):
            raise IndexError
        return self.packet[self.at - size:self.at]

    def s(self):
        """A name: one NUL at its end is forgiven, as OpenSSH."""
        name = self.d()
        if name[-1:] == b'\0':
            name = name[:-1]
        if b'\0' in name:
            raise IndexError
        return name

    def h(self):
        """A handle, None for an unknown one."""
        return handles.get(self.d())

    def a(self):
        """Attributes: size, mode, times, owner; None for those that are not there."""
        flags = self.i()
        size = self.q() if flags & 1 else None
        owner = (self.i(), self.i()) if flags & 2 else None
        mode = self.i() & 0o7777 if flags & 4 else None
        times = (self.i(), self.i()) if flags & 8 else None
        for _ in range(self.i() if flags >> 31 else 0):
            self.s()
            self.d()
        return size, mode, times, owner


# Requests: each answers (kind, part, ...), or None for Success


def handles_most():
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return HANDLES_MOST if limit < 0 else min(HANDLES_MOST, limit - 5)


def check_room():
    if len(handles) >= handles_most():
        fail()


def keep(*values):
    number = pack('>I', unused.pop() if unused else len(handles))
    handles[number] = Handle(number, *values)
    return HANDLE, string(number)


def fd_of(handle, problem=FAILURE):
    if not handle or handle.fd is None:
        fail(problem)
    return handle.fd


def seek(handle, offset):
    """The descriptor, for writing at this offset; a file that only grows takes any."""
    fd = fd_of(handle)
    if not handle.append:
        os.lseek(fd, offset, 0)
    return fd


def open_file(path, wish, values):
    check_room()
    flags = (0, 0, os.O_WRONLY, os.O_RDWR)[wish & 3]
    for bit, flag in (4, os.O_APPEND), (8, os.O_CREAT), (16, os.O_TRUNC), (32, os.O_EXCL):
        if wish & bit:
            flags |= flag
    return keep(path, os.open(path, flags, mode_of(values, 0o666)), wish & 4)


def mode_of(values, other):
    return other if values[1] is None else values[1]


def close(handle):
    if not handle:
        fail(ENOENT)
    del handles[handle.number]
    unused.append(unpack_from('>I', handle.number)[0])
    if handle.fd is not None:
        os.close(handle.fd)


def read(handle, offset, size):
    fd = fd_of(handle)
    os.lseek(fd, offset, 0)
    # No bytes can be read from what is open for writing only, too.
    data = os.read(fd, min(size, DATA_MOST)) if size else b''
    if size and not data:
        fail(END)
    return DATA, pack('>I', len(data)), data


def write(handle, offset, data):
    if os.write(seek(handle, offset), data) != len(data):
        fail()


def copy(source, offset, size, target, at):
    """copy-data: `size` 0 means up to the end."""
    fd_of(target)
    if source is target or fd_of(source) < 0 or source.path == target.path:
        fail()
    os.lseek(source.fd, offset, 0)
    to = seek(target, at)
    left = size or 1 << 64
    while left:
        step = min(COPY_STEP, left)
        left -= step
        data = os.read(source.fd, step)
        if not data:
            # As OpenSSH: an end of the file in the last step is not worth a word.
            if size and left:
                fail(END)
            break
        while data:
            data = data[os.write(to, data):]


def open_folder(path):
    check_room()
    return keep(path, None, 0, itertools.chain((b'.', b'..'), (e.name for e in os.scandir(path))))


def read_folder(handle):
    if not handle or not handle.names:
        fail()
    found = []
    try:
        for name in handle.names:
            try:
                st = os.lstat(handle.path.rstrip(b'/') + b'/' + name)
            except OSError:
                continue
            found += string(name), string(long_name(name, st)), attributes(st)
            if len(found) == 3 * NAMES_MOST:
                break
    except OSError:
        pass
    if not found:
        fail(END)
    return (NAME, pack('>I', len(found) // 3)) + tuple(found)


def long_name(name, st):
    try:
        recent = 0 <= int(time.time()) - st[8] < HALF_YEAR
        when = time.strftime('%b %e %H:%M' if recent else '%b %e  %Y', time.localtime(st[8]))
    except (OSError, OverflowError, ValueError):
        when = ''
    return encoded('%s  %3d %-8s %-8s %8d %s ' % (
        stat.filemode(st.st_mode), st.st_nlink, name_of(pwd.getpwuid, st.st_uid, str(st.st_uid)),
        name_of(grp.getgrgid, st.st_gid, str(st.st_gid)), st.st_size, when)) + name


@functools.lru_cache(1000)
def name_of(look_up, number, unknown):
    try:
        return look_up(number)[0]
    except KeyError:
        return unknown


def attributes(st):
    # The times by index: whole seconds, where the fields are rounded floats.
    return pack('>IQ5I', 15, st.st_size, st.st_uid, st.st_gid, st.st_mode, st[7] & 0xffffffff, st[8] & 0xffffffff)


def told(st):
    return ATTRS, attributes(st)


def named(name):
    """One name without attributes."""
    return NAME, b'\0\0\0\1', string(name), string(name), b'\0\0\0\0'


def rename(old, new):
    """Never replaces `new`: for regular files without a race, where there are hard links."""
    if stat.S_ISREG(os.lstat(old).st_mode):
        try:
            os.link(old, new, follow_symlinks=False)
        except OSError as e:
            if e.errno not in (EOPNOTSUPP, ENOSYS, EXDEV, EPERM):
                raise
        else:
            try:
                os.unlink(old)
            except OSError:
                os.unlink(new)
                raise
            return
    if os.path.exists(new):
        fail()
    os.rename(old, new)


def set_attributes(target, values, chmod=os.chmod, **follow):
    """Does all that is asked for, whatever fails; the last failure is the answer."""
    problem = None
    for call, value in zip((os.truncate, chmod, os.utime, change_owner), values):
        if value is not None:
            try:
                call(target, value, **follow)
            except (OSError, OverflowError) as e:
                problem = e
    if problem:
        raise problem


def change_owner(target, owner, **follow):
    os.chown(target, *[-1 if n == 0xffffffff else n for n in owner], **follow)


def set_link_attributes(path, values):
    if values[0] is not None:
        fail(EINVAL)
    set_attributes(path, values, change_link_mode, follow_symlinks=False)


def change_link_mode(path, mode, **_):
    """chmod of what is not a symbolic link; Linux has no mode for those."""
    fd = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    try:
        if stat.S_ISLNK(os.fstat(fd).st_mode):
            fail(EOPNOTSUPP)
        os.chmod('/proc/self/fd/%d' % fd, mode)
    finally:
        os.close(fd)


def real_path(path):
    """As OpenSSH: the last name need not exist, and `..` takes away a name, whatever it is."""
    path = path or b'.'
    if len(path) >= PATH_MOST:
        fail(ENAMETOOLONG)
    found, links = b'/' if path[:1] == b'/' else os.getcwdb(), 0
    while path:
        name, slash, path = path.partition(b'/')
        if name == b'..':
            found = os.path.dirname(found)
        elif name not in (b'', b'.'):
            folder, found = found, found.rstrip(b'/') + b'/' + name
            try:
                mode = os.lstat(found).st_mode
            except FileNotFoundError:
                if slash:
                    raise
                break
            if stat.S_ISLNK(mode):
                links += 1
                if links > LINKS_MOST + 1:
                    fail(ELOOP)
                target = os.readlink(found)
                found = b'/' if target[:1] == b'/' else folder
                path = target + slash + path
    return named(found)


def home(user, *unknown):
    try:
        return os.fsencode(pwd.getpwnam(os.fsdecode(user)).pw_dir)
    except KeyError:
        fail(*unknown)


def expand(path):
    if path[:1] == b'~':
        user, _, rest = path[1:].partition(b'/')
        folder = home(user, ENOENT, 'no such user') if user else os.getcwdb()
        path = folder if path == b'~' else folder + b'/' + rest
    return real_path(path)


def volume(target):
    v = os.statvfs(target)
    return REPLY, pack('>11Q', v.f_bsize, v.f_frsize, v.f_blocks, v.f_bfree, v.f_bavail, v.f_files, v.f_ffree,
                       v.f_favail, getattr(v, 'f_fsid', 0), v.f_flag & 3, v.f_namemax)


def names(*lists):
    return (REPLY,) + tuple(string(b''.join(string(encoded(name_of(look_up, n[0], ''))) for n in iter_unpack('>I', ids)))
                            for ids, look_up in zip(lists, (pwd.getpwuid, grp.getgrgid)))


def link(old, new):
    os.link(old, new, follow_symlinks=False)


EXTENSIONS = (
    (b'posix-rename@openssh.com', b'1', 'ss', os.rename),
    (b'statvfs@openssh.com', b'2', 's', volume),
    (b'fstatvfs@openssh.com', b'2', 'h', lambda handle: volume(fd_of(handle))),
    (b'hardlink@openssh.com', b'1', 'ss', link),
    (b'fsync@openssh.com', b'1', 'h', lambda handle: os.fsync(fd_of(handle, ENOENT))),
    (b'lsetstat@openssh.com', b'1', 'sa', set_link_attributes),
    (b'limits@openssh.com', b'1', '', lambda: (REPLY, pack('>4Q', PACKET_MOST, DATA_MOST, DATA_MOST, handles_most()))),
    (b'expand-path@openssh.com', b'1', 's', expand),
    (b'copy-data', b'1', 'hqqhq', copy),
    (b'home-directory', b'1', 's', lambda user: named(home(user))),
    (b'users-groups-by-id@openssh.com', b'1', 'dd', names),
)
# Kind of request, or name of an extension: its fields, its function.
CALLS = {e[0]: e[2:] for e in EXTENSIONS}
CALLS.update(enumerate((
    ('sia', open_file),
    ('h', close),
    ('hqi', read),
    ('hqd', write),
    ('s', lambda path: told(os.lstat(path))),
    ('h', lambda handle: told(os.fstat(fd_of(handle)))),
    ('sa', set_attributes),
    ('ha', lambda handle, values: set_attributes(fd_of(handle), values)),
    ('s', open_folder),
    ('h', read_folder),
    ('s', os.unlink),
    ('sa', lambda path, values: os.mkdir(path, mode_of(values, 0o777))),
    ('s', os.rmdir),
    ('s', real_path),
    ('s', lambda path: told(os.stat(path))),
    ('ss', rename),
    ('s', lambda path: named(os.readlink(path))),
    # The target first, unlike the draft: as OpenSSH, and so every client.
    ('ss', os.symlink)), 3))


def sftp_main(rfd, wfd):
    """Serves until the client's end of file; ends the process when the stream is not SFTP."""
    Server(rfd, wfd).run()
