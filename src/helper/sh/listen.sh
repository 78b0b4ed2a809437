# Listens for connections: sourced by the command of a listener's channel, in the channel's directory.
# The bridge puts assignments before this text: Ihow (socat, ll or lk: which program, and which of nc's
# two forms), Inc (how nc is called), Imost (connections at a time), Iplace (tcp, unix or agent) and
# Ihosts with Iport, Ipath with Isocat (the same for socat), or Iname (the agent's folder).
# Standard output tells: `l port` or `l path` once it listens, then `a pid peer` for each connection,
# whose acceptor (accept.sh) waits in a.pid for the bridge to take it.
cat >h <<'IEOF'
@ACCEPT@
IEOF
set -f
Il=${PWD##*/}
export Ihow Imost Il
Ibad() {
  printf '%s\n' "$1" >&2
  exit 1
}
[ -d /proc/$$/fd ] || Ibad 'there is no /proc to see by whether anything listens'

# Waits until the process Iu listens, by its own sockets in the kernel's tables ($@), and leaves what
# they say in Ia. What programs print of it differs, or is nothing.
Iup() {
  Ik=0
  while [ $Ik -lt 60 ]; do
    Iv=$(ls -l /proc/$Iu/fd 2>/dev/null)
    case $Iv in *'->'*) ;; *) return 1 ;; esac
    Ia=$(cat "$@" 2>/dev/null | while read -r Ix I1 I2 I3 Ix I5 I6 Ix Ix I9 Ix; do
      case $I3/$I5 in
        0A/*) case $Iv in *"socket:[$I9]"*) printf %s "${I1##*:}"; break ;; esac ;;
        00010000/*) case $Iv in *"socket:[$I6]"*) printf unix; break ;; esac ;;
      esac
    done)
    [ -n "$Ia" ] && return 0
    Ik=$((Ik+1))
    [ $Ik -lt 50 ] || sleep 1
  done
  kill $Iu
  return 1
}
Iserve="setsid sh ../r acc"
Ioptions="fork,backlog=128,max-children=$Imost"
case $Iplace in
  tcp)
    Igot=
    for Ih in $Ihosts; do
      if [ $Ihow != socat ]; then
        # As many may wait to be accepted as there are letters l: 128, as in sshd.
        Ix=llllllllllllllll
        Ix=$Ix$Ix$Ix$Ix
        # The address comes first: a nc that ends its options there listens nowhere, not everywhere.
        case $Ihow in ll) Ix="$Ih -$Ix$Ix -p $Iport -e" ;; *) Ix="-lk -s $Ih -p $Iport -e" ;; esac
        $Inc $Ix $Iserve </dev/null >/dev/null &
      else
        case $Ih in
          *:*) Ix="TCP6-LISTEN:$Iport,bind=[$Ih],ipv6only=1" ;;
          *) Ix="TCP4-LISTEN:$Iport,bind=$Ih" ;;
        esac
        socat "$Ix,reuseaddr,$Ioptions" "EXEC:$Iserve,nofork" </dev/null >/dev/null &
      fi
      Iu=$!
      Iup /proc/net/tcp /proc/net/tcp6 || continue
      # Port 0: the others take the one that the first was given.
      Iport=$((0x$Ia))
      Igot=1
    done
    [ -n "$Igot" ] || exit 1
    Ix=
    # What the tables hold is in the byte order of the machine (the sixth byte of a program says which).
    [ "$(dd if=/proc/self/exe bs=1 skip=5 count=1 2>/dev/null)" = "$(printf '\002')" ] && Ix=' big'
    printf 'l %s%s\n' $Iport "$Ix"
    ;;
  *)
    if [ $Iplace = agent ]; then
      Ipath=
      for Ix in /tmp /var/tmp "$XDG_RUNTIME_DIR" "$HOME"; do
        case $Ix in '' | *[!A-Za-z0-9/._-]*) continue ;; esac
        mkdir -m 700 "$Ix/$Iname" 2>/dev/null || continue
        # First, so that whoever cleans up knows of the folder.
        Ipath=$Ix/$Iname/agent.$$
        printf %s "$Ipath" >g
        break
      done
      [ -n "$Ipath" ] || Ibad 'there is no folder for the socket'
      Isocat=$Ipath
    fi
    umask 177
    socat "UNIX-LISTEN:$Isocat,$Ioptions" "EXEC:$Iserve,nofork" </dev/null >/dev/null &
    Iu=$!
    Iup /proc/net/unix || exit 1
    # Only now is what lies there ours to remove.
    printf %s "$Ipath" >p
    printf 'l %s\n' "$Ipath"
    ;;
esac
wait
exit 1
