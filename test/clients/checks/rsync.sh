# rsync over ssh, both directions.

### copies a tree with odd names to the device and back (-a)
# prints: ^0\n0\n
odd_tree t
rsync -a -e "ssh -F $CFG" t/ dev:$R/t/; echo $?
rsync -a -e "ssh -F $CFG" dev:$R/t/ back/; echo $?
times $R/t
times back
diff -r --no-dereference t back && echo equal

### mirrors changes (-a --delete --checksum)
# prints: deleting
odd_tree t
rsync -a -e "ssh -F $CFG" t/ dev:$R/t/
rm -r t/deep/er
echo changed >t/plain
touch -d '2020-02-29 12:34:56' t/plain
echo new >t/new
rsync -ai --delete --checksum -e "ssh -F $CFG" t/ dev:$R/t/ | sed 's/, [0-9:]*$//' | grep -v '^\.d'; echo ${PIPESTATUS[0]}
rsync -an --delete --checksum --stats -e "ssh -F $CFG" dev:$R/t/ t/ | grep -E 'Number of (regular|created|deleted)'
echo other >$R/t/new
rsync -a --delete --checksum -e "ssh -F $CFG" dev:$R/t/ t/; echo $?
cat t/new

### copies large files, compressed and not
# prints: ^0\n0\n0
# seconds: 120
random $LARGE_MB >a
rsync -e "ssh -F $CFG" a dev:$R/a; echo $?
rsync -z -e "ssh -F $CFG" dev:$R/a b; echo $?
cmp a b
rsync --whole-file -z -e "ssh -F $CFG -C" a dev:$R/c; echo $?

### sends only what has changed in a large file
# prints: ^0\n0\n1
random 8 >a
rsync -e "ssh -F $CFG" a dev:$R/a; echo $?
printf changed | dd of=a bs=1 seek=4000000 conv=notrunc 2>/dev/null
# Changed within the second, and as large as before: without -I it may be passed over.
rsync -I --no-whole-file --stats -e "ssh -F $CFG" a dev:$R/a >s; echo $?
awk '/^Literal data/ {gsub(",", "", $3); print ($3 + 0 < 100000 ? 1 : $0)}' s
rm s

### resumes an interrupted transfer (--partial --append-verify)
# prints: ^cut\n0\n1\n
# seconds: 60
random 16 >a
chmod 644 a
rsync --partial --bwlimit=4m -e "ssh -F $CFG" a dev:$R/a >/dev/null 2>&1 & p=$!
until_true sh -c "ls -A $R | grep -q ."
sleep 0.7
kill $p
wait $p
echo cut
until_true test -s $R/a
rsync --partial --append-verify --stats -e "ssh -F $CFG" a dev:$R/a >s; echo $?
awk '/^Literal data/ {gsub(",", "", $3); print ($3 + 0 < 16000000)}' s
rm s
rsync --partial --bwlimit=4m -e "ssh -F $CFG" dev:$R/a b >/dev/null 2>&1 & p=$!
until_true sh -c "ls -A | grep -q '^.b'"
sleep 0.7
kill $p
wait $p
rsync --partial --append-verify -e "ssh -F $CFG" dev:$R/a b; echo $?
cmp a b

### tells what is wrong: no such file, no permission, no rsync on the other side
# prints: ^23\n23\n11\n3\nfailed
# sh varies: what a program says on its standard error just before it ends may come after its output, or too late for rsync
# sh prints: ^23\n23\n11\n3\nfailed
echo x >a
rsync -a -e "ssh -F $CFG" dev:$R/none . 2>e; echo $?
rsync -a -e "ssh -F $CFG" dev:/etc/shadow . 2>>e; echo $?
rsync -a -e "ssh -F $CFG" a dev:/etc/none/ 2>>e; echo $?
rsync -a -e "ssh -F $CFG" a dev:$R/no/such/folder/a 2>>e; echo $?
# rsync's own status here is 12 or 127, by which end it hears of first.
rsync -a --rsync-path=/no/rsync -e "ssh -F $CFG" a dev:$R/ 2>>e || echo failed
# What the receiver says of its folder comes or not, under sshd as well: the sender ends first, or it.
sed 's/(pid [0-9]*)//; /rsync error:/d; /Broken pipe/d; /change_dir#3/d; /\[Receiver\] mkdir/d' e
rm e

### is cut in the middle and leaves no process on the device
# prints: ^gone\nnothing left\n0 files\n0
before
random 32 >tmp-a
rsync --bwlimit=8m -e "ssh -F $CFG" tmp-a dev:$R/.a 2>/dev/null & p=$!
until_true sh -c "pgrep -u $U -f '[r]sync --server.*$R'" >/dev/null
{ kill -9 $p; wait $p; } 2>/dev/null
until_true sh -c "! pgrep -u $U -f '[r]sync --server.*$R'" && echo gone
nothing_left
echo "$(ls -A $R | wc -l) files"
echo x >a
rsync -e "ssh -F $CFG" a dev:$R/b; echo $?

### copies hard links, sparse files and permissions (-aHSX --numeric-ids)
# prints: ^0
mkdir t
echo x >t/a
ln t/a t/b
truncate -s 5M t/sparse
chmod 4755 t/a
rsync -aHS --numeric-ids --no-o --no-g -e "ssh -F $CFG" t/ dev:$R/t/; echo $?
stat -c '%n %h' $R/t/a $R/t/b
[ $(stat -c %b $R/t/sparse) -lt 100 ] && echo sparse

### obeys filters, backups and lists of files
# prints: ^0
odd_tree t
rsync -a --exclude='*.bin' --include='*/' -e "ssh -F $CFG" t/ dev:$R/t/; echo $?
echo changed >t/plain
rsync -a --backup --suffix=.old -e "ssh -F $CFG" t/plain dev:$R/t/; echo $?
printf 'plain\0deep/run.sh\0' | rsync -a --from0 --files-from=- -e "ssh -F $CFG" dev:$R/t/ some/; echo $?
rsync --list-only -e "ssh -F $CFG" dev:$R/t/ | awk '{print $1, $NF}' | grep -v ' \.$'

### copies many small files
# prints: ^0\n0
# seconds: 90
mkdir many
for i in $(seq 2000); do echo $i >many/$i; done
rsync -a -e "ssh -F $CFG" many dev:$R/; echo $?
rsync -a -e "ssh -F $CFG" dev:$R/many/ back/; echo $?
diff -r many back && echo equal
rm -r many back $R/many
