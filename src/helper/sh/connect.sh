# OpenBSD's nc ($@) stays until its own input ends, and does not tell of the server's end meanwhile: so
# its input is ended when the kernel says that the server has ended and that all it sent was read.
# Sourced by the command of a connection's channel, in its directory.
mkfifo j || exit 1
exec 9<&0
cat <&9 >j 9<&- 2>/dev/null &
Ic=$!
"$@" <j 9<&- &
Iu=$!
exec 9<&- </dev/null
{
  while sleep 1; do
    Iv=$(ls -l /proc/$Iu/fd)
    case $Iv in *'->'*) ;; *) exit ;; esac
    cat /proc/net/tcp /proc/net/tcp6 | while read -r Ix Ix Ix I3 I4 Ix Ix Ix Ix I9 Ix; do
      case $I3/$I4 in
        08/*:00000000) case $Iv in *"socket:[$I9]"*) kill $Ic ;; esac ;;
      esac
    done
  done
} >/dev/null 2>&1 &
Ik=$!
wait $Iu
Ix=$?
kill $Ik $Ic 2>/dev/null
exit $Ix
