# The janitor, an arm of runner.sh: hears whether the bridge lives, frees an agent that hangs, and leaves nothing
# on the device when nobody comes back. One per helper; in ID are hb (written by the front at each line of the
# bridge), ls (the SSH server's process of the front's login), fp (the front) and jp (the janitor).
printf '%s\n' $$ >"$ID/jp"
Iz=$((IG/20))
[ $Iz -lt 1 ] && Iz=1
[ $Iz -gt 5 ] && Iz=5
Iu=0
Io=15
# Ends the SSH server's process $1, with SSH_CONNECTION $2 to $5, so that its connection is reset: the mere
# end would not free an agent that waits for no event but errors. The kernel resets the connection of a process that dies
# with bytes unread; an agent that has read enough of the terminal ($6) sends some, so print until
# they come while the server stands still. NULs cost its uplink next to nothing.
Ireset() {
  # Without its four words there are no ports.
  [ $# = 6 ] || { kill -KILL "$1"; return; }
  I2=$(printf '%04X.%04X' "$5" "$3")
  Im=0
  while kill -STOP "$1" && [ $Im -lt 40 ]; do
    # Where sleep knows whole seconds only, a few tries have to do.
    sleep 0.05 || { sleep 1; Im=$((Im+9)); }
    Il=$(cat /proc/net/tcp /proc/net/tcp6 | while read -r Ix Iv Iw Ix Ik Ix; do
      case ${Iv##*:}.${Iw##*:} in $I2) printf %s "${Ik#*:}" ;; esac
    done)
    [ "$Il" = 00000000 ] || break
    kill -CONT "$1"
    # It is to stand still while that is on its way.
    dd if=/dev/zero "of=$6" bs=4096 count=25 &
    Im=$((Im+1))
  done
  kill -KILL "$1"
}
# Ends the logins, begun since the bridge was heard last, of which nothing has become but the bridge's
# boot sh, or not even that: the stock agent may hang in a login before there is a front.
Ihung() {
  read -r Ia Ix </proc/uptime
  Ip=$(cat /proc/[0-9]*/stat)
  Ib=" $(grep -l 'raw -ech[o] 2>/dev/null;.=b' /proc/[0-9]*/cmdline | tr '\n' ' ')"
  for Id in /proc/[0-9]*; do
    [ -O $Id ] && read -r Ix <$Id/stat || continue
    set -- $Ix
    # Field 22: when it began, in hundredths of a second. Whoever has a child is at work.
    # Cut as text: mksh calculates in 32 bits, which are 248 days of these.
    Il=${22%??}
    Il=${Il:-0}
    [ $Il -ge $Ij ] && [ $Il -lt $((${Ia%.*}-5)) ] || continue
    case $Ip in *") "?" $1 "*) continue ;; esac
    read -r Ix Il Ix Iw Ix </proc/$4/stat
    case $Ib$2$Il in
      *" $Id/cmdline "*)
        # The boot sh, the login shell above it, and the SSH server's process above that.
        [ -O /proc/$Iw ] && read -r Ix Il Ix </proc/$Iw/stat && case $Il in
          '(sshd'* | '(dropbear'*) Ireset $Iw $(tr '\0' '\n' </proc/$4/environ | sed -n s/^SSH_CONNECTION=//p) $Id/fd/1 ;;
        esac
        ;;
      # The server itself has a parent of another name; one that serves a session says whose: user@...
      *'(sshd'*'(sshd'* | *'(dropbear'*'(dropbear'*) case $(cat $Id/cmdline) in *@*) ;; *) kill -KILL $1 ;; esac ;;
    esac
  done
}
# Seconds since the system began: the bridge was heard last then, or later.
Iheard() {
  Ij=0
  read -r Ij Ix </proc/uptime
  Ij=$((${Ij%.*}-Iz))
}
Iheard
while sleep $Iz; do
  [ -d "$ID" ] || exit
  # Another has been started in its place, and would hear nothing of what this one takes.
  Ix=
  read -r Ix <"$ID/jp" && [ "$Ix" != $$ ] && exit
  if [ -s "$ID/hb" ]; then
    : >"$ID/hb"
    Iu=0
    Io=15
    Iheard
    continue
  fi
  Iu=$((Iu+Iz))
  # The bridge asks every 10 s while channels are open, and else three times per grace. When it does
  # not come through, the stock agent may hang in its connection to the device's SSH server, whose
  # reset frees it; that process is the user's own.
  Ik=$((IG/3+25))
  for Ix in "$ID"/[0-9]*; do [ -d "$Ix" ] && Ik=15; done
  if [ $Iu -ge $Ik ]; then
    [ $Ik = 15 ] && [ $Iu -ge $Io ] && Io=$((Iu*3/2)) && Ihung
    Ik=
    read -r Ik Iw <"$ID/ls"
    : >"$ID/ls"
    Iv=
    # Without a front the login has gone, and its number may be another's.
    [ -n "$Ik" ] && [ -s "$ID/fp" ] && read -r Iv <"$ID/fp" && read -r Ix Il Ix <"/proc/$Ik/stat" && case $Il in
      '(sshd'* | '(dropbear'*)
        Ireset $Ik $Iw "/proc/$Iv/fd/1"
        ;;
    esac
  fi 2>/dev/null
  [ $Iu -ge $IG ] || continue
  # Nobody came back: hang up the commands, kill the pumps and the front, leave nothing.
  for Ix in "$ID"/[0-9]*; do
    printf '' >"$Ix/dead"
    Ik=
    [ -s "$Ix/C" ] && read -r Ik <"$Ix/C" && {
      kill -HUP -"$Ik"
      kill -CONT -"$Ik"
      [ -e "$Ix/h" ] && kill -KILL -"$Ik"
    }
    [ -s "$Ix/S" ] && read -r Ik <"$Ix/S" && kill -KILL -"$Ik"
    Ileave "$Ix"
  done
  Ik=
  [ -s "$ID/fp" ] && read -r Ik <"$ID/fp" && kill -KILL -"$Ik"
  rm -rf "$ID"
  exit
done
