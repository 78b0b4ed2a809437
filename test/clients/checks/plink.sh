# PuTTY's command-line client, with the password.
# -hostkey: the key that it is to expect. plink announces keyboard-interactive, which the bridge offers beside
# the password as sshd does with PAM; that is no difference.
FP=$(ssh-keygen -lf "$KNOWN_HOSTS" | awk 'NR==1 {print $2}')
pl() {
  local options=()
  while case "${1-}" in -*) true ;; *) false ;; esac do
    options+=("$1")
    case "$1" in -nc) shift; options+=("$1") ;; esac
    shift
  done
  filtered quiet plink -batch -ssh -P "$PORT" -l "$U" -pw "$SSHPASS" -hostkey "$FP" "${options[@]}" 127.0.0.1 "$@"
}
quiet() { grep -v -i -e 'keyboard-interactive' -e '^Using username'; }
plN() {
  plink -batch -ssh -P "$PORT" -l "$U" -pw "$SSHPASS" -hostkey "$FP" -N "$@" 127.0.0.1 </dev/null 2> >(quiet >&2) &
  keep $!
}

### runs commands with status, streams and binary data
# prints: ^0\n7\nout
pl true; echo $?
pl 'exit 7'; echo $?
pl 'echo out; echo err >&2' 2>e; cat e
random 4 >a
pl cat <a | cmp - a; echo ${PIPESTATUS[*]}
pl 'kill -TERM $$' 2>/dev/null; echo $?

### carries large data both ways, with compression as well
# prints: ^0
# seconds: 120
random $LARGE_MB >a
pl "cat >$R/a" <a; echo $?
pl "cat $R/a" | cmp - a; echo ${PIPESTATUS[*]}
pl -C "cat $R/a" | cmp - a; echo ${PIPESTATUS[*]}

### takes odd names and Unicode in commands
# prints: ^a b
pl "printf 'a b|%s' 中文 | tee '$R/it is 中文 [x]'"
pl "wc -c" </dev/null

### gives a terminal (-t) and a shell
# prints: yes
pl -t 'test -t 0 && echo yes; stty size; exit 4' </dev/null; echo $?
printf 'echo from the shell\nexit 5\n' | pl -T; echo $?

### forwards ports (-L, -R, -D) and joins one (-nc)
# prints: small
server
plN -L $L1:127.0.0.1:$SERVER
listening $L1
curl_to $L1 /small
curl_to $L1 /random | cmp - .served/random && echo equal
plN -R $L2:127.0.0.1:$SERVER
listening $L2
curl_to $L2 /random | cmp - .served/random && echo equal
(printf 'GET /small HTTP/1.0\r\n\r\n'; sleep 0.3) | pl -nc 127.0.0.1:$SERVER | tail -1

### shares a connection (-share)
# prints: ^one
HOME=$W plN -share
until_true sh -c "plink -batch -shareexists -P $PORT -l $U 127.0.0.1"
pl -share 'echo one; exit 3'; echo $?

### tells a wrong password and an unknown host key
# prints: ^told\n1\n1
plink -batch -ssh -P $PORT -l $U -pw wrong -hostkey $FP 127.0.0.1 true 2>&1 | tr -d '\r' | grep -c 'Access denied\|password' | sed 's/[1-9].*/told/'; echo ${PIPESTATUS[0]}
plink -batch -ssh -P $PORT -l $U -pw $SSHPASS 127.0.0.1 true >/dev/null 2>&1; echo $?

### is cut in the middle
# prints: ^gone\nagain
mkfifo tmp-p
exec 9<>tmp-p
plink -batch -ssh -P $PORT -l $U -pw $SSHPASS -hostkey $FP 127.0.0.1 "echo >$R/.up; cat; true $R" <tmp-p >/dev/null 2>&1 & p=$!
until_true test -s $R/.up
{ kill -9 $p; wait $p; } 2>/dev/null
until_true sh -c "! pgrep -u $U -f '[c]at; true $R'" && echo gone
pl echo again
