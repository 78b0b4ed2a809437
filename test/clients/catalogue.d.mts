export declare const CLIENTS: Record<
  | 'ssh' | 'forwarding' | 'multiplexing' | 'transport' | 'scp' | 'sftp' | 'sshfs' | 'lftp' | 'psftp' | 'scp -O' | 'ssh-copy-id' | 'rsync' | 'git' | 'tar'
  | 'ansible' | 'vscode' | 'fairness' | 'dbclient' | 'plink' | 'paramiko' | 'asyncssh',
  { title: string; version: string }
>;
