# OpenSSH's sftp, with commands from its standard input. $MODE tells the settings apart in names.
batch() { sftp -q "$@" -b - dev 2>&1; }

### puts and gets files, with names that need quoting, and keeps modes and times (-p)
# prints: ^sftp> put
printf 'hello\n' >a
: >empty
chmod 4751 a
touch -d '2020-02-29 12:34:56' a empty
batch <<X; echo $?
put -p a $R/b
put empty "$R/it's \"q\" \\\\ 中文 [x]"
put -p a $R/-dash
cd $R
put -p a
put -f a flushed
pwd
ls -1
get -p b c
get "it's \"q\" \\\\ 中文 [x]" d
get -p -- -dash
X
cmp a c && cmp empty d && cmp a ./-dash && echo same
# The others have the time of the transfer.
times . | grep 2020; times $R | grep 2020

### moves folders with odd names both ways, with modes and times (-r -p)
# prints: ^sftp> put
# seconds: 90
odd_tree t
rm t/dangling
touch -d '2020-02-29' t
batch <<X; echo $?
put -rp t $R/
get -rp $R/t back
X
times $R/t
times back
diff -rq t back | LC_ALL=C sort

### lists folders in long form as sshd's, with owners, modes, sizes and times of all kinds
# prints: run\.sh
odd_tree $R/t
truncate -s 5G $R/t/sparse
touch -d '2099-01-01' $R/t/sparse
touch -d '1960-01-01' $R/t/empty
mkfifo $R/t/.fifo
chmod 7777 $R/t/deep
chmod 1000 $R/t/deep/run.sh
touch -h -d '2020-02-29 12:34:56' $R/t $R/t/deep $R/t/.fifo
chown -h 12345:54321 $R/t/plain
# The folder above is of now.
batch <<X | grep -v ' \.\.$'
ls -la $R/t
ls -lan $R/t
ls -l $R/t/deep/*
ls -1S $R/t
ls -t $R/t
ls -l $R/none*
ls -la /dev/null /dev/sda* /proc/self/exe
cd /
ls -1 d*
ls -lh $R/t/sparse
X
rm -r $R/t/sparse

### makes, renames, links, changes and removes
# prints: ^sftp> mkdir
printf x >a
batch <<X; echo $?
mkdir $R/d
cd $R/d
put a
put a b
rename a c
rename b c
ln c hard
ln -s c soft
ln -s nowhere dangling
symlink /etc abs
chmod 640 c
chmod 700 .
chmod -h 600 c
chgrp $(id -g $U) c
chown -h $(id -u $U) soft
copy c copy
cp c c2
ls -1
rm c2
rename soft softer
ls -1 *
rename ../d ../e
cd ../e
mkdir sub
rmdir sub
rm hard
df
X
find $R/e -printf '%P %m %y %n %l\n' | LC_ALL=C sort

### tells what is wrong, one by one
# prints: Permission denied
printf x >a
mkdir -p $R/full/x
printf x >$R/file
ln -s loop $R/loop
chmod 777 $R/file
mkdir -m 0 $R/closed
LONG=$(printf '%0300d' 0)
# A dash before a command: go on when it fails.
batch <<X; echo $?
-get $R/none
-get $R/full
-get -r $R/none
-ls $R/none
-ls -l /root
-cd $R/file
-cd $R/none
-cd $R/closed
-put a $R/no/such
-put a /etc/nope
-put a $R/full
-put none $R
-mkdir $R/full
-mkdir /etc/nope
-rmdir $R/full
-rmdir $R/file
-rmdir $R/none
-rm $R/full
-rm $R/none
-rm /etc/passwd
-rename $R/none $R/x
-rename $R/file $R/full
-rename $R/full $R/file
-ln $R/none $R/x
-ln $R/full $R/x
-ln -s x $R/file
-chmod 600 /etc/passwd
-chown 0 $R/file
-chmod 600 $R/none
-get /etc/shadow
-get $R/loop
-get $R/loop/x
-get $R/file/x
-put a $R/$LONG
-df $R/none
-copy $R/none $R/x
-copy $R/file $R/full
-reget $R/none
-get $R/closed/x
-ls $R/closed
get $R/none
not reached
X
chmod 700 $R/closed

### tells that the device is full, keeps what fitted, and goes on
# prints: Failure
random 3 >a
D=/mnt/w-$SIDE-w
batch <<X; echo $?
put a $D/a
X
test -s $D/a || echo kept nothing
batch <<X; echo $?
rm $D/a
put /etc/hostname $D/small
get $D/small
rm $D/small
X
cmp small /etc/hostname && echo fits

### moves large binary files both ways, with few and many requests at once
# prints: ^sftp> put
# seconds: 120
random $LARGE_MB >a
batch <<X; echo $?
put a $R/b
get $R/b c
X
cmp a c
random 1 | head -c 200000 >d
for o in "-R 1 -B 1000" "-R 1 -B 261120" "-R 256 -B 262144" "-R 64 -B 100000"; do
  batch $o <<X; echo $?
put d $R/d
get $R/d e
X
  cmp d e
done

### resumes a put and a get where they stopped (reput, reget)
# prints: ^sftp> reput
random 3 >a
head -c 1000001 a | tr '\000-\377' '\001-\377\000' >part
cp part $R/up
cp a $R/whole
chmod 666 $R/up
cp part down
batch <<X; echo $?
reput a $R/up
reget $R/whole down
reget $R/whole down
put -a a $R/up
X
# What was there is left alone: only the rest was sent.
cmp <(cat part; tail -c +1000002 a) $R/up && cmp $R/up down && echo resumed
batch <<X; echo $?
reget $R/up a
X
head -c 10 $R/whole >$R/short
batch <<X; echo $?
reget $R/short down
reput part $R/whole
X

### reads and writes behind 4 GB, where files have holes
# prints: ^0\n0
truncate -s 5G tmp-a
printf 'the end' >>tmp-a
truncate -s 5G $R/.b
chmod 666 $R/.b
echo "reput tmp-a $R/.b" | batch >/dev/null; echo $?
truncate -s 5G tmp-c
echo "reget $R/.b tmp-c" | batch >/dev/null; echo $?
stat -c %s tmp-c $R/.b
tail -c 10 tmp-c | od -c
test $(stat -c %b $R/.b) -lt 1000 && echo sparse
rm $R/.b tmp-a tmp-c

### moves many small files
# prints: ^0
# seconds: 90
mkdir many
for i in $(seq 120); do echo $i >many/$i; done
echo "put -r many $R/" | batch >/dev/null; echo $?
echo "get -r $R/many back" | batch >/dev/null; echo $?
printf "cd $R\nls -1 many\n" | batch | sort
diff -r many back && echo equal

### reads what has no size: /proc, /sys and devices
# prints: ^sftp> get
batch <<X; echo $?
get /proc/version
get /proc/cpuinfo
X
cmp version /proc/version

### finds names: the home, ~, wildcards, .. and links
# prints: ^sftp> pwd
mkdir -p $R/d/e
ln -s d/e $R/l
printf x >$R/d/file
printf x >$R/d/e/other
batch <<X; echo $?
pwd
cd $R/l
pwd
ls -1
cd ..
pwd
ls -1 ../*
get ../d/f* got
cd ~
pwd
get -r $R/l/../d copy
X
find got copy | LC_ALL=C sort

### is cut in the middle, both ways: the device closes the file, and no process stays
# prints: ^cut\nclosed\nthe beginning\n644\nnothing left\nclosed\nnothing left\n0
before
random 64 >tmp-a
echo "put tmp-a $R/.part" >.batch
/usr/bin/sftp -F $CFG -q -l 40000 -b .batch dev >/dev/null 2>&1 & p=$!
cut_upload $p
cp tmp-a $R/.part
echo "get $R/.part tmp-b" >.batch
/usr/bin/sftp -F $CFG -q -l 40000 -b .batch dev >/dev/null 2>&1 & p=$!
cut_download $p tmp-b
rm tmp-a
printf x >a
echo "put a $R/after" | batch >/dev/null; echo $?

### serves several connections at once
# prints: ^equal
# seconds: 60
random 2 >tmp-a
for i in 1 2 3 4 5 6; do
  { printf 'put tmp-a %s/.b%s\nget %s/.b%s tmp-c%s\n' $R $i $R $i $i | batch >/dev/null; } &
  P="${P-} $!"
done
wait $P
for i in 1 2 3 4 5 6; do cmp tmp-a tmp-c$i || echo $i differs; done
echo equal
