# ssh-copy-id, with the password, to a user that has no such key yet.
# Where it has its temporary files; without, it does nothing.
mkdir .ssh

### adds a key once, which sshd itself then takes, and says so the second time
# prints: already exist
# differs: the bridge itself takes only the keys of --authorized-keys, so ssh-copy-id cannot see that the device has the key already
# bridge prints: ^0\nNumber of key\(s\) added: 1\n0\nNumber of key\(s\) added: 1\n2\nlogged in\n$
ssh-keygen -q -t ed25519 -N '' -C new-$SIDE -f k
for i in 1 2; do
  sshpass -e ssh-copy-id -i k.pub -p $PORT -o UserKnownHostsFile=$KNOWN_HOSTS -o IdentityAgent=none -F none $U@127.0.0.1 >out 2>&1; echo $?
  grep -E "Number of key|already exist" out
done
grep -c new-$SIDE $UHOME/.ssh/authorized_keys
command ssh -F none -i k -o IdentitiesOnly=yes -o IdentityAgent=none -o UserKnownHostsFile=$SSHD_KNOWN_HOSTS -o PasswordAuthentication=no -p $SSHD_PORT $U@127.0.0.1 echo logged in
rm k k.pub out

### copies a key with odd letters in its comment, and several at once
# prints: ^0\n1\n
ssh-keygen -q -t ecdsa -N '' -C "it's \"$SIDE\" €" -f k2
sshpass -e ssh-copy-id -f -i k2.pub -p $PORT -o UserKnownHostsFile=$KNOWN_HOSTS -F none $U@127.0.0.1 >/dev/null 2>&1; echo $?
grep -cF "$(cat k2.pub)" $UHOME/.ssh/authorized_keys
rm k2 k2.pub

### tells a wrong password
# prints: ^[1-9][0-9]*\n1\n
SSHPASS=wrong sshpass -e ssh-copy-id -f -i $KEY.pub -p $PORT -o UserKnownHostsFile=$KNOWN_HOSTS -o NumberOfPasswordPrompts=1 -o PreferredAuthentications=password -F none $U@127.0.0.1 >out 2>&1; echo $?
grep -c "Permission denied" out
rm out

### adds a key by sftp alone (-s)
# prints: ^0\n1\n
ssh-keygen -q -t ed25519 -N '' -C "by sftp $SIDE" -f k4
# It reads and writes the whole file, which is the other side's as well.
flock $W/../../.lock sshpass -e ssh-copy-id -s -f -i k4.pub -p $PORT -o UserKnownHostsFile=$KNOWN_HOSTS -F none $U@127.0.0.1 >out 2>&1; echo $?
grep -cF "$(cat k4.pub)" $UHOME/.ssh/authorized_keys
grep "Number of key" out
stat -c '%a %U' $UHOME/.ssh/authorized_keys | sed s/$U/user/
rm k4 k4.pub out

### is cut in the middle: what was there is kept, and the next one works
# prints: ^cut\nkept\n1\n0\nnothing left\n0\n1
before
cp $UHOME/.ssh/authorized_keys before
ssh-keygen -q -t ed25519 -N '' -C cut -f k3
# Sends a part of the key and no end.
mkdir .bin
cat >.bin/ssh <<'X'
#!/bin/sh
case "$*" in *authorized_keys*) { head -c 60; exec sleep 60; } | exec /usr/bin/ssh "$@" ;; esac
exec /usr/bin/ssh "$@"
X
chmod +x .bin/ssh
copy="sshpass -e ssh-copy-id -f -i k3.pub -p $PORT -o UserKnownHostsFile=$KNOWN_HOSTS -F none $U@127.0.0.1"
PATH=$W/.bin:$PATH $copy >/dev/null 2>&1 & p=$!
until_true grep -qF "$(head -c 60 k3.pub)" $UHOME/.ssh/authorized_keys
# Its terminal goes with it.
{ kill -9 $p; wait $p; } 2>/dev/null
echo cut
head -c $(stat -c %s before) $UHOME/.ssh/authorized_keys | cmp - before && echo kept
grep -cF "$(head -c 60 k3.pub)" $UHOME/.ssh/authorized_keys
grep -cF "$(cat k3.pub)" $UHOME/.ssh/authorized_keys
nothing_left
$copy >/dev/null 2>&1; echo $?
grep -cF "$(cat k3.pub)" $UHOME/.ssh/authorized_keys
rm k3 k3.pub before
