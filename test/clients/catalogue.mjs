/**
 * The clients that the tests drive: how the table names each, and how its version is asked.
 * `version` is a shell command; its first match of a number with a dot is shown.
 */
const python = (name) => `/usr/bin/python3 -W ignore -c 'import ${name}; print(${name}.__version__)'`;

export const CLIENTS = {
  ssh: { title: 'OpenSSH `ssh`: commands and terminals', version: 'ssh -V 2>&1' },
  forwarding: { title: 'OpenSSH `ssh`: forwarding (`-L -D -R -W -J -A`)', version: 'ssh -V 2>&1' },
  multiplexing: { title: 'OpenSSH `ssh`: ControlMaster, keepalive, rekey', version: 'ssh -V 2>&1' },
  transport: { title: 'OpenSSH `ssh`: ciphers, key exchange, authentication', version: 'ssh -V 2>&1' },
  scp: { title: '`scp` (SFTP mode)', version: 'ssh -V 2>&1' },
  sftp: { title: 'OpenSSH `sftp`', version: 'ssh -V 2>&1' },
  sshfs: { title: 'sshfs', version: 'sshfs -V' },
  lftp: { title: 'lftp', version: 'lftp --version' },
  psftp: { title: 'PuTTY `psftp` and `pscp`', version: 'psftp -V' },
  'scp -O': { title: '`scp -O` (legacy protocol)', version: 'ssh -V 2>&1' },
  'ssh-copy-id': { title: '`ssh-copy-id`', version: 'ssh -V 2>&1' },
  rsync: { title: '`rsync`', version: 'rsync --version' },
  git: { title: '`git` clone, fetch, push', version: 'git --version' },
  tar: { title: '`tar` and `cat` through pipes', version: 'tar --version' },
  ansible: { title: 'Ansible, `ssh` connection', version: 'ansible --version' },
  vscode: { title: 'Remote-SSH style use', version: 'ssh -V 2>&1' },
  fairness: { title: 'OpenSSH `ssh`: many channels, busy and unread', version: 'ssh -V 2>&1' },
  dbclient: { title: 'Dropbear `dbclient`', version: 'dbclient -V 2>&1' },
  plink: { title: 'PuTTY `plink`', version: 'plink -V' },
  paramiko: { title: 'paramiko', version: python('paramiko') },
  asyncssh: { title: 'asyncssh', version: python('asyncssh') },
};
