/** A person at a terminal, as far as tmux can play one: full-screen programs, resize, Ctrl-C. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, test } from 'vitest';
import { run } from '../support/program.js';
import { Scope } from '../support/scope.js';
import { sshOptions } from '../support/ssh.js';
import { startStack, type Stack } from '../support/stack.js';
import { waitFor } from '../support/wait.js';

const scope = new Scope();
afterAll(() => scope.end());

const socket = `iotda-ssh-${randomUUID()}`;
let stack: Stack;

async function tmux(...args: string[]): Promise<string> {
  const result = await run('tmux', ['-L', socket, '-f', '/dev/null', ...args], { env: { SSHPASS: stack.password, TERM: 'xterm' } });
  if (result.status !== 0) throw new Error(`tmux ${args.join(' ')}: ${result.stderr.toString()}`);
  return result.stdout.toString();
}

const keys = (...names: string[]) => tmux('send-keys', '-t', 'main', ...names);
const screen = () => tmux('capture-pane', '-p', '-t', 'main');

async function shows(text: string | RegExp): Promise<string> {
  let last = '';
  return waitFor(`the screen to show ${text}`, async () => {
    last = await screen();
    return (typeof text === 'string' ? last.includes(text) : text.test(last)) && last;
  }).catch((error: unknown) => {
    throw new Error(`${String(error)}; it shows:\n${last}`);
  });
}

beforeAll(async () => {
  stack = await startStack(scope, { files: { '.profile': "PS1='ready> '\n" } });
  // The client's own words for "the connection is over" come last on the screen.
  const ssh = ['sshpass', '-e', 'ssh', ...sshOptions(stack), '-p', String(stack.port), `${stack.user}@${stack.host}`].join(' ');
  scope.add(() => run('tmux', ['-L', socket, 'kill-server']));
  await tmux('new-session', '-d', '-s', 'main', '-x', '90', '-y', '30', `${ssh}; echo "status=$?"; exec sleep 600`);
  await shows('ready>');
});

test('the shell has the size of the terminal, and follows when it changes', async () => {
  await keys('stty size', 'Enter');
  await shows('30 90');
  await tmux('resize-window', '-t', 'main', '-x', '71', '-y', '24');
  await keys('stty size', 'Enter');
  await shows('24 71');
});

test('Ctrl-C ends the program in front and leaves the shell', async () => {
  await keys('sleep 600; echo "status was $?"', 'Enter');
  await waitFor('sleep to run', async () => (await run('pgrep', ['-u', String(stack.account.uid), 'sleep'])).status === 0);
  await keys('C-c');
  await keys('echo "sleep gave $?"', 'Enter');
  await shows('sleep gave 130');
});

test('vim edits a file', async () => {
  await keys('vim.tiny note.txt', 'Enter');
  // What vim says of it: the command line has the name as well, before vim reads keys.
  await shows(/"note\.txt"/);
  await keys('i', 'written in vim');
  await shows(/^written in vim/m);
  await keys('Escape');
  await keys(':wq', 'Enter');
  await shows('ready>');
  await keys('clear; cat note.txt', 'Enter');
  await shows(/^written in vim$/m);
});

test('top fills the screen and goes away again', async () => {
  await keys('top', 'Enter');
  await shows(/PID +USER/);
  await keys('q');
  await keys('clear; echo "after $((40+2))"', 'Enter');
  await shows('after 42');
});

test('the end of the shell ends ssh with its status', async () => {
  await keys('exit 7', 'Enter');
  await shows('status=7');
});
