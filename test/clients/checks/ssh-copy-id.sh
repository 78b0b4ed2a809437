# ssh-copy-id, with the password, to a user that has no such key yet.

### adds a key once, which sshd itself then takes, and says so the second time
# prints: already exist
# differs: the bridge itself takes only the keys of --authorized-keys, so ssh-copy-id cannot see that the device has the key already
# bridge prints: ^0\nNumber of key\(s\) added: 1\n0\nNumber of key\(s\) added: 1\n2\nlogged in\n$
ssh-keygen -q -t ed25519 -N '' -C new-$SIDE -f k
mkdir .ssh
for i in 1 2; do
  sshpass -e ssh-copy-id -i k.pub -p $PORT -o UserKnownHostsFile=$KNOWN_HOSTS -o IdentityAgent=none -F none $U@127.0.0.1 >out 2>&1; echo $?
  grep -E "Number of key|already exist" out
done
grep -c new-$SIDE $UHOME/.ssh/authorized_keys
command ssh -F none -i k -o IdentitiesOnly=yes -o IdentityAgent=none -o UserKnownHostsFile=$SSHD_KNOWN_HOSTS -o PasswordAuthentication=no -p $SSHD_PORT $U@127.0.0.1 echo logged in
rm k k.pub out

### copies a key with odd letters in its comment, and several at once
ssh-keygen -q -t ecdsa -N '' -C "it's \"$SIDE\" €" -f k2
sshpass -e ssh-copy-id -f -i k2.pub -p $PORT -o UserKnownHostsFile=$KNOWN_HOSTS -F none $U@127.0.0.1 >/dev/null 2>&1; echo $?
grep -cF "$(cat k2.pub)" $UHOME/.ssh/authorized_keys
rm k2 k2.pub

### tells a wrong password
SSHPASS=wrong sshpass -e ssh-copy-id -f -i $KEY.pub -p $PORT -o UserKnownHostsFile=$KNOWN_HOSTS -o NumberOfPasswordPrompts=1 -o PubkeyAuthentication=no -F none $U@127.0.0.1 >out 2>&1; echo $?
grep -c "Permission denied" out
rm out

### is cut in the middle without harm
cp $UHOME/.ssh/authorized_keys before
ssh-keygen -q -t ed25519 -N '' -f k3
for n in 0.1 0.2 0.3; do timeout $n sshpass -e ssh-copy-id -f -i k3.pub -p $PORT -o UserKnownHostsFile=$KNOWN_HOSTS -F none $U@127.0.0.1 >/dev/null 2>&1; done
head -c $(stat -c %s before) $UHOME/.ssh/authorized_keys | cmp - before && echo kept
rm k3 k3.pub before
