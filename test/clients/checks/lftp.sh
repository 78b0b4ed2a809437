# lftp over sftp. It asks for more at once than others, and reads what ls would print.
lf() { lftp -c "set sftp:connect-program \"ssh -a -x -F $CFG\"; set net:timeout 20; set net:max-retries 1; set cmd:trace false; open sftp://$U:@dev; $1" 2>&1; }

### puts, gets and lists
# prints: hello
printf 'hello\n' >a
touch -d '2020-02-29 12:34:56' a
lf "put a -o $R/b; get $R/b -o c; chmod 640 $R/b; mv $R/b $R/d; mkdir $R/sub; cls -1 $R; ln -s d $R/l; glob cat $R/d*"; echo $?
cmp a c
lf "cls -l --perms --size $R/d"; echo $?
lf "get $R/none"; echo $?
lf "put a -o /etc/nope"; echo $?
lf "rmdir $R/d"; echo $?
lf "rm -r $R/sub $R/d"; echo $?

### mirrors folders with odd names both ways, with several transfers at once
# prints: ^0
# seconds: 90
odd_tree t
rm t/dangling t/not-utf8*
lf "mirror -R --parallel=3 t $R/t" >/dev/null; echo $?
lf "mirror --parallel=3 $R/t back" >/dev/null; echo $?
(cd t && find . ! -type l -printf '%P %m %s\n' | LC_ALL=C sort)
diff -r t back && echo equal

### moves large files, and a part again (pget, reget, reput)
# prints: ^0
# seconds: 90
random $LARGE_MB >a
lf "put a -o $R/b"; echo $?
lf "pget -n 4 $R/b -o c"; echo $?
cmp a c
head -c 1000000 a >d
lf "get -c $R/b -o d"; echo $?
cmp a d
truncate -s 1000000 $R/b
lf "put -c a -o $R/b"; echo $?
cmp a $R/b

### is cut in the middle: the device closes the file, and the next one works
# prints: ^cut\nclosed\nthe beginning\n644\nnothing left\n0
before
random 64 >tmp-a
/usr/bin/lftp -c "set sftp:connect-program \"ssh -a -x -F $CFG\"; set net:limit-rate 0:2000000; open sftp://$U:@dev; put tmp-a -o $R/.part" >/dev/null 2>&1 & p=$!
cut_upload $p
printf x >a
lf "put a -o $R/after"; echo $?
