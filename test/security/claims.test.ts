import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const ROOT = new URL('../../', import.meta.url);
const PAGE = readFileSync(new URL('SECURITY.md', ROOT), 'utf8');

/** Rows of the tables of claims: what holds, in which file, under which title. */
const CLAIMS = [...PAGE.matchAll(/^\| (?<claim>.+?) \| \[(?<file>[^\]]+)\]\((?<link>[^)]+)\): (?<title>.+) \|$/gm)].map(({ groups }) => groups as { claim: string; file: string; link: string; title: string });

/** Rows of tables whose heading promises a test. */
function promised(): number {
  let rows = 0;
  let inClaims = false;
  for (const line of PAGE.split('\n')) {
    if (!line.startsWith('|')) inClaims = false;
    else if (line === '| claim | held by |') inClaims = true;
    else if (inClaims && !line.startsWith('|---')) rows += 1;
  }
  return rows;
}

describe('SECURITY.md', () => {
  it('names a test for each claim', () => {
    expect(CLAIMS.length).toBeGreaterThan(50);
    expect(promised()).toBe(CLAIMS.length);
  });

  it.each(CLAIMS.map(({ claim, file, link, title }) => [claim, file, link, title]))('is held to it: %s', (_claim, file = '', link, title = '') => {
    expect(link).toBe(file);
    const source = readFileSync(new URL(file, ROOT), 'utf8');
    expect(fileURLToPath(new URL(file, ROOT))).toContain('/test/');
    // A test by its title; a target of the fuzzer, which runs all of them, by what it says of itself.
    const named = file.includes('/targets/') ? `/** ${title} */` : `('${title}',`;
    const found = source.includes(named) || source.replaceAll(/\(\s*\n\s*/g, '(').includes(named) || source.includes(`('${title}',`);
    expect(found, `${file} has no "${title}"`).toBe(true);
  });
});
