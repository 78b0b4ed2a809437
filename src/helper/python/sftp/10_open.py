# Requests about open files and folders. Each answers (kind, part, ...), or None for Success; so do those
# about names.


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
