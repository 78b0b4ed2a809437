# One accepted connection, standard input and output of this process, which is the leader of a session
# of its own. It makes what a channel's directory has, tells the bridge, and waits for its number; the
# front moves the directory to its place. From then on it is the channel's supervisor.
umask 077
exec 9<&0 </dev/null >/dev/null 2>&1 3>&- 4>&- 5>&- 6>&- 7>&- 8>&-
ID=${PWD%/*}
if [ $Ihow = socat ]; then
  Ix="$SOCAT_PEERADDR $SOCAT_PEERPORT"
else
  Iu=$(ls -l /proc/$$/fd/9)
  Iu=${Iu##*'socket:['}
  Ix=$(cat /proc/net/tcp /proc/net/tcp6 | while read -r Ix Ix Ia Ix Ix Ix Ix Ix Ix Ik Ix; do
    [ "$Ik]" = "$Iu" ] && printf %s "$Ia" && break
  done)
fi
mkdir a.$$ || exit
# Counted behind it: however many come at once, no more stay. Nobody takes them while the bridge is away.
set -- a.*
[ $# -le $Imost ] && cd a.$$ || { rmdir a.$$; exit; }
mkfifo i o n go && printf '0 %s\n' "$IW" >o.u && printf '0 %s\n' "$IW" >e.u && printf '%s\n' $$ >S &&
  # Whoever ends the listener writes `dead` and then looks for an S: one of the two sees the other.
  [ -p ../o ] && [ ! -e ../dead ] || { cd ..; rm -rf a.$$; exit; }
exec 7<>n
printf 'a %s %s\n' $$ "$Ix" 1<>../o
IFS= read -r In <&7
case $In in '' | *[!0-9]*) exit ;; esac
# From here on the directory has its final place.
exec 2>s
Imode=s
Ie=
if [ $Ihow = socat ]; then
  Ifeed <&7 7>&- 9>&- >i &
  socat -t 3600 FD:3,shut-down -,shut-close <i >o 3<&9 7>&- 9>&- 2>/dev/null &
  Ic=$!
else
  # A shell cannot shut one direction down: when there is nothing more to send, the connection is closed.
  Iraw=1
  Ifeed <&7 7>&- >&9 9>&- &
  If=$!
  # Not cat: BusyBox's has the kernel move the bytes (sendfile), which locks the pipe while it waits.
  dd bs=16384 <&9 >o 7>&- 9>&- 2>/dev/null &
  Ic=$!
fi
exec 7>&- 9>&-
Icollect o <o 8<>go &
Io=$!
printf '%s\n' $Io >P
if [ $Ihow = socat ]; then
  wait $Ic
else
  wait $If
  Iend $Ic
fi
Ireport 0
