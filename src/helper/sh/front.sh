# The front: reads the bridge's lines from the terminal and does what they ask; one per login, in a
# session of its own, so that the end of the terminal never interrupts a line half done. All state is
# in the directory, where the next front finds it. PROTOCOL: see wire.ts.
ID=${0%/*}
. "$ID/k"
if [ -n "$BASH_VERSION" ] && [ -z "$1" ]; then
  # Bash reads ahead on a terminal, and would give what it holds to the next read of anything.
  cat | sh "$0" $$
  exit
fi
# The process group of this front.
Ipg=${1:-$$}
# Some shells (mksh) pass their own hang-up on to us; what is being done must be finished first.
trap : HUP
set -f
Ix=
[ -n "$Iboot" ] && read -r Ix </proc/sys/kernel/random/boot_id
if [ "$Ix" != "$Iboot" ]; then
  # A directory that outlived a reboot: its processes did not.
  rm -rf "$ID"
  printf ':%s g 0 0;' "$IT"
  exit 0
fi
Iold=
read -r Iold <"$ID/fp"
printf '%s\n' $$ >"$ID/gen"
if [ -n "$Iold" ]; then
  Ix=0
  while [ -s "$ID/busy" ] && [ $Ix -lt 3 ]; do
    sleep 1
    Ix=$((Ix+1))
  done
  kill -KILL -"$Iold" 2>/dev/null
fi
: >"$ID/busy"
printf '%s\n' $Ipg >"$ID/fp"
# What the janitor may end when nothing more is heard, and by which ports it is connected.
printf '%s %s\n' "$IS" "$SSH_CONNECTION" >"$ID/ls"
unset IS
printf 'x\n' >"$ID/hb"
Ilast=0
read -r Ilast <"$ID/q"
read -r Ix <"$ID/qq"
# Two files, one after the other: whoever was killed in between left one of them whole.
[ "${Ix:-0}" -gt "${Ilast:-0}" ] && Ilast=$Ix
rm -f "$ID/ev"
mkfifo "$ID/ev" || exit 1
exec 5<>"$ID/ev"

# The janitor may have been killed (no memory): without it nobody ends what is here, nor an agent's hang.
Ijan() {
  [ -s "$ID/jp" ] && read -r Iu <"$ID/jp" && ! kill -0 "$Iu" || return
  printf '' >"$ID/jp"
  setsid setsid sh "$ID/r" jan </dev/null >/dev/null 2>&1 5>&-
}
Ijan 2>/dev/null
@EMITTER@
Iemit <&5 5>&- &
# Whatever a former front did not get across is offered again.
set +f
(cd "$ID" && wc -c [0-9]*/[oex].[0-9]*) 2>/dev/null | while read -r In Ix; do
  case $Ix in */*) [ "$In" -gt 0 ] && printf 's %s %s\n' "$Ix" "$In" >&5 ;; esac
done
set -f
printf 'r h\nw A %s\n' "$Ilast" >&5

# Whether these are numbers as the bridge writes them. Others would be paths, and an end of this shell where
# it calculates: a line is whole by its checksum, which anybody can make who knows the tag.
Inum() {
  for Ix do
    case $Ix in '' | 0?* | *[!0-9]* | ??????????????*) return 1 ;; esac
  done
}
# The account of the stream $1, from two files as q is.
Inoted() {
  Iu=
  Ig=
  read -r Iu Ig <"$1.u"
  [ -n "$Ig" ] || read -r Iu Ig <"$1.v"
  [ -n "$Ig" ] || { Iu=0; Ig=$IW; }
}
# Moves one stream on: everything below $3 has arrived, segments below $4 may be produced.
Iacked() {
  Inum "$1" "$3" "$4" && [ ${#2} = 1 ] && [ -e "$ID/$1/$2.u" ] || return
  Inoted "$ID/$1/$2"
  [ "$3" -gt "$Iu" ] || [ "$4" -gt "$Ig" ] || return
  # No more can have arrived than might be produced, also where a killed front had granted more than it noted.
  [ "$3" -le $((Ig+IW)) ] || return
  while [ "$Iu" -lt "$3" ]; do
    : >"$ID/$1/$2.$((Iu%IW))"
    Iu=$((Iu+1))
  done
  if [ "$4" -gt "$Ig" ] && [ "$4" -le $((Iu+IW)) ]; then
    Ig=$4
  fi
  # Noted before it is granted: what a killed front had freed must not be freed again once there is something new.
  # (Over the one before, as q.)
  printf '%s %s\n' "$Iu" "$Ig" 1<>"$ID/$1/$2.u"
  printf '%s %s\n' "$Iu" "$Ig" 1<>"$ID/$1/$2.v"
  [ -p "$ID/$1/g$2" ] && printf '%s\n' "$Ig" 1<>"$ID/$1/g$2"
}
# Sends a signal to a channel's own process group, which may be a moment away from existing.
Ikill() {
  Iu=
  [ -s "$ID/$1/C" ] && read -r Iu <"$ID/$1/C"
  if [ -n "$Iu" ]; then
    kill -"$2" -"$Iu" 2>/dev/null || kill -"$2" "$Iu" 2>/dev/null
    return
  fi
  [ -n "$3" ] || return
  (
    for Ix in 1 2 3; do
      sleep 1
      [ -s "$ID/$1/C" ] || continue
      Ikill "$1" "$2"
      break
    done
  ) </dev/null >/dev/null 2>&1 5>&- &
}
# Frees a channel whose end the bridge has seen; background children of its command live on.
Ifree() {
  [ -d "$ID/$1" ] || return
  # Not by ":", which would end this shell where it cannot be made.
  printf '' >"$ID/$1/dead"
  Iu=
  [ -s "$ID/$1/S" ] && read -r Iu <"$ID/$1/S" && kill -KILL -"$Iu" 2>/dev/null
  # A listener's program is no background child: it must not outlive whoever started it.
  [ -e "$ID/$1/h" ] && Ikill "$1" KILL
  set +f
  Ileave "$ID/$1"
  set -f
  rm -rf "$ID/$1" 2>/dev/null || rm -rf "$ID/$1" 2>/dev/null
}
# Ends a channel nobody wants any more: the command is hung up.
Iend() {
  [ -d "$ID/$1" ] || return
  printf '' >"$ID/$1/dead"
  Ikill "$1" HUP
  Ikill "$1" CONT
  Ifree "$1"
}
# Starts a channel; fails when the device has no room for it.
Iexec() {
  Id=$ID/$2
  if [ "$3" = a ]; then
    # A connection that was accepted: its directory is made, and its supervisor waits for the number.
    Inum "${4%%/a.*}" "${4#*/a.}" || return
    [ -d "$Id" ] || mv "$ID/${4%%/a.*}/a.${4#*/a.}" "$Id" || return
    # It may have been killed while it waited (no memory): nobody would ever tell of an end.
    read -r Iu <"$Id/S" && kill -0 "$Iu" || { rm -rf "$Id"; return 1; }
    printf '%s\n' "$2" 1<>"$Id/n"
    return
  fi
  # A former front may have been killed while it did this; whether it got as far as the start, the supervisor knows.
  if [ ! -e "$Id/w" ]; then
    rm -rf "$Id"
    mkdir "$Id" || return
    mkfifo "$Id/i" "$Id/o" "$Id/e" "$Id/n" "$Id/go" "$Id/ge" || { rm -rf "$Id"; return 1; }
    Ix=0
    case $4 in
      @*)
        while [ $Ix -lt "${4#@}" ]; do
          cat "$ID/b.$Ix" >>"$Id/c" || break
          Ix=$((Ix+1))
        done
        [ $Ix = "${4#@}" ]
        ;;
      *) printf %b "${Ib#* * * }" >"$Id/c" ;;
    esac && printf '0 %s\n' "$IW" >"$Id/o.u" && printf '0 %s\n' "$IW" >"$Id/e.u" && printf '' >"$Id/w" || { rm -rf "$Id"; return 1; }
    while [ $Ix -gt 0 ]; do
      Ix=$((Ix-1))
      printf '' >"$ID/b.$Ix"
    done
  fi
  # Held open here until the feeder has it, else what is written meanwhile would vanish. Two setsid
  # fork without &, which would leave INT and QUIT ignored in the command for good.
  setsid setsid sh "$ID/r" run "$2" "$3" </dev/null >/dev/null 2>&1 5>&- 7<>"$Id/n"
}
Ido() {
  [ "$1" = y ] || Inum "$2" || return
  case $1 in
    x) [ $# -gt 3 ] && Iexec "$@"; return ;;
    i) [ -p "$ID/$2/n" ] && printf 'i %s %s\n' "$Iq" "${Ib#* * }" 1<>"$ID/$2/n" ;;
    d)
      Inum "$3" || return
      if [ "$2" = 0 ]; then cat "$ID/u" >"$ID/b.$3" || return 2; return; fi
      [ -p "$ID/$2/n" ] || return
      # Moved, not copied: where this line is done again, the feeder may be reading it.
      mv -f "$ID/u" "$ID/$2/i.$3" || return 2
      printf 'f %s %s\n' "$Iq" "$3" 1<>"$ID/$2/n"
      ;;
    E) [ -p "$ID/$2/n" ] && printf 'E %s\n' "$Iq" 1<>"$ID/$2/n" ;;
    s) Ikill "$2" "$3" late ;;
    w)
      Iu=
      [ -s "$ID/$2/T" ] && read -r Iu <"$ID/$2/T" && [ -c "$Iu" ] && stty rows "$3" cols "$4" <"$Iu" 2>/dev/null
      ;;
    c) Iend "$2" ;;
    z) Ifree "$2" ;;
    O) printf '' >"$ID/$2/cut"; Iu=; [ -s "$ID/$2/P" ] && read -r Iu <"$ID/$2/P" && kill -KILL "$Iu" 2>/dev/null ;;
    n) [ "$2" -gt 0 ] && [ "$2" -le $IB ] && printf '%s\n' "$2" >"$ID/bs"; return ;;
  esac
  return 0
}
# Tells the end of a channel whose supervisor was killed.
Ilost() {
  set -- "$1" $(printf 'x %s 0\n999 0 0 0' "$1" | Isum)
  printf ':%s x %s 0\n999 0 0 0 %s;' "$IT" "$1" "$2" >"$ID/$1/x.0" && printf 's %s 99\n' "$1/x.0" >&5
}
Inote() {
  case $1 in
    h) printf 'r h\nw A %s\n' "$Ilast" >&5 ;;
    v)
      # A piece of a block that does not get across whole: put aside until its line asks for it.
      Inum "${2%%=*}" "${2#*=}" || return
      if [ "${2%=*}" -le "$Ilast" ]; then
        # The whole block came after all, and the word of that was lost.
        printf 'a %s\n' "$Ilast" >&5
      else
        Ix=$(Isum <"$ID/u")
        [ "${Ix%% *}" = "$5" ] && mv -f "$ID/u" "$ID/v.$2" && printf 'w v %s\n' "$2" >&5
      fi
      ;;
    p)
      Ijan
      Ix="p $2 $Ilast"
      set +f
      for Iu in "$ID"/[0-9]*/ic; do
        [ -s "$Iu" ] || continue
        read -r Ig <"$Iu" || continue
        Iu=${Iu%/ic}
        Ix="$Ix ${Iu##*/}=$Ig"
      done
      for Iu in "$ID"/[0-9]*/S; do
        # Before its number goes from there, a supervisor tells the end.
        [ -s "$Iu" ] && read -r Ig <"$Iu" && ! kill -0 "$Ig" 2>/dev/null && [ ! -s "${Iu%S}x.0" ] || continue
        Iu=${Iu%/S}
        Ilost "${Iu##*/}"
      done
      set -f
      set -- $(printf %s "$Ix" | Isum)
      printf ':%s %s %s;' "$IT" "$Ix" "$1" >"$ID/p"
      printf 'r p\n' >&5
      ;;
    k)
      # Without a window, or a time, nothing would be sent any more by which to be told others.
      Inum "$2" "$3" "$4" && [ "$4" -le 600 ] && [ $(($3*$4)) -gt 0 ] || return
      printf 'u %s %s %s\n' "$2" "$3" "$4" >&5
      shift 4
      while [ $# -gt 1 ]; do
        if [ "$1" = ! ]; then
          printf 'r %s\n' "$2" >&5
          shift 2
        else
          [ $# -gt 3 ] || return
          Iacked "$@"
          shift 4
        fi
      done
      ;;
    b)
      set +f
      for Ix in "$ID"/[0-9]*; do Iend "${Ix##*/}"; done
      [ -s "$ID/jp" ] && read -r Iu <"$ID/jp" && kill -KILL -"$Iu" 2>/dev/null
      rm -rf "$ID"
      printf 'w b 0\n' >&5
      sleep 1
      kill -KILL -$Ipg
      ;;
  esac
}
# A former front may have been killed before it had granted what it had noted.
set +f
for Ik in "$ID"/[0-9]*/[oe].u; do
  [ -e "$Ik" ] || continue
  Inoted "${Ik%.u}"
  Iu=${Ik##*/}
  Iu=${Ik%/*}/g${Iu%.u}
  [ -p "$Iu" ] && printf '%s\n' "$Ig" 1<>"$Iu"
done 2>/dev/null
set -f
while IFS= read -r Il; do
  case $Il in
    *"$IT "*) Il=${Il##*"$IT "} ;;
    *) continue ;;
  esac
  Iq=${Il%% *}
  Il=${Il#* }
  Is=${Il%% *}
  Ib=${Il#* }
  case $Iq in '' | *[!0-9]*) continue ;; esac
  set -- $(printf %s "$Iq $Ib" | Isum)
  if [ "$1" != "$Is" ]; then
    [ "$Iq" = 0 ] || printf 'w m %s\n' "$Ilast" >&5
    continue
  fi
  printf 'x\n' >"$ID/busy"
  read -r Ix <"$ID/gen"
  [ "$Ix" = $$ ] || break
  printf 'x\n' >"$ID/hb"
  set -- $Ib
  case $1 in
    # d channel slot length sum, or v q=i 0 length sum; then that many characters of base64. More than a
    # block has would be the lines that follow.
    d | v)
      Inum "$4" && [ "$4" -le 65536 ] || set -- "$1"
      dd bs="$4" count=1 iflag=fullblock 2>/dev/null | Idec 2>/dev/null >"$ID/u"
      ;;
  esac
  if [ "$Iq" = 0 ]; then
    Inote "$@"
  elif [ "$Iq" = $((Ilast+1)) ]; then
    Iok=0
    if [ "$1" = D ]; then
      # As d, of that many pieces.
      Inum "$4" && [ "$4" -le 999 ] || set -- D
      Ix=0
      while [ $Ix -lt "$4" ]; do
        cat "$ID/v.$Iq=$Ix" || break
        Ix=$((Ix+1))
      done >"$ID/u"
      shift
      set -- d "$@"
    fi
    if [ "$1" = d ]; then
      Ix=$(Isum <"$ID/u")
      [ "${Ix%% *}" = "$5" ] || Iok=2
      [ $# = 5 ] || Iok=1
    fi
    [ $Iok = 0 ] && { Ido "$@"; Iok=$?; }
    case $Iok in
      0)
        Ilast=$Iq
        # Written over, since it only grows: a full file system would keep nothing of a file that was emptied first.
        printf '%s\n' "$Ilast" 1<>"$ID/q"
        printf '%s\n' "$Ilast" 1<>"$ID/qq"
        printf 'a %s\n' "$Ilast" >&5
        # Its pieces, which are there also where the whole came first.
        if [ -e "$ID/v.$Iq=0" ]; then
          set +f
          rm -f "$ID"/v.*
          set -f
        fi
        ;;
      2) printf 'w m %s\n' "$Ilast" >&5 ;;
      *) printf 'w F %s\n' "$Iq" >&5 ;;
    esac
  elif [ "$Iq" -le "$Ilast" ]; then
    printf 'a %s\n' "$Ilast" >&5
  else
    printf 'w n %s\n' "$Ilast" >&5
  fi
  : >"$ID/busy"
done 2>/dev/null
# The terminal is gone (or a newer front took over): leave the emitter no reason to stay.
read -r Ix <"$ID/gen" 2>/dev/null
if [ "$Ix" = $$ ]; then
  : >"$ID/busy"
  : >"$ID/fp"
fi
kill -KILL -$Ipg
