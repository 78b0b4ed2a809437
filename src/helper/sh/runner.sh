# What survives the login: one supervisor for each channel with its pumps, the command itself, and the
# janitor. Called as: sh r run CHANNEL p|t|s|l; sh r cmd|tty CHANNEL; sh r jan; sh ../r acc (accept.sh).
ID=${0%/*}
. "$ID/k"

# Standard input: takes notes and writes what they name. A reader that has gone away is not
# an error: the rest is swallowed, as sshd does. (Iraw: the reader is the peer of a connection.)
Ifeed() {
  trap '' PIPE
  Ik=0
  while IFS= read -r Il; do
    case $Il in
      'i '*) printf %b "${Il#i }" ;;
      'f '*) cat "i.${Il#f }" ;;
      # A terminal stays open when there is no more to type: script would make it a Ctrl-D.
      E) [ "$Imode" = t ] && continue; exit ;;
    esac || [ -z "$Iraw" ] || exit
    case $Il in 'f '*) : >"i.${Il#f }" ;; esac
    Ik=$((Ik+1))
    printf '%s\n' "$Ik" >ic
    printf 'w c %s=%s\n' "$In" "$Ik" 1<>../ev
  done
}
Iwait() {
  # Nothing is left to write to once the directory is gone, and nobody to end the feeder.
  [ -e "$ID/k" ] || kill -KILL 0
  sleep 1
}
# Output: cuts the stream into segments, each a file that holds one whole record, and waits when
# as many as were granted are out. $1 is o or e; grants come on fd 8.
Icollect() {
  Ik=0
  Ilim=$IW
  while :; do
    while [ $Ik -ge $Ilim ]; do
      IFS= read -r Ix <&8 || exit
      [ "$Ix" -gt $Ilim ] && Ilim=$Ix
    done
    # The front may be writing that file just now.
    read -r Is <../bs || Is=$IB
    Ix=$(dd bs="$Is" count=1 2>d$1 8>&- | Ienc 8>&-)
    if [ -z "$Ix" ]; then
      # Nothing is the end only if dd says so; it is not when there was no memory for a process.
      Iy=
      read -r Iy <d$1
      case $Iy in
        0+0*) [ "$Imode$1" = so ] || break ;;
        '') Iwait; continue ;;
        *) : >bad; break ;;
      esac
    fi
    Ih="$1 $In $Ik"
    set -- "$1" $(printf '%s\n%s' "$Ih" "$Ix" | Isum)
    If=$1.$((Ik%IW))
    # A full file system: wait for room.
    until printf ':%s %s\n%s %s;' "$IT" "$Ih" "$Ix" "$2" >$If; do Iwait; done
    Ik=$((Ik+1))
    printf 's %s %s\n' "$In/$If" "${#Ix}" 1<>../ev
    # The end of a socket's output is told at once, by an empty segment.
    [ -n "$Ix" ] || break
  done
  until printf '%s\n' $Ik >n$1; do Iwait; done
}
# Ends the child $1. One that has ended may be known to the shell no more, and its number be another's.
Iend() {
  Iy=$$
  [ ! -r /proc/$$/status ] || { while read -r Ix Iy && [ "$Ix" != PPid: ]; do :; done </proc/$1/status; } 2>/dev/null || return
  [ "$Iy" = $$ ] && kill -KILL $1
}
# Waits for the command's end, given its status and, for a terminal, whether that was a signal, and
# reports it once both streams are at their end.
Ireport() {
  Isig=
  if [ "$1" -gt 128 ]; then
    # A full file system had no room for the message that tells a signal: then nobody knows.
    if [ -n "$2" ] || [ -s s ]; then Isig=$(($1-128)); elif ! printf x >sx; then set -- 999; fi
  fi
  wait $Io $Ie
  # Its group is empty as a rule; then the number may become somebody else's.
  [ -s C ] && read -r Ix <C && { kill -0 -"$Ix" || : >C; }
  Ino=
  Ine=
  read -r Ino <no
  read -r Ine <ne
  Ix="x $In 0"
  # A collector without a count was killed: where nobody asked for that, some output is lost.
  # (An accepted connection has none for a second stream.)
  [ -e bad ] || { [ -n "$Ie" ] && [ -z "$Ine" ]; } || { [ -z "$Ino" ] && [ ! -e cut ]; } && set -- 999
  Il="$1 ${Isig:-0} ${Ino:-0} ${Ine:-0}"
  set -- $(printf '%s\n%s' "$Ix" "$Il" | Isum)
  until printf ':%s %s\n%s %s;' "$IT" "$Ix" "$Il" "$1" >x.0; do Iwait; done
  printf 's %s 99\n' "$In/x.0" 1<>../ev
  : >S
  # The feeder, which may wait for ever, and this supervisor with it.
  kill -KILL 0
}
Iready() {
  printf '%s\n' $$ >C
  [ -e dead ] && exit 129
  [ -s "$ID/env" ] && . "$ID/env"
  . ./c
}
# Becomes the user's shell, called $1, with the other arguments. exec names a program as PATH finds it,
# unless it knows -a; a login shell that cannot be named by its dash is told by -l.
Ibecome() {
  [ -n "$Ipath" ] && PATH=$Ipath
  unset OLDPWD SHLVL
  Iy=$1
  shift
  [ "$(command -v "$Iy" 2>/dev/null)" -ef "$SHELL" ] 2>/dev/null && exec "$Iy" "$@"
  if (exec -a x /bin/sh -c :) 2>/dev/null; then exec -a "$Iy" "$SHELL" "$@"; fi
  command -v perl >/dev/null && exec perl -e 'exec { shift } @ARGV' "$SHELL" "$Iy" "$@"
  case $Iy in
    -*) exec "$SHELL" -l "$@" ;;
  esac
  exec "$SHELL" "$@"
}
Icommand() {
  Iy=${SHELL##*/}
  if [ -n "$Ilogin" ]; then Ibecome "-$Iy" $Iflags; else Ibecome "$Iy" -c "$Ic"; fi
}
case $1 in
  run)
    In=$2
    Imode=$3
    cd "$ID/$In" || exit
    printf '%s\n' $$ >S
    [ -e dead ] && exit
    # Job messages of this shell ("Terminated") land here and tell a death by signal from a status.
    exec 2>s
    Icollect o <o 7>&- 8<>go 2>/dev/null &
    Io=$!
    printf '%s\n' $Io >P
    Icollect e <e 7>&- 8<>ge 2>/dev/null &
    Ie=$!
    if [ $Imode = t ]; then
      Ifeed <&7 7>&- >i 2>/dev/null &
      exec 7>&-
      # script runs its command by $SHELL, whose start-up files are not for this.
      (Ish=${SHELL:-/bin/sh}; SHELL=/bin/sh; export Ish SHELL; exec script -q -f -c "exec sh '$ID/r' tty $In" /dev/null <i >o 2>e)
      Ist=999
      Ix=
      : >s
      read -r Ist Ix <X
    else
      # A pipe without a name, as sshd's: a program that opens /dev/stdin anew would wait for a writer of i
      # once all has been written. The feeder is no child of ours, else the pipeline would last as long as it.
      # Redirected inside, else the message would go to the command's own standard error.
      { Ifeed <&7 7>&- 2>/dev/null & } | (exec setsid sh "$ID/r" cmd $In >o 2>e 7>&-)
      Ist=$?
      Ix=
    fi
    Ireport $Ist $Ix
    ;;
  cmd)
    cd "$ID/$2" || exit 129
    unset Ilogin
    Iready
    Ist=$?
    # A script that is no login and no command has become its program, or that failed.
    [ -n "${Ilogin+x}" ] || exit $Ist
    cd "$HOME" 2>/dev/null || cd /
    Icommand
    ;;
  tty)
    cd "$ID/$2" || exit 129
    Id=$PWD
    tty >T 2>/dev/null
    SHELL=$Ish
    unset Ish
    # Keys reach the whole foreground group; this shell has to stay to report.
    trap : INT QUIT TERM HUP USR1 USR2
    Iready
    cd "$HOME" 2>/dev/null || cd /
    # As sshd: the message of the day, for whoever logs in at a terminal.
    [ -z "$Ilogin" ] || [ -e .hushlogin ] || cat /run/motd.dynamic /etc/motd 2>/dev/null
    exec 2>"$Id/t"
    (exec 2>&1; Icommand)
    Ist=$?
    Ix=
    if [ -s "$Id/t" ]; then Ix=signal; elif [ $Ist -gt 128 ] && ! printf x >"$Id/sx"; then Ist=999; fi
    until printf '%s %s\n' "$Ist" "$Ix" >"$Id/X"; do Iwait; done
    ;;
  acc) . ./h ;;
  jan)
    printf '%s\n' $$ >"$ID/jp"
    Iz=$((IG/20))
    [ $Iz -lt 1 ] && Iz=1
    [ $Iz -gt 5 ] && Iz=5
    Iu=0
    Io=15
    # Ends the SSH server's process $1, with SSH_CONNECTION $2 to $5, so that its connection is reset: the mere end would not free an
    # agent that waits for no event but errors. The kernel resets the connection of a process that dies
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
        Il=$((${22:-0}/100))
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
    ;;
esac
