# asyncssh: commands, files, forwarding, all at once.
py() {
  cat >.x.py
  /usr/bin/python3 -W ignore - <<X
import asyncio, asyncssh, os, sys, hashlib, logging
logging.disable(logging.CRITICAL)
env = os.environ
def connect(**more):
    o = dict(port=int(env['PORT']), username=env['U'], password=env['SSHPASS'], known_hosts=env['KNOWN_HOSTS'], client_keys=None, agent_path=None, config=None)
    o.update(more)
    return asyncssh.connect('127.0.0.1', **o)
R = env['R']
exec(open('.x.py').read())
asyncio.run(asyncio.wait_for(main(), 60))
X
}
export R

### runs commands with status, signal, streams and input
# prints: ^7 out
py <<'X'
async def main():
    async with connect() as c:
        r = await c.run('echo out; echo err >&2; exit 7'); print(r.exit_status, r.stdout, r.stderr)
        data = bytes(range(256)) * 4000
        r = await c.run('cat', input=data, encoding=None); print(r.stdout == data)
        r = await c.run('kill -TERM $$'); print(r.exit_status, r.exit_signal)
        r = await c.run('kill -SEGV $$'); print(r.exit_signal[:2])
        p = await c.create_process('trap "echo got it; exit 4" USR1; echo up; while :; do sleep 0.05; done')
        await p.stdout.readline(); p.send_signal('USR1'); r = await p.wait(); print(r.stdout, r.exit_status)
        r = await c.run('echo $LC_X', env={'LC_X': '中文'}); print(r.stdout)
        r = await c.run('tty; stty size; exit 2', term_type='vt100', term_size=(111, 22)); print(r.stdout[-10:], r.exit_status)
X

### logs in by key, and not with a wrong password
# prints: key
py <<'X'
async def main():
    async with connect(password=None, client_keys=[env['KEY']]) as c: print('key', (await c.run('echo in')).stdout)
    try:
        async with connect(password='wrong') as c: print('in')
    except asyncssh.PermissionDenied as e: print('refused')
X

### moves files, in parallel, with odd names, links, globs and errors
# prints: ^True
# seconds: 90
py <<'X'
async def main():
    async with connect() as c, c.start_sftp_client() as s:
        data = bytes(range(256)) * 20_000; open('a', 'wb').write(data)
        await s.put('a', R + '/a'); await s.get(R + '/a', 'b'); print(open('b', 'rb').read() == data)
        os.makedirs('t/deep'); open('t/deep/中文 x', 'w').write('x'); open("t/it's", 'w').write('y'); os.symlink('deep', 't/l')
        await s.put('t', R, recurse=True); await s.get(R + '/t', 'back', recurse=True)
        print(sorted(os.listdir('back')), sorted(await s.listdir(R)), sorted(await s.glob(R + '/t/*')) == [R + '/t/deep', R + "/t/it's", R + '/t/l'])
        await s.symlink('a', R + '/link'); print(await s.readlink(R + '/link'), (await s.lstat(R + '/link')).type)
        await s.link(R + '/a', R + '/hard'); print((await s.stat(R + '/hard')).size)
        await s.posix_rename(R + '/hard', R + '/a2'); v = await s.statvfs(R); print(v.bsize > 0)
        await s.truncate(R + '/a', 7); await s.truncate(R + '/a2', 7)
        for what in s.stat(R + '/none'), s.open('/etc/shadow'), s.mkdir('/etc/none'), s.rmdir(R + '/a'), s.rename(R + '/a', R + '/a2'):
            try: await what; print('worked')
            except asyncssh.SFTPError as e: print(type(e).__name__)
    os.unlink('a'); os.unlink('b')
X

### copies by scp
# prints: ^True
py <<'X'
async def main():
    async with connect() as c:
        data = bytes(range(256)) * 4_000; open('a', 'wb').write(data)
        await asyncssh.scp('a', (c, R + '/a')); await asyncssh.scp((c, R + '/a'), 'b'); print(open('b', 'rb').read() == data)
        try: await asyncssh.scp((c, R + '/none'), '.')
        except Exception as e: print(type(e).__name__)
    os.unlink('a'); os.unlink('b'); os.unlink(R + '/a')
X

### forwards ports, sockets and SOCKS, both ways
# prints: ^b'small
server
py <<X
async def get(port=None, path=None):
    r, w = await (asyncio.open_unix_connection(path) if path else asyncio.open_connection('127.0.0.1', port))
    w.write(b'GET /small HTTP/1.0\r\n\r\n'); d = await r.read(); w.close(); return d[-6:]
async def main():
    async with connect() as c:
        l = await c.forward_local_port('', 0, '127.0.0.1', $SERVER); print(await get(l.get_port()))
        l = await c.forward_remote_port('127.0.0.1', 0, '127.0.0.1', $SERVER); print(await get(l.get_port())); l.close()
        l = await c.forward_remote_path(R + '/.s', '$W/.none'); l.close(); await l.wait_closed()
        l = await c.forward_remote_path_to_port(R + '/.s2', '127.0.0.1', $SERVER) if hasattr(c, 'forward_remote_path_to_port') else None
        if l: print(await get(path=R + '/.s2'))
        try: await c.open_connection('127.0.0.1', 1)
        except asyncssh.ChannelOpenError as e: print(e.code, e.reason)
        r, w = await c.open_connection('127.0.0.1', $SERVER); w.write(b'GET /small HTTP/1.0\r\n\r\n'); w.write_eof(); print((await r.read())[-6:])
X

### runs fifty commands at once, and twenty connections at once
# prints: ^True
# seconds: 90
py <<'X'
async def main():
    async with connect() as c:
        rs = await asyncio.gather(*(c.run('echo %d; exit %d' % (n, n)) for n in range(50)))
        print([(r.stdout, r.exit_status) for r in rs] == [('%d\n' % n, n) for n in range(50)])
    async def alone(n):
        async with connect(password=None, client_keys=[env['KEY']]) as c: return (await c.run('exit %d' % n)).exit_status
    print(await asyncio.gather(*(alone(n) for n in range(20))) == list(range(20)))
X

### carries large data and renews keys by itself
# prints: ^True
# seconds: 90
random $LARGE_MB >.a
py <<'X'
async def main():
    data = open('.a', 'rb').read()
    async with connect(rekey_bytes=1_000_000, compression_algs=['zlib@openssh.com']) as c:
        print((await c.run('cat', input=data, encoding=None)).stdout == data)
X

### is cut in the middle of a command and of a transfer, and the next one works
# prints: ^gone\nclosed\n0 again\n\nnothing left\nthe beginning
before
random 64 >tmp-a
py <<'X' 2>/dev/null & p=$!
async def main():
    async with connect() as c, c.start_sftp_client() as s:
        await c.create_process('echo >%s/.up; cat; true %s' % (R, R))
        await s.put('tmp-a', R + '/.part'), await asyncio.sleep(60)
X
until_true test -s $R/.up -a -s $R/.part
pkill -9 -P $p
{ wait $p; } 2>/dev/null
until_true sh -c "! pgrep -u $U -f '[c]at; true $R'" && echo gone
closed $R/.part
py <<'X'
async def main():
    async with connect() as c: r = await c.run('echo again'); print(r.exit_status, r.stdout)
X
nothing_left
part $R/.part
