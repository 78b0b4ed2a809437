# Pipes through ssh: tar, cat, dd, gzip.

### packs a tree with odd names to the device and back
# prints: ^0 0\n0 0
odd_tree t
tar cf - t | ssh dev "tar xpf - -C $R"; echo ${PIPESTATUS[*]}
ssh dev "tar cf - -C $R t" | tar xpf - --one-top-level=back; echo ${PIPESTATUS[*]}
times $R/t
times back/t
diff -r --no-dereference t back/t && echo equal

### stores a file by cat, with its last byte whatever it is
# prints: ^0
for f in '' 'no end' $'one\n' $'\r\n\r' $'\0' $'~.\n' $'\x04\x03\x1a'; do
  printf %s "$f" >f
  ssh dev "cat >$R/f; wc -c <$R/f" <f; echo $?
  cmp f $R/f
done
printf 'a\0b' >f
ssh dev "cat >$R/f" <f; cmp f $R/f

### stores a large file by cat, checks it and reads it back
# prints: ^0
# seconds: 120
random $LARGE_MB >f
ssh dev "cat > $R/g" <f; echo $?
ssh dev "sha256sum <$R/g"
ssh dev "cat $R/g" | cmp - f; echo ${PIPESTATUS[*]}
ssh dev "gzip -c <$R/g" | gunzip | cmp - f; echo ${PIPESTATUS[*]}
dd if=f bs=64k 2>/dev/null | ssh dev "dd of=$R/h bs=1M iflag=fullblock 2>/dev/null; cmp $R/g $R/h"; echo ${PIPESTATUS[*]}

### tells what is wrong: a full device, a missing folder, a broken archive
# prints: full|No space left on device
printf x | ssh dev "cat >/dev/full" 2>&1; echo ${PIPESTATUS[1]}
printf x | ssh dev "cat >/no/such" 2>&1; echo ${PIPESTATUS[1]}
head -c 5000 /dev/urandom | ssh dev "tar xf - -C $R" 2>/dev/null; echo ${PIPESTATUS[1]}
random 4 | ssh dev "head -c 100000 >$R/part; exit 3"; echo ${PIPESTATUS[1]}

### is cut in the middle
# prints: ^cut\nclosed\nthe beginning\n644\nnothing left\nclosed\nnothing left\n0
before
random 16 >tmp-a
mkfifo tmp-p
exec 9<>tmp-p
cat tmp-a >tmp-p & keep $!
/usr/bin/ssh -F $CFG dev "cat >$R/.part" <tmp-p & p=$!
cut_upload $p
cp tmp-a $R/.part
mkfifo tmp-o
/usr/bin/ssh -F $CFG dev "tar cf - -C $R .part" >tmp-o & p=$!
exec 8<tmp-o
head -c 100000 <&8 >tmp-b
cut_download $p tmp-b
printf x | ssh dev "cat >$R/after"; echo $?

### streams for a while with both ends slow
# prints: got 20\n0
(for i in $(seq 20); do echo $i; sleep 0.05; done) | ssh dev 'while read x; do echo "got $x"; sleep 0.02; done' | (sleep 1; cat); echo ${PIPESTATUS[1]}
