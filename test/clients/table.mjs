/**
 * The compatibility table of the README, made of what the client tests found (npm run compat, after
 * npm test). table.test.ts holds the two together.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { CLIENTS } from './catalogue.mjs';

const ROOT = new URL('../../', import.meta.url);
const RESULTS = fileURLToPath(new URL('.tmp/compat/results.jsonl', ROOT));
export const README = fileURLToPath(new URL('README.md', ROOT));
const BEGIN = '<!-- compatibility:begin -->\n';
const END = '<!-- compatibility:end -->';

/** The newest result of each check. */
function readResults() {
  let text;
  try {
    text = readFileSync(RESULTS, 'utf8');
  } catch {
    throw new Error('There are no results yet: run npm test first.');
  }
  const newest = new Map();
  for (const line of text.split('\n').filter(Boolean)) {
    const result = JSON.parse(line);
    newest.set(JSON.stringify([result.client, result.tier, result.check]), result);
  }
  return [...newest.values()];
}

function version(client) {
  const { version: command } = CLIENTS[client];
  const told = execFileSync('sh', ['-c', command], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  const found = /\d+\.\d+[\w.]*/.exec(told)?.[0];
  if (found === undefined) throw new Error(`${command} told no version: ${told}`);
  return found;
}

/** Lines of the table for the results of one run. */
export function makeTable(results, versionOf) {
  const rows = ['| client | version | tier | checks passed | what differs from sshd, and why |', '|---|---|---|---|---|'];
  for (const tier of ['python', 'sh']) {
    for (const [client, { title }] of Object.entries(CLIENTS)) {
      const own = results.filter((result) => result.client === client && result.tier === tier);
      if (own.length === 0) continue;
      const passed = own.filter((result) => result.passed).length;
      const differs = [...new Set(own.filter((result) => result.passed && result.differs !== undefined).map((result) => result.differs))];
      const failed = own.filter((result) => !result.passed).map((result) => `**fails**: ${result.check}`);
      rows.push(`| ${title} | ${versionOf(client)} | ${tier} | ${passed} of ${own.length} | ${[...failed, ...differs].map((text) => text.replaceAll('|', '\\|')).join('<br>')} |`);
    }
  }
  return rows;
}

/** The rows between the markers, as { title, tier, differs }. */
export function readTable(readme) {
  const inside = readme.split(BEGIN)[1]?.split(END)[0] ?? '';
  return inside
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('| client '))
    .map((line) => line.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll('\\|', '|')))
    .map(([, title, , tier, , differs]) => ({ title, tier, differs: differs === '' ? [] : differs.split('<br>') }));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const text = [
    'Made by `npm run compat` from the results of `npm test`: each check is a script in `test/clients/checks`, run against',
    "the device's own sshd and against the bridge, and whatever can be seen of it (output, status, files on both ends) must",
    'be equal.',
    '',
    ...makeTable(readResults(), version),
    '',
  ].join('\n');
  const readme = readFileSync(README, 'utf8');
  const [before, rest] = readme.split(BEGIN);
  const after = rest?.split(END)[1];
  if (after === undefined) throw new Error('README.md has lost the marks of the table.');
  writeFileSync(README, `${before}${BEGIN}${text}${END}${after}`);
  process.stdout.write(`${text}\n`);
}
