# sshfs: the device's files as a file system of the client.
mounted() {
  mkdir -p m
  command sshfs -F "$CFG" "$@" "dev:$R" m || return
  trap 'fusermount3 -u m || fusermount3 -uz m; rmdir m' EXIT
}
tell() { sed "s|$W|W|g"; }

### reads, writes, lists, links, renames and removes
# prints: ^hello
mounted
echo hello >m/a
cat m/a
mkdir m/d
mv m/a m/d/b
ln -s d/b m/l
cat m/l
ln m/d/b m/hard
chmod 640 m/d/b
echo more >>m/d/b
truncate -s 8 m/d/b
touch -d '2020-02-29 12:34:56' m/d/b
stat -c '%a %s %Y %F' m/d/b
stat -c '%s %F' m/l
rm m/hard
readlink m/l
ls m m/d
rmdir m/d 2>&1 | tell
cat m/none 2>&1
echo x >m/one
mv m/one m/d/b
cat m/d/b
df m >/dev/null; echo $?

### copies a tree with odd names there and back, and a large file
# prints: ^equal
# seconds: 90
mounted
odd_tree t
# sshfs sets the times of what a link points to, which may be copied after it, or never.
rm t/dangling t/link
# To owners the user has no right.
cp -dR --preserve=mode,timestamps t m/ 2>&1
ln -s plain t/link
ln -s nowhere t/dangling
cp -d t/link t/dangling m/t/
touch -d '2020-02-29' m/t
cp -dR --preserve=mode,timestamps m/t back 2>&1
diff -r --no-dereference t back && echo equal
times back
random $LARGE_MB >a
cp a m/a
sync m/a
cmp a m/a && echo same

### writes in the middle and behind 4 GB
# prints: ^middle
mounted
random 1 >m/.a
printf middle | dd of=m/.a bs=1 seek=500000 conv=notrunc 2>/dev/null
dd if=m/.a bs=1 skip=500000 count=6 2>/dev/null; echo
printf end | dd of=m/.b bs=1 seek=5000000000 2>/dev/null
stat -c %s m/.b
dd if=m/.b bs=1 skip=5000000000 2>/dev/null | od -c
stat -c %s m/.a
rm m/.a m/.b

### is cut in the middle: the device closes the file, and the next one works
# prints: ^cut\nclosed\nthe beginning\n644\nnothing left\nafter
# seconds: 60
before
mkdir -p m
trap 'fusermount3 -u m || fusermount3 -uz m; rmdir m' EXIT
/usr/bin/sshfs -f -F $CFG dev:$R m 2>/dev/null & p=$!
until_true mountpoint -q m
random 64 >tmp-a
cat tmp-a >m/.part 2>/dev/null &
cut_upload $p
fusermount3 -uz m
mounted
echo after >m/a
cat m/a
