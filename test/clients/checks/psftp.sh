# PuTTY's psftp and pscp, which write SFTP in their own way.
FP=$(ssh-keygen -lf "$KNOWN_HOSTS" | awk 'NR==1 {print $2}')
# How the password was asked for is the server's affair.
said() { "$@" >.said 2>&1; local x=$?; grep -v -e '^Using username' -e 'eyboard-interactive' .said; return $x; }
ps() { said psftp -batch -P "$PORT" -l "$U" -pw "$SSHPASS" -hostkey "$FP" -b /dev/stdin -bc -be "$@" 127.0.0.1; }
pc() { said pscp -q -batch -P "$PORT" -l "$U" -pw "$SSHPASS" -hostkey "$FP" "$@"; }

### psftp puts, gets, lists, renames and removes
# prints: b => local:c
printf 'hello\n' >a
ps <<X; echo $?
cd $R
pwd
put a b
get b c
mv b d
mkdir sub
put a "with space"
chmod 640 d
rm sub/none
rmdir sub
get none
put a /etc/nope
cd none
del d
ls none
quit
X
cmp a c
find $R -printf '%P %m %s\n' | LC_ALL=C sort

### psftp moves folders and large files both ways, and goes on where it stopped
# prints: Remote working directory
# seconds: 90
odd_tree t
rm -r t/link t/dangling t/not-utf8* t/*quote* t/*echo*
random $LARGE_MB >a
head -c 1000000 a >part
cp part $R/part
chmod 666 $R/part
ps <<X >.out; echo $?
cd $R
put -r t
get -r t back
put a
get a b
reput a part
reget a part
quit
X
head -1 .out
cmp a b && cmp a part && cmp a $R/part
diff -r t back && echo equal

### pscp copies by SFTP and by scp, both ways
# prints: ^0
odd_tree t
rm -r t/link t/dangling t/not-utf8*
for how in -sftp -scp; do
  ssh dev mkdir $R/up$how
  pc $how -p -r t 127.0.0.1:$R/up$how; echo $?
  pc $how -p -r 127.0.0.1:$R/up$how/t back$how; echo $?
  diff -r t back$how && echo equal
done
pc 127.0.0.1:$R/none .; echo $?
pc -ls 127.0.0.1:$R | grep -c up

### is cut in the middle, psftp and pscp: the device closes the file, and the next one works
# prints: ^(cut\nclosed\nthe beginning\n644\nnothing left\n){2}0
before
random 64 >tmp-a
echo "put tmp-a $R/.part" >.batch
/usr/bin/psftp -batch -P $PORT -l $U -pw $SSHPASS -hostkey $FP -b .batch 127.0.0.1 >/dev/null 2>&1 & p=$!
cut_upload $p
/usr/bin/pscp -q -batch -P $PORT -l $U -pw $SSHPASS -hostkey $FP tmp-a 127.0.0.1:$R/.part >/dev/null 2>&1 & p=$!
cut_upload $p
printf x >a
ps <<<"put a $R/after" >/dev/null; echo $?
