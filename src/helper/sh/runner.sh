# What survives the login: one supervisor for each channel with its pumps, the command itself, and the
# janitor (janitor.sh). Called as: sh r run CHANNEL p|t|s|l; sh r cmd|tty CHANNEL; sh r jan; sh ../r acc (accept.sh).
ID=${0%/*}
. "$ID/k"

# Standard input: takes notes and writes what they name. A reader that has gone away is not
# an error: the rest is swallowed, as sshd does. (Iraw: the reader is the peer of a connection.)
Ifeed() {
  trap '' PIPE
  Ik=0
  Iz=0
  while IFS= read -r Il; do
    # Behind the letter is the number of the line that asks for it: once only, whatever front was killed over it.
    Iy=${Il#?}
    Iy=${Iy# }
    Iy=${Iy%% *}
    case $Il in [ifE]' '*) [ "$Iy" -gt $Iz ] || continue ;; *) continue ;; esac
    Iz=$Iy
    Il="${Il%% *} ${Il#? "$Iy" }"
    case $Il in
      'i '*) printf %b "${Il#i }" ;;
      'f '*) cat "i.${Il#f }" ;;
      # A terminal stays open when there is no more to type: script would make it a Ctrl-D.
      E*) [ "$Imode" = t ] && continue; exit ;;
    esac || [ -z "$Iraw" ] || exit
    case $Il in 'f '*) : >"i.${Il#f }" ;; esac
    Ik=$((Ik+1))
    printf '%s\n' "$Ik" >ic
    printf 'w c %s=%s\n' "$In" "$Ik" 1<>../ev
  done
}
# As sshd says it.
Ihome() {
  cd "$HOME" 2>/dev/null && return
  cd /
  if [ -d "$HOME" ]; then set -- 'Permission denied'; elif [ -e "$HOME" ]; then set -- 'Not a directory'; else set -- 'No such file or directory'; fi
  printf 'Could not chdir to home directory %s: %s\n' "$HOME" "$1" >&2
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
    # Goes away when dd begins.
    printf '1\n' >d$1
    Ix=$(dd bs="$Is" count=1 2>d$1 8>&- | Ienc 8>&-)
    Iz=$?
    if [ $Iz != 0 ]; then
      # The encoder was killed, or there was no memory for it: what dd has read, or will, is lost.
      Iy=
      read -r Iy <d$1
      [ "$Iy" = 1 ] || { : >bad; break; }
      Iwait
      continue
    fi
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
    mkdir r 2>/dev/null || exit
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
    Ihome
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
    Ihome
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
@JANITOR@
    ;;
esac
