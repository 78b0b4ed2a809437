# Requests about names, and which request is served by what.


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
