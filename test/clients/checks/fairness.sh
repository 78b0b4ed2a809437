# Channels beside each other: none waits for another that is busy or not read.

### typing is echoed while a copy runs at full speed in another channel
# prints: ^100 echoes\nnone waits for the copy\n0
# seconds: 90
master
random 48 >tmp-a
/usr/bin/scp -q -F $CFG -o ControlPath=ctl tmp-a dev:$R/.a & p=$!
until_true test -s $R/.a
cat >.x.py <<'X'
import os, pty, sys, time, select
pid, fd = pty.fork()
if pid == 0: os.execvp('ssh', ['ssh', '-F', os.environ['CFG'], '-S', 'ctl', '-tt', 'dev', 'stty raw -echo; echo go; cat'])
def until(text):
    got = b''
    while text not in got:
        if not select.select([fd], [], [], 30)[0]: sys.exit('no echo within 30 s')
        got += os.read(fd, 1000)
until(b'go')
times = []
# How much of the copy arrives between a key and its echo, while it lasts.
copied, whole = [], os.path.getsize('tmp-a')
size = lambda: os.path.getsize(os.environ['R'] + '/.a')
for i in range(100):
    key = b'%d;' % (1000 + i)
    before = size()
    at = time.monotonic(); os.write(fd, key); until(key); times.append(time.monotonic() - at)
    if before < whole: copied.append(size() - before)
    time.sleep(0.01)
times.sort(); copied.sort()
print(len(times), 'echoes')
middle = copied[len(copied) // 2] if copied else 0
# sshd on this machine may copy all of it meanwhile.
print('none waits for the copy' if middle < 4_000_000 or os.environ['SIDE'] == 'direct' else 'an echo waits for %d bytes: %s' % (middle, copied))
open('.copied', 'w').write('%d keys, median %d, worst %d bytes\n' % (len(copied), middle, copied[-1] if copied else 0))
# Told to people, not compared.
open('.latency', 'w').write('median %.1f ms, 95%% %.1f ms, worst %.1f ms\n' % (times[50] * 1e3, times[95] * 1e3, times[-1] * 1e3))
X
python3 .x.py
wait $p; echo $?
[ -z "${IOTDA_SSH_TEST_FIGURES-}" ] || echo "$SIDE: keystroke to echo beside scp: $(cat .latency), copied meanwhile: $(cat .copied)" >>$IOTDA_SSH_TEST_FIGURES
rm $R/.a
ssh -S ctl -O exit dev 2>/dev/null

### a channel that nobody reads blocks only itself
# prints: ^others work\n0\nequal\nunread 0
# seconds: 60
master
mkfifo tmp-p
ssh -S ctl dev "head -c 30000000 /dev/zero; echo >$R/done" >tmp-p & p=$!
exec 3<tmp-p
head -c 1 <&3 >/dev/null
ssh -S ctl dev 'echo others work'; echo $?
random 4 >a
ssh -S ctl dev cat <a | cmp - a && echo equal
test -e $R/done && echo not blocked
cat <&3 | wc -c >/dev/null
wait $p; echo unread $?
ssh -S ctl -O exit dev 2>/dev/null

### a program that does not read its input blocks only itself
# prints: ^others work\n0\nequal
# seconds: 60
master
random 24 >tmp-a
/usr/bin/ssh -F $CFG -S ctl dev "echo \$\$ >$R/.pid; exec sleep 60" <tmp-a & p=$!
until_true test -s $R/.pid
ssh -S ctl dev 'echo others work'; echo $?
random 4 >a
ssh -S ctl dev cat <a | cmp - a && echo equal
kill $(cat $R/.pid)
{ wait $p; } 2>/dev/null
ssh -S ctl -O exit dev 2>/dev/null

### a forwarded connection that nobody reads blocks only itself
# prints: ^equal
# seconds: 60
server
fwd -N -L $L1:127.0.0.1:$SERVER -L $L2:127.0.0.1:$PORT
random 24 >.served/more
exec 3<>/dev/tcp/127.0.0.1/$L1
printf 'GET /more HTTP/1.0\r\n\r\n' >&3
head -c 1 <&3 >/dev/null
curl_to $L1 /random | cmp - .served/random && echo equal
head -c 4 </dev/tcp/127.0.0.1/$L2; echo
exec 3>&-
