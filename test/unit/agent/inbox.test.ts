import { expect, test } from 'vitest';
import { Inbox, type Item } from '../../../src/agent/inbox.js';
import { waitFor } from '../../support/wait.js';

function message(text: string): Item {
  return { kind: 'message', bytes: Buffer.from(text), binary: false };
}

function setUp(oneMessagePerRead: boolean, hold: Promise<void> = Promise.resolve(), recordBytes = 0): { inbox: Inbox; seen: string[]; flow: string[] } {
  const seen: string[] = [];
  const flow: string[] = [];
  const inbox = new Inbox({
    oneMessagePerRead,
    recordBytes,
    cut: () => flow.push('cut'),
    handle: async (item) => {
      await hold;
      seen.push(item.kind === 'message' ? item.bytes.toString() : item.kind);
    },
    pause: () => flow.push('pause'),
    resume: () => flow.push('resume'),
  });
  return { inbox, seen, flow };
}

test('messages are handled in order, one per turn', async () => {
  const { inbox, seen } = setUp(false);
  for (const text of ['a', 'b', 'c']) inbox.push(message(text));
  await waitFor('a', () => seen.length > 0);
  await waitFor('all', () => seen.length === 3);
  expect(seen).toEqual(['a', 'b', 'c']);
});

test('a message of a burst that a TLS record ends in is lost, and alone it is not', async () => {
  const { inbox, seen, flow } = setUp(false, undefined, 20);
  for (const text of ['first', 'cut in two', 'third']) inbox.push(message(text));
  inbox.nextRead();
  inbox.push(message('cut in two'));
  await waitFor('three', () => seen.length === 3);
  expect({ seen, flow }).toEqual({ seen: ['first', 'third', 'cut in two'], flow: ['cut'] });
});

test('with one message per read the second waits for the next read', async () => {
  const { inbox, seen } = setUp(true);
  inbox.nextRead();
  for (const text of ['a', 'b', 'c']) inbox.push(message(text));
  await waitFor('a', () => seen.length > 0);
  expect(inbox.waiting).toBe(0); // b and c are not even looked at
  inbox.nextRead();
  inbox.push({ kind: 'pong' });
  inbox.push(message('d'));
  await waitFor('the pong', () => seen.length === 4);
  expect(seen).toEqual(['a', 'b', 'c', 'pong']);
  inbox.nextRead();
  await waitFor('d', () => seen.length === 5);
  expect(seen.at(-1)).toBe('d');
});

test('the socket is not read while 1,024 messages wait, and again when half are handled', async () => {
  let release: () => void = () => {};
  const { inbox, seen, flow } = setUp(false, new Promise((resolve) => (release = resolve)));
  for (let count = 0; count < 1025; count++) inbox.push(message(String(count)));
  expect(flow).toEqual(['pause']);
  release();
  await waitFor('all', () => seen.length === 1025);
  expect(flow).toEqual(['pause', 'resume']);
});

test('a stopped inbox handles nothing more', async () => {
  const { inbox, seen } = setUp(false);
  inbox.push(message('a'));
  inbox.stop();
  inbox.push(message('b'));
  await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
  expect(seen).toEqual(['a']);
});

test('a message changes places with the one that waits behind it', () => {
  const { inbox } = setUp(false, new Promise(() => {}));
  inbox.push(message('being handled'));
  inbox.push(message('b'));
  expect(inbox.exchange(message('a'))).toEqual(message('b'));
  expect(inbox.waiting).toBe(1);
});
