# Connects, as sshd does, to every address of a name in turn until one answers: sourced by the command of
# a connection's channel, in its directory. The bridge puts assignments before this text: Inc (socat, or
# how nc is called), Ih (name or address), Ip (port) and Ia (1: Ih is an address); for a Unix socket
# Ih is empty, and $@ is the whole command. Standard error tells: the character \006 once the connection
# stands, or else why there is none.
exec 9<&0 </dev/null
Ix=1
Iy=
Iall=${Ih:-unix}
It='/proc/net/tcp /proc/net/tcp6'
Ir=
if [ -z "$Ih" ]; then
  It=/proc/net/unix
else
  # A connection that the login left open in us is not ours.
  Ir=$(printf :%04X "$Ip")
  # The order is getaddrinfo's where getent tells it (its status 2: there is no such name).
  [ -n "$Ia" ] || Iall=$(
    { getent ahosts "$Ih" || [ $? = 2 ] || {
      grep -F "$Ih" /etc/hosts | while read -r Ia Ix; do
        case $Ia in '#'*) continue ;; esac
        for Ix in ${Ix%%#*}; do [ "$Ix" = "$Ih" ] && printf '%s\n' "$Ia"; done
      done | grep . || nslookup "$Ih" </dev/null | {
        # What comes before the name is the server that was asked; addresses may be numbered.
        while read -r Ix Ia; do
          case $Ix$Iy in
            Name:*) Iy=y ;;
            Address*y) printf '%s\n' "${Ia#*: }" ;;
          esac
        done
      }
    }; } 2>/dev/null | while read -r Ia Ix; do printf '%s\n' "$Ia"; done
  )
fi
# OpenBSD's nc stays until its own input ends, and does not tell of the server's end meanwhile.
Iw=
[ "$Inc" = 'nc -N' ] && Iw=1 && mkfifo j
# What the kernel says of the tool's socket: its state and what waits in it.
Istate() {
  Iv=$(ls -l /proc/$Iu/fd)
  Is=$(cat $It | while read -r Ix Ix I2 I3 I4 I5 I6 Ix Ix I9 Ix; do
    case $I3/$I5 in 00000000/03) I9=$I6; I3=01 ;; esac
    case $I2$Iv in *"$Ir"*"socket:[$I9]"*) printf %s "$I3/$I4"; break ;; esac
  done)
}
# Waits until the tool Iu is connected (even if the server has ended already); fails when it has ended.
Iup() {
  Ik=0
  while kill -0 $Iu; do
    Istate
    case $Is in 0[1458]/*) return 0 ;; esac
    Ik=$((Ik+1))
    [ $Ik -gt 9 ] || continue
    sleep 0.1 || sleep 1
    case $Iv in
      # Where nothing can be seen, connected is what does not fail for a while.
      *' 1 -> '*) [ -r "${It%% *}" ] && continue; sleep 1 ;;
      # The tool has closed its output: the server has reset the connection, which the table has no more.
      *'->'*) ;;
      *) sleep 1 ;;
    esac
    kill -0 $Iu
    return
  done
  return 1
}
for Ia in ${Iall:-$Ih}; do
  case " $Iy " in *" $Ia "*) continue ;; esac
  Iy="$Iy $Ia"
  case $Inc in
    '') ;;
    socat)
      case $Ia in *:*) Ia="[$Ia]" ;; esac
      # Half-closed connections stay for an hour; the peer's end shows at once (shut-close).
      set -- socat -t 3600 -,shut-close "TCP:$Ia:$Ip"
      ;;
    'nc -N') set -- nc -N -v "$Ia" "$Ip" ;;
    *) set -- $Inc "$Ia" "$Ip" ;;
  esac
  # Nothing of the client is read before there is a connection: it is for whichever address answers.
  if [ -n "$Iw" ]; then
    exec 8<>j
    "$@" <j 2>y 8>&- 9<&- &
  else
    "$@" <&9 2>y 9<&- &
  fi
  Iu=$!
  if Iup 2>/dev/null; then
    printf '\006' >&2
    [ -z "$Iw" ] || { cat <&9 >&8 8>&- 9<&- 2>/dev/null & Ic=$!; }
    # Only the tool holds the output open, and what feeds it its input (before the loop: mksh would keep
    # in it what it is to close).
    exec >/dev/null 8>&- 9<&-
    if [ -n "$Iw" ]; then
      # The input is ended when the kernel says that the server has ended and that all it sent was read.
      while sleep 1 && kill -0 $Iu; do
        Istate
        case $Is in 08/*:00000000) kill $Ic ;; esac
      done 2>/dev/null &
      Ik=$!
    fi
    wait $Iu
    Ix=$?
    [ -z "$Iw" ] || kill $Ik $Ic 2>/dev/null
    exit $Ix
  fi
  wait $Iu
  Ix=$?
  # Other failures, and ends, are of a connection that came and went unseen.
  case $Ix$(cat y) in
    0*) exit 0 ;;
    *connect* | *refused* | *unreachable* | *'timed out'* | *route*) ;;
    *) break ;;
  esac
done
cat y >&2
exit $Ix
