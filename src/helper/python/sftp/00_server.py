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
