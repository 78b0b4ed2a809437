# OpenSSH's client: commands, streams, terminals. Many checks follow openssh-portable/regress.

### gives every exit status (exit-status.sh)
# prints: ^0 0\n0 0\n1 1\n
for i in 0 1 4 44 128 255; do
  ssh dev "exit $i"
  echo "$i $?"
  ssh -n dev "sleep 0.1; exec > /dev/null 2>&1; exit $i"
  echo "$i $?"
done

### tells that a program died of a signal (exit-status-signal.sh)
# prints: TERM 255
# sh differs: a shell cannot tell a death by INT or PIPE from an exit status above 128
# sh prints: TERM 255\nKILL 255\nINT 130\nSEGV 255\nPIPE 141
for s in TERM KILL INT SEGV PIPE STKFLT; do
  ssh dev "kill -$s \$\$"
  echo "$s $?"
done

### tells 127 for an unknown command, 126 for what cannot be run, and 1 for a failing last line
# prints: 127\n126\n1\n
ssh dev /nowhere/to/be; echo $?
ssh dev /etc/passwd; echo $?
ssh dev "true; false"; echo $?
ssh dev 'echo "unclosed'; echo $?

### tells of deaths by signals that the RFC has no name for
# prints: ^5 255\n7 255\n16 255\n31 255\n64 255
for n in 5 7 16 31 64; do
  ssh dev "kill -$n \$\$"
  echo "$n $?"
done

### lets standard input be opened anew by its name, also behind its end
# prints: ^0\ngot a\n5 -
echo 'echo got $1' >script
ssh dev 'sleep 0.3; cat /dev/stdin' </dev/null; echo $?
ssh dev 'bash /dev/stdin a' <script
echo line | ssh dev 'sleep 0.3; wc -c - </dev/stdin'
echo line | ssh dev 'sleep 0.3; . /dev/stdin' 2>/dev/null; echo $?

### leaves a terminal open when the client has no more input
# prints: ^124\n124
timeout 3 ssh -F $CFG -tt dev 'cat; echo ended' </dev/null; echo $?
(echo abc; sleep 1) | timeout 3 ssh -F $CFG -tt dev 'cat; echo ended' >/dev/null; echo $?

### carries variables of any bytes
# prints: ^63 61 66 e9 0a
LC_X=$(printf 'caf\351') ssh -o SendEnv=LC_X dev 'printenv LC_X' | od -An -tx1 | sed 's/^ //'
ssh -o SetEnv=LC_Y=$'a\303\377\nb' dev 'printenv LC_Y' | od -An -tx1

### keeps stdout and stderr apart (stderr-data.sh)
# prints: 3\nout\nE:err
for n in "" -n; do
  ssh $n dev "echo out; echo err >&2; exec 2>/dev/null; echo gone >&2; sleep 0.2; exit 3" >o 2>e
  echo $?
  cat o
  sed s/^/E:/ e
done

### delivers stderr after stdout was closed (stderr-after-eof.sh)
# prints: 0\n0\n300
ssh dev "exec >/dev/null; sleep 0.2; for i in \$(seq 300); do echo line \$i >&2; done" >o 2>e
echo $?
wc -c <o
wc -l <e

### ends a program whose reader left (broken-pipe.sh, yes-head.sh)
# prints: 20000\ny\ny\ny
for i in 1 2; do
  ssh dev "for i in 1 2 3 4; do sleep 0.05; echo $i; done" 2>/dev/null | true
  ssh dev "yes | head -20000" | wc -l
  ssh dev yes 2>e | head -3
  wc -c <e
done

### carries every byte value, both ways
# prints: 0\n0
python3 -c "import sys; sys.stdout.buffer.write(bytes(range(256))*50)" >in
ssh dev cat <in >out; echo $?
cmp in out
ssh dev "cat >&2" <in 2>err; echo $?
cmp in err

### carries large binary data to the device (transfer.sh)
# prints: 0\n$
# seconds: 120
random $LARGE_MB | ssh dev "cat >$R/f; sha256sum <$R/f"
echo ${PIPESTATUS[1]}

### carries large binary data from the device
# prints: ^0
# seconds: 120
random $LARGE_MB >in
ssh dev "cat $PWD/in" >out; echo $?
cmp in out

### carries large data through cat both ways at once, on stdout and stderr
# prints: ^0
# seconds: 120
random $((LARGE_MB / 2)) >in
ssh dev "tee /dev/stderr" <in >out 2>err; echo $?
cmp in out
cmp in err

### ends standard input: closed, /dev/null, empty, -n, and left alone by the program
# prints: ^0\n0\nend\n0\na4
ssh dev "wc -c" </dev/null
ssh dev "wc -c" <&-
printf "" | ssh dev "cat; echo end"
ssh -n dev "wc -c"
printf abc | ssh dev "head -c 1; exec <&-; sleep 0.1; exit 4"
echo $?

### does not wait for a program that does not read
# prints: ^5\n10\n0
random 2 | ssh dev "exit 5"
echo ${PIPESTATUS[1]}
random 2 | ssh dev "head -c 10 | wc -c"
echo $?

### leaves the last line without a line end alone
# prints: ^ab
ssh dev "printf a; printf b >&2" 2>e
cat e
ssh dev "printf '\\0\\r\\n\\0'" | od -c

### keeps the channel open for a background child that holds stdout, and only then
# prints: now\nlate\n1\nnow\n1
s=$(date +%s)
ssh dev "(sleep 2; echo late) & echo now"
e=$(date +%s)
echo $((e - s >= 2))
ssh dev "sleep 60 >/dev/null 2>&1 </dev/null & echo \$! >$R/pid; echo now"
echo $(($(date +%s) - e < 30))
kill $(cat $R/pid)
rm $R/pid

### runs scripts given on standard input
# prints: got hello\n9\n
printf 'echo one\nread x\nhello\necho "got $x"\nexit 9\n' | ssh -T dev bash; echo $?
printf 'echo login $0; exit 8' | ssh -T dev; echo $?

### takes commands with quotes, newlines, Unicode and bytes that are not UTF-8
# prints: a b c d e {3}f
ssh dev "printf '%s|' 'a b' \"c'd\" '€ 中文' \$'\xff\xfe' | od -c; echo 'x
y'"
ssh dev "$(printf 'printf %%s \xff\xfe | od -c')"
ssh dev echo 'a   b' "c   d" '"e   f"' '$HOME' '*'

### takes a command of 120 kB, and tells when one is too long
# prints: 120001
for n in 120000 131000 140000; do
  c=$(head -c $n /dev/zero | tr "\0" a)
  # As bash's input: this machine has no longer arguments than the device.
  ssh dev "echo $c | wc -c" 2>&1 | tail -c 100
  echo ${PIPESTATUS[0]}
done

### runs twenty commands at once on twenty connections
# prints: ^1\n2\n
# seconds: 90
for i in $(seq 20); do
  (
    ssh dev "echo $i; exit $i" >o$i
    echo $? >s$i
  ) &
done
wait
cat o? o?? s? s??

### forwards what the environment of a session needs (envpass.sh)
# prints: a b'c€\|de_DE.UTF-8\|unset
export LC_TEST="a b'c€" LANG=de_DE.UTF-8 SECRET=no
ssh -o SendEnv="LC_* LANG SECRET" dev 'echo "$LC_TEST|$LANG|${SECRET-unset}|$LC_ALL"'
ssh -o SetEnv="LC_SET=2" dev 'echo "$LC_SET"'
ssh dev "env | cut -d= -f1 | sort"

### gives a process the session that sshd gives it
# prints: bash
ssh dev 'echo $0; umask; pwd; ulimit -a; tty
ls -l /proc/self/fd | awk "NR>1{print \$9, \$10}" | sed "s/[0-9]*\]/N]/; /proc/d"
ps -o tty=,stat=,ni= -p $$
grep -E "^Sig(Ign|Blk|Cgt)|Groups|NoNewPrivs|^Cap|Seccomp:" /proc/self/status
trap; sh -c trap'

### hangs up a running program when the client goes
# prints: ^hup
mkfifo tmp-p
/usr/bin/ssh -F $CFG -tt dev "trap 'echo hup >$R/hup; exit' HUP; echo >$R/up; while :; do sleep 0.1; done" <tmp-p >tmp-o 2>&1 &
exec 3>tmp-p
until_true test -e $R/up
kill $!
until_true test -s $R/hup
cat $R/hup

### gives -tt a terminal of its own
# prints: all
ssh -tt dev 'tty | sed s/[0-9]*$//; echo $TERM; stty size; stty -a | sed 1d
test -t 0 -a -t 1 -a -t 2 && echo all
[ "$SSH_TTY" = "$(tty)" ] && echo same
stat -c %U $(tty) | sed s/$USER/user/' </dev/null

### ends a -tt session with the exit status and all output
# prints: ^7
ssh -tt dev "seq 5000; exit 7" </dev/null >o; echo $?

### tells size and modes of the local terminal
# prints: 33 101
cat >x.exp <<'X'
set timeout 20
log_user 0
spawn -noecho sh -c "stty rows 33 cols 101 -ixon; exec ssh -tt -F $env(CFG) dev 'stty size; stty -a | tr \\; \\\\n | grep -o -e -*ixon; echo done'"
expect done
puts $expect_out(buffer)
X
TERM=xterm-256color expect x.exp

### passes size changes on while a program runs
# prints: 44 132\n6
cat >x.exp <<'X'
set timeout 20
log_user 0
# stty sets rows and columns one after the other: a size between the two may be seen, and is not the end.
set program {trap "[ \"\$(stty size)\" = \"44 132\" ] && { stty size; exit 6; }" WINCH; echo re""ady; while :; do sleep 0.1; done}
spawn -noecho sh -c "stty rows 24 cols 80; exec ssh -tt -F $env(CFG) dev '$program'"
expect ready
stty rows 44 cols 132 < $spawn_out(slave,name)
exec kill -WINCH [exp_pid]
expect "44 132"
puts $expect_out(0,string)
expect eof
puts [lindex [wait] 3]
X
TERM=xterm expect x.exp

### interrupts with Ctrl-C and ends with Ctrl-D
# prints: INT\n5\n0
cat >x.exp <<'X'
set timeout 20
log_user 0
spawn -noecho ssh -tt -F $env(CFG) dev sh
expect -re {[$#] }
send "trap 'echo in\'\'terrupted' INT; cat\r"
send "x\r"
expect "x\r\nx"
send "\003"
expect "interrupted"
puts INT
expect -re {[$#] }
send "exit 5\r"
expect eof
puts [lindex [wait] 3]
spawn -noecho ssh -tt -F $env(CFG) dev cat
send "line\r"
expect "line\r\nline"
send "\004"
expect eof
puts [lindex [wait] 3]
X
expect x.exp

### suspends with Ctrl-Z and goes on with fg
# prints: JOB\nBACK
cat >x.exp <<'X'
set timeout 20
log_user 0
spawn -noecho ssh -tt -F $env(CFG) dev bash --norc --noediting -i
expect {$ }
send "cat\r"
expect "cat\r\n"
send "y\r"
expect "y\r\ny"
send "\032"
expect "Stopped"
puts JOB
send "fg\r"
expect "fg\r\ncat\r\n"
send "z\r"
expect "z\r\nz"
puts BACK
send "\004"
send "exit 3\r"
expect eof
puts [lindex [wait] 3]
X
expect x.exp

### starts a login shell when no command is given
# prints: login
printf 'shopt -q login_shell && echo login; echo $0; exit 3\n' | ssh -tt dev 2>&1 | tr -d "\r" | grep -v "^$" | tail -4
echo ${PIPESTATUS[1]}

### obeys the escape sequences ~? and ~.
# prints: 255
cat >x.exp <<'X'
set timeout 20
log_user 0
spawn -noecho ssh -tt -F $env(CFG) dev cat
send "a\r"
expect "a\r\na"
send "~?"
expect "Supported escape"
send "\r~."
expect eof
puts [lindex [wait] 3]
X
expect x.exp

### sends a break
# prints: end
cat >x.exp <<'X'
set timeout 20
log_user 0
spawn -noecho ssh -tt -F $env(CFG) dev "stty -echo brkint -ignbrk; echo ready; read x; echo end"
expect ready
send "\r~B\r"
expect eof
puts $expect_out(buffer)
puts [lindex [wait] 3]
X
expect x.exp

### runs with -f in the background and with -N without a command
# prints: ^0\nlater
ssh -f dev "sleep 0.5; echo done >$R/later"; echo $?
until_true test -s $R/later && echo later
/usr/bin/ssh -F $CFG -N -o ServerAliveInterval=1 dev &
sleep 2
kill $! && wait $!
echo $?

### tells what subsystem it does not know
# prints: ^255|^1
ssh -s dev nosuch </dev/null 2>e; echo $?
cat e

### keeps a terminal program drawing: 2 MB of screen updates
# prints: ^0
ssh -tt dev "stty -onlcr; for i in \$(seq 20); do printf '\\033[2J\\033[H'; seq 20000; done" </dev/null >o; echo $?

### leaves a program without a terminal alone, or hangs it up, when the client is gone
# prints: ^still there
# differs: sshd leaves a program without a terminal running when its client is lost; the bridge sends it SIGHUP, so that nothing is forgotten on the device
# bridge prints: ^hung up
/usr/bin/ssh -F $CFG dev "echo \$\$ >$R/.pid; exec sleep 20" & p=$!
until_true test -s $R/.pid
{ kill -9 $p; wait $p; } 2>/dev/null
for i in $(seq 20); do kill -0 $(cat $R/.pid) 2>/dev/null || break; sleep 0.1; done
kill $(cat $R/.pid) 2>/dev/null && echo still there || echo hung up
