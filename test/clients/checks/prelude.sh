# Before every check. Variables: $CFG the ssh_config in which `dev` is the device, $R an empty folder
# on the device, $U its user, $PORT, $KEY, $KNOWN_HOSTS, $SSHPASS (the password), $LARGE_MB.
set -u
# A program in the background whose pid is wanted is started by its full path: these are functions.
ssh() { command ssh -F "$CFG" "$@"; }
scp() { command scp -F "$CFG" "$@"; }
sftp() { command sftp -F "$CFG" "$@"; }
# A connection that hangs shows as one, and not as a check that never ends.
curl() { command curl --max-time 20 "$@"; }

# filtered FILTER COMMAND…: the command with its standard error through the filter. A pipeline, which ends with its
# last part: a process substitution may still be writing when the command is done.
filtered() {
  local filter=$1
  shift
  { "$@" 2>&1 >&3 3>&- | "$filter" >&2 3>&-; return ${PIPESTATUS[0]}; } 3>&1
}

# random MB: the same random bytes every time.
random() {
  openssl enc -aes-128-ctr -pass pass:seed -nosalt -pbkdf2 -iter 1 </dev/zero 2>/dev/null | head -c "$1M"
}

# until_true COMMAND…: waits for it, at most ten seconds.
until_true() {
  for _ in $(seq 200); do
    "$@" >/dev/null 2>&1 && return
    sleep 0.05
  done
  echo "waited in vain for: $*"
  return 1
}

# odd_tree FOLDER: files with every kind of name, mode and size that people have.
odd_tree() {
  mkdir -p "$1/deep/er/still" "$1/empty folder"
  printf 'plain\n' >"$1/plain"
  : >"$1/empty"
  random 1 >"$1/deep/er/random.bin"
  printf x >"$1/deep/with space and  two"
  printf x >"$1/-leading-dash"
  printf x >"$1/quote'\"back\`\\slash"
  printf x >"$1/"$'new\nline\ttab'
  printf x >"$1/"$'not-utf8-\xff\xfe'
  printf x >"$1/中文 [brackets] {1,2} *?"
  printf x >"$1/\$HOME; echo injected"
  printf x >"$1/.hidden"
  printf '#!/bin/sh\n' >"$1/deep/run.sh"
  chmod 755 "$1/deep/run.sh"
  chmod 600 "$1/empty"
  chmod 750 "$1/deep/er"
  ln -s plain "$1/link"
  ln -s nowhere "$1/dangling"
  find "$1" -exec touch -h -d '2020-02-29 12:34:56' {} +
}

# times FOLDER: modification times of what is in it.
times() {
  (cd "$1" && find . ! -type l -printf '%T+ %m %y %P\n' | sed 's/\.[0-9]*//' | LC_ALL=C sort -k4)
}

# before: notes how many processes the device's user has, with the session open. nothing_left: tells when there are no
# more again. They are the other side's as well, which come and go meanwhile; so it is told of the bridge alone.
before() {
  ssh dev true
  BEFORE=$(processes)
}
processes() { ps -u $U -o comm= | grep -vcx sshd; }
as_before() { [ $(processes) -le $BEFORE ]; }
nothing_left() {
  if [ $SIDE = direct ] || until_true as_before; then echo nothing left; else ps -u $U -o pid,ppid,args; fi
}

# closed FILE: tells when nobody holds the device's file open. part FILE: tells whether it is the beginning of tmp-a.
closed() { until_true sh -c "! find /proc/[0-9]*/fd -lname '$1' 2>/dev/null | grep -q ." && echo closed; }
part() { head -c $(stat -c %s "$1") tmp-a | cmp - "$1" && echo the beginning; }

# cut_upload PID: ends a client in the middle of its upload of tmp-a to $R/.part. The device closes the file and keeps
# what has come, and nothing of the client goes on there.
cut_upload() {
  until_true test -s $R/.part
  { kill -9 $1; wait $1; } 2>/dev/null
  echo cut
  closed $R/.part
  part $R/.part
  stat -c %a $R/.part
  nothing_left
  rm $R/.part
}
# cut_download PID FILE: the same in the middle of a download of $R/.part to FILE.
cut_download() {
  until_true test -s "$2"
  { kill -9 $1; wait $1; } 2>/dev/null
  closed $R/.part
  nothing_left
  rm $R/.part "$2"
}

# Forwarding. $L1, $L2 and $SERVER are free ports; what is given to `keep` ends with the check.
KEPT=()
keep() { KEPT+=("$1"); }
trap '{ kill "${KEPT[@]}"; kill $(jobs -p); } 2>/dev/null; wait' EXIT
# Once may not do: a SIGTERM that comes just before OpenSSH's client waits is noticed at its next event.
stop() { { until_true sh -c "! kill $1"; wait "$1"; } 2>/dev/null; }
listening() { until_true sh -c "ss -Hltn 'sport = :$1' | grep -q ."; }
not_listening() { ! ss -Hltn "sport = :$1" | grep -q .; }

# fwd OPTIONS…: a connection that only forwards, ready to be used. Its pid is in $FWD.
fwd() {
  /usr/bin/ssh -F "$CFG" -o ExitOnForwardFailure=yes -o ControlMaster=no "$@" dev &
  FWD=$!
  keep $FWD
  case "$*" in *"-L $L1:"* | *"-R $L1:"* | *"-D $L1"*) listening "$L1" ;; *"-R $L2:"*) listening "$L2" ;; esac
}

# server: HTTP on $SERVER with /small and /random. echo_server: gives back what it gets.
server() {
  mkdir -p .served
  echo small >.served/small
  random 3 >.served/random
  (cd .served && exec python3 -m http.server --bind 127.0.0.1 "$SERVER" >/dev/null 2>&1) &
  keep $!
  listening "$SERVER"
}
echo_server() {
  socat "TCP-LISTEN:$SERVER,reuseaddr,fork,bind=127.0.0.1" EXEC:cat &
  keep $!
  socat "TCP6-LISTEN:$SERVER,reuseaddr,fork,bind=[::1]" EXEC:cat &
  keep $!
  listening "$SERVER"
}
curl_to() { curl -sS "http://127.0.0.1:$1$2"; }

# tcp_says PORT: what a client that sends a line and waits gets to know.
tcp_says() {
  python3 - "$1" <<'X'
import socket, sys
c = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
c.settimeout(15)
try:
    c.sendall(b'x\n')
    data = c.recv(100)
    print('said %r' % data if data else 'ended')
except ConnectionResetError:
    # Whether the other end had read the line before it closed is a race under sshd as well.
    print('ended')
except OSError as e:
    print(e)
X
}

# master: a ControlMaster on the socket `ctl`, in the background; its pid is in $MASTER.
master() {
  /usr/bin/ssh -F "$CFG" -M -S ctl -N dev &
  MASTER=$!
  keep $MASTER
  until_true test -S ctl
}
