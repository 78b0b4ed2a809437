# git over ssh: every repository is made here with fixed names and times.

### clones, fetches and pushes
# prints: ^0\n0\n0
export GIT_SSH_COMMAND="ssh -F $CFG" GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z'
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
ssh dev "git init -q --bare -b main $R/.repo.git"
git clone -q "dev:$R/.repo.git" .one 2>/dev/null; echo $?
cd .one
git checkout -q -b main
odd_tree .
git add -A
git commit -q -m 'first with 中文'
git push -q origin main; echo $?
git clone -q "ssh://dev$R/.repo.git" ../.two; echo $?
cd ../.two
git log --oneline | cut -d' ' -f2-
git -c core.quotepath=off ls-files | sort
echo more >more
git add more
git commit -q -m second
git push -q; echo $?
cd ../.one
git fetch -q; echo $?
git merge -q --ff-only origin/main 2>&1 | tail -1
git ls-remote origin | cut -f2
cat more

### clones a large binary history, shallow and whole
# prints: ^0\n0
# seconds: 120
export GIT_SSH_COMMAND="ssh -F $CFG" GIT_CONFIG_GLOBAL=/dev/null
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
git init -q -b main .src
cd .src
random $LARGE_MB >big.bin
git add . && git commit -q -m big
for i in $(seq 30); do echo $i >f$i; git add . && git commit -q -m $i; done
ssh dev "git init -q --bare -b main $R/.repo.git"
git push -q "dev:$R/.repo.git" main; echo $?
cd ..
git clone -q "dev:$R/.repo.git" .full; echo $?
git clone -q --depth 3 "ssh://dev$R/.repo.git" .shallow; echo $?
git -C .full rev-list --count HEAD
git -C .shallow rev-list --count HEAD
git -C .full fsck 2>/dev/null; echo $?
cmp .src/big.bin .full/big.bin && echo equal

### tells what is wrong: no repository, rejected push, hook output
# prints: ^128\n
export GIT_SSH_COMMAND="ssh -F $CFG" GIT_CONFIG_GLOBAL=/dev/null
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
git clone -q "dev:$R/none.git" .x; echo $?
ssh dev "git init -q --bare -b main $R/.repo.git; printf '#!/bin/sh\necho hook speaks; echo and errs >&2; exit 1\n' >$R/.repo.git/hooks/pre-receive; chmod +x $R/.repo.git/hooks/pre-receive"
git init -q -b main .one
cd .one
git commit -q --allow-empty -m x
git push "dev:$R/.repo.git" main 2>&1 | sed "s/ *$//"; echo ${PIPESTATUS[0]}

### takes repositories with odd names
# prints: ^0\n0
export GIT_SSH_COMMAND="ssh -F $CFG" GIT_CONFIG_GLOBAL=/dev/null
n="$R/.it's a 中文 repo"
git init -q --bare -b main ".tmp"
ssh dev "git init -q --bare -b main \"$n\""
git clone -q "dev:$n" ".out" 2>/dev/null; echo $?
git ls-remote "dev:$n"; echo $?

### is cut in the middle of a push and of a clone, and goes on with the next
# prints: ^cut\nnothing left\n(.*\n)?kept\n0\n1\ncut\nnothing left\n0\nequal
before
export GIT_SSH_COMMAND="ssh -F $CFG" GIT_CONFIG_GLOBAL=/dev/null
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
git init -q -b main .src
cd .src
random 3 >big.bin
git config core.compression 0
git add . && git commit -q -m big
ssh dev "git init -q --bare -b main $R/.repo.git; git -C $R/.repo.git config receive.unpackLimit 1; git -C $R/.repo.git config core.compression 0"
# Lets through what is less than the pack, each way.
cat >../.some <<'X'
#!/bin/sh
{ dd bs=64k count=30 2>/dev/null; exec sleep 60; } | ssh -F "$CFG" "$@" | { dd bs=64k count=30 2>/dev/null; exec sleep 60; }
X
chmod +x ../.some
cut_git() {
  { kill -9 $p; pkill -9 -f "[s]sh -F $CFG .*$1"; kill -9 $(pgrep -s 0 -x sleep); wait $p; } 2>/dev/null
  echo cut
  nothing_left
}
GIT_SSH_VARIANT=ssh GIT_SSH_COMMAND=$W/.some git push -q "dev:$R/.repo.git" main 2>/dev/null & p=$!
until_true sh -c "ls $R/.repo.git/objects/*incoming*/pack/tmp_pack*"
cut_git git-receive-pack
find $R/.repo.git/objects $R/.repo.git/refs -type f | sed 's/.*objects.//; s/......$//; s/-......[/]/-/'; echo kept
git push -q "dev:$R/.repo.git" main; echo $?
git --git-dir=$R/.repo.git -c safe.directory='*' rev-list --count main
GIT_SSH_VARIANT=ssh GIT_SSH_COMMAND=$W/.some git clone -q "dev:$R/.repo.git" ../.cut 2>/dev/null & p=$!
until_true sh -c "ls ../.cut/.git/objects/pack/tmp_pack*"
cut_git git-upload-pack
git clone -q "dev:$R/.repo.git" ../.whole; echo $?
cmp big.bin ../.whole/big.bin && echo equal

### archives over ssh and answers upload-archive
# prints: ^0
export GIT_SSH_COMMAND="ssh -F $CFG" GIT_CONFIG_GLOBAL=/dev/null
ssh dev "cd $R && git init -q -b main .r && cd .r && echo x >f && git add f && git -c user.name=a -c user.email=a@b commit -q -m x"
git archive --remote="dev:$R/.r" HEAD >.a.tar; echo $?
tar tf .a.tar
