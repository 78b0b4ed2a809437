# The emitter: what of the front writes on the terminal, within the bridge's window. Part of front.sh.

# One record onto the terminal. Small ones without a process; large ones by one write of dd, because
# a shell's own printf may be cut into several.
Iput() {
  if [ "$2" -lt 500 ]; then
    Ih=
    Il=
    { IFS= read -r Ih; IFS= read -r Il; } <"$1"
    case $Il in
      *';') printf '%s\n%s' "$Ih" "$Il"; return 0 ;;
    esac
  fi
  dd if="$1" bs=262144 2>/dev/null
}
Iarm() {
  [ -n "$Itm" ] && return
  Itm=1
  # Not held open: a timer that outlives this front must not keep its terminal or pipe.
  ( exec 5>&-; sleep $Inap; [ -p "$ID/ev" ] && printf 't\n' 1<>"$ID/ev" ) </dev/null >/dev/null 2>&1 &
}
# The only writer on the terminal. Nothing that fails ends it before the front: a channel may be removed just
# when one of its records is to be written. Events: s file size (a new segment), r file (again), a n (lines
# done up to n), w record, u received window timeout (the bridge's account), t (timer).
Iemit() {
  set +f
  Isent=0; Irecv=0; Iwin=131072; Ito=2; Inap=2; Iq=; Ip=; Itm=; Iseen=; Imark=0
  while IFS=' ' read -r Ie If In Ix; do
    case $Ie in
      a) printf ':%s a %s %s;' "$IT" "$If" "$If" ;;
      w) printf ':%s %s %s %s;' "$IT" "$If" "$In" "$In" ;;
      r) [ -s "$ID/$If" ] && Iput "$ID/$If" 99999 ;;
      u) Irecv=$If; Iwin=$In; Ito=$Ix ;;
      s) if [ "$In" -lt 2000 ]; then Ip="$Ip $If $In"; else Iq="$Iq $If $In"; fi ;;
      t)
        # What was unacknowledged a whole interval ago and still is goes out again.
        Itm=
        Ik=
        Ir=
        Io=0
        for If in "$ID"/[0-9]*/[oex].[0-9]*; do
          [ -s "$If" ] || continue
          Ih=
          IFS= read -r Ih <"$If"
          Ik="$Ik|$Ih|"
          case " $Ip $Iq " in *" ${If#"$ID/"} "*) continue ;; esac
          Ir="$Ir ${If#"$ID/"}"
          case $Iseen in
            *"|$Ih|"*)
              if [ $Io -lt 4 ]; then
                Iput "$If" 99999
                # The bridge may not know of it: it is all there is, or as large as what comes behind it.
                set -- $Ih
                [ "$2" = x ] || printf ':%s S %s %s;' "$IT" "$2/$3/$4" "$2/$3/$4"
              fi
              Io=$((Io+1))
              ;;
          esac
        done
        Iseen=$Ik
        # No word for an interval: the account may be off (a former front's records); open it again.
        [ $Irecv -eq $Imark ] && Isent=$Irecv
        # And when something waits: on its way is what was sent and still lies here. What arrived twice
        # was counted twice, and would be in the way for good.
        [ -n "$Iq" ] && Isent=$((Irecv+$( (cd "$ID" && wc -c /dev/null $Ir) 2>/dev/null | {
          Ih=0
          while read -r In Ix; do case $Ix in */*) Ih=$((Ih+In)) ;; esac; done
          printf %s $Ih
        })))
        if [ $Irecv -ne $Imark ]; then Inap=$Ito; elif [ $Io -gt 0 ] && [ $Inap -lt 16 ]; then Inap=$((Inap*2)); fi
        Imark=$Irecv
        [ -n "$Ik" ] && Iarm
        ;;
    esac
    while :; do
      set -- $Ip
      if [ $# -gt 1 ]; then
        Io=$1; Ih=$2; shift 2; Ip="$*"
      else
        [ -n "$Iq" ] && [ $((Isent-Irecv)) -lt $Iwin ] || break
        set -- $Iq
        [ $# -gt 1 ] || break
        Io=$1; Ih=$2; shift 2; Iq="$*"
      fi
      if [ -s "$ID/$Io" ]; then
        Isent=$((Isent+Ih))
        Iput "$ID/$Io" $Ih
      fi
      Iarm
    done
  done
}
