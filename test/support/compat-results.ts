/**
 * What the client tests found out, for the table in the README: each check adds a line to a file in
 * .tmp/compat, and test/clients/table.mjs (npm run compat) makes the table of them.
 */
import { appendFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CLIENTS } from '../clients/catalogue.mjs';
import type { Tier } from './compat.js';

export type ClientName = keyof typeof CLIENTS;

const FOLDER = fileURLToPath(new URL('../../.tmp/compat', import.meta.url));

export interface Result {
  client: ClientName;
  tier: Tier;
  check: string;
  passed: boolean;
  /** Why the bridge differs from sshd here, where the test expects that it does. */
  differs?: string;
}

/** Runs a check's body and notes how it went. `differs`: what the table says of a known difference. */
export async function record(client: ClientName, tier: Tier, check: string, differs: string | undefined, body: () => Promise<void>): Promise<void> {
  let passed = false;
  try {
    await body();
    passed = true;
  } finally {
    const result: Result = { client, tier, check, passed, ...(differs === undefined ? {} : { differs }) };
    mkdirSync(FOLDER, { recursive: true });
    // One line, one write: files of tests run side by side.
    appendFileSync(join(FOLDER, 'results.jsonl'), `${JSON.stringify(result)}\n`);
  }
}
