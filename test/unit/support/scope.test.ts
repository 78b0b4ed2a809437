import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Scope } from '../../support/scope.js';
import { waitFor } from '../../support/wait.js';

test('ends run in reverse order, and one that fails does not keep the others from running', async () => {
  const scope = new Scope();
  const order: string[] = [];
  scope.add(() => order.push('first'));
  scope.add(() => {
    throw new Error('second failed');
  });
  scope.add(() => order.push('third'));
  await expect(scope.end()).rejects.toThrow('second failed');
  expect(order).toEqual(['third', 'first']);
});

test('a temporary directory is gone after its scope', async () => {
  const scope = new Scope();
  const dir = await scope.tempDir();
  expect(existsSync(dir)).toBe(true);
  await scope.end();
  expect(existsSync(dir)).toBe(false);
});

test('waitFor names what it waited for when the deadline passes', async () => {
  await expect(waitFor('Godot', () => undefined, 1)).rejects.toThrow('waited 1 ms in vain for Godot');
  expect(await waitFor('a zero', () => 0)).toBe(0);
});
