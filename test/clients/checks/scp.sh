# scp in SFTP mode, the default since OpenSSH 9.0. The check's name for the mode is $MODE.

### copies a file to the device and back
# prints: ^0 0
printf 'hello\n' >a
scp $MODE -q a dev:$R/b; x=$?
scp $MODE -q dev:$R/b c; echo $x $?
cmp a c
scp $MODE -q a dev:$R
scp $MODE -q -P $PORT -i $KEY -o UserKnownHostsFile=$KNOWN_HOSTS a $U@127.0.0.1:$R/by-address; echo $?
scp $MODE -q -i $KEY -o UserKnownHostsFile=$KNOWN_HOSTS a scp://$U@127.0.0.1:$PORT/$R/by-uri; echo $?

### copies large binary files both ways
# prints: ^0\n0
# seconds: 120
random $LARGE_MB >a
scp $MODE -q a dev:$R/b; echo $?
scp $MODE -q dev:$R/b c; echo $?
cmp a c

### copies folders with odd names, modes and times, both ways (-r -p)
# prints: ^0\n0
odd_tree t
rm t/dangling
touch -d 2020-02-29 t
scp $MODE -qrp t dev:$R/; echo $?
scp $MODE -qrp dev:$R/t back; echo $?
times $R/t
times back
diff -r t back && echo equal || echo differs

### copies a folder without -p, under the umask
# prints: ^0
odd_tree t
rm t/dangling
(umask 077; scp $MODE -qr t dev:$R/up); echo $?
(umask 077; scp $MODE -qr dev:$R/up down); echo $?

### names files with spaces, quotes, wildcards and Unicode on the device
# prints: ^0
mkdir d
printf 1 >'d/a b'
printf 2 >"d/it's"
printf 3 >'d/中文'
printf 4 >'d/x[1].txt'
scp $MODE -q d/* "dev:$R/"; echo $?
scp $MODE -q "dev:$R/中文" "dev:$R/a*" .; echo $?
scp $MODE -q "dev:$R/it*" .; echo $?
scp $MODE -q "dev:$R/x\[1\].txt" .; echo $?
scp $MODE -q 'd/a b' "dev:in-home-$SIDE$MODE" 2>/dev/null; echo $?
scp $MODE -q "dev:~/in-home-$SIDE$MODE" tilde 2>/dev/null; echo $?

### tells what is wrong: no such file, a folder, no permission, no target folder
# prints: ^1\n1\n1\n1\n1
printf x >a
for f in "dev:$R/none ." "dev:$R ." "dev:/etc/shadow ." "a dev:/etc/nope" "a dev:$R/no/such/folder/"; do
  scp $MODE -q $f; echo $?
done
ssh dev mkdir $R/d
scp $MODE -q a "dev:$R/d"; echo $?
scp $MODE -q "dev:$R/d/a" "dev:$R/none" .; echo $?

### copies several files with one failing, and over an existing file
# prints: ^(1|255)\n0
printf 1 >a
printf 22 >b
ssh dev "printf 'much longer than before' >$R/b"
scp $MODE -q a missing b dev:$R; echo $?
scp $MODE -q a b dev:$R; echo $?

### ends at once when it is cut in the middle, and the device holds no process of it
# prints: ^cut\nclosed\nthe beginning\n644\nnothing left\nclosed\nnothing left\n0
before
random 64 >tmp-a
/usr/bin/scp -F $CFG $MODE -q -l 40000 tmp-a dev:$R/.part 2>/dev/null & p=$!
cut_upload $p
cp tmp-a $R/.part
/usr/bin/scp -F $CFG $MODE -q -l 40000 dev:$R/.part tmp-b 2>/dev/null & p=$!
cut_download $p tmp-b
printf x >a
scp $MODE -q a dev:$R/after; echo $?

### copies from device to device through the client (-3)
# prints: ^0
ssh dev "printf x >$R/one"
scp $MODE -q -3 dev:$R/one dev:$R/two; echo $?

### limits its speed and shows its progress
# prints: ^0
random 1 >a
scp $MODE -l 80000 a dev:$R/a >/dev/null; echo $?
scp $MODE -C -q a dev:$R/c; echo $?

### copies many small files
# prints: ^0
# seconds: 90
mkdir many
for i in $(seq 300); do echo $i >many/$i; done
scp $MODE -qr many dev:$R; echo $?
scp $MODE -qr dev:$R/many back; echo $?
diff -r many back && echo equal

### follows links, keeps empty files and folders, and tells of dangling links
# prints: ^[01]
mkdir -p t/none
: >t/zero
echo x >t/f
ln -s f t/l
ln -s none t/dl
scp $MODE -qr t dev:$R; echo $?
