/**
 * Reads a file of checks (test/clients/checks/*.sh). A check begins with `### what the client does`,
 * may go on with lines `# key: value`, and then is bash up to the next one. What stands before the first
 * check is run before each.
 *
 *   prints:  regular expression that the reference's standard output must match
 *   status:  exit status of the script on the reference; default 0
 *   seconds: longest time of one side
 *   differs: why the bridge does something else here; then `bridge prints:` says what
 *   sh differs: the same, on the sh tier only; with `sh prints:`
 *   sh varies: the same where the bridge does as sshd does at times, since two things race on the device
 *   long:    run only by `npm run test:clients:full`
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export interface Difference {
  why: string;
  /** What the bridge's standard output must match then. */
  bridgePrints: RegExp;
  /** It is a race on the device: now and then the bridge does as sshd does. */
  varies: boolean;
}

export interface Check {
  name: string;
  script: string;
  status: number;
  /** undefined: nothing is asked of the output but that it is equal. */
  prints: RegExp | undefined;
  timeoutMs: number;
  /** On the python tier, and on the sh tier. */
  differs: Record<'python' | 'sh', Difference | undefined>;
  long: boolean;
}

/** Deadline of one side of a check, in milliseconds. */
const CHECK_MS = 45_000;

const KEYS = ['prints', 'status', 'seconds', 'differs', 'bridge prints', 'sh differs', 'sh varies', 'sh prints', 'long'];

/** The checks of `test/clients/checks/<name>.sh`. */
export function readChecks(name: string): Check[] {
  const path = fileURLToPath(new URL(`../clients/checks/${name}.sh`, import.meta.url));
  return parseChecks(readFileSync(path, 'utf8'), path);
}

export function parseChecks(text: string, path: string): Check[] {
  const [setup = '', ...parts] = text.split(/^### /m);
  return parts.map((part) => {
    const [title = '', ...lines] = part.split('\n');
    const values: Record<string, string> = {};
    while (lines[0] !== undefined) {
      const [, key, value] = /^# ([a-z ]+): ?(.*)$/.exec(lines[0]) ?? [];
      if (key === undefined || value === undefined || !KEYS.includes(key)) break;
      values[key] = value;
      lines.shift();
    }
    const body = lines.join('\n').trim();
    const { prints, status, seconds, differs, long } = values;
    const everywhere = difference(differs, values['bridge prints'], false, title);
    const varies = values['sh varies'];
    const onSh = difference(varies ?? values['sh differs'], values['sh prints'], varies !== undefined, title);
    if (body === '' || title === '') throw new Error(`${path}: a check without name or script: ${title}`);
    return {
      name: title,
      script: `${setup}\n${body}\n`,
      status: Number(status ?? 0),
      prints: prints === undefined ? undefined : new RegExp(prints),
      timeoutMs: seconds === undefined ? CHECK_MS : Number(seconds) * 1000,
      differs: { python: everywhere, sh: onSh ?? everywhere },
      long: long !== undefined,
    };
  });
}

function difference(why: string | undefined, prints: string | undefined, varies: boolean, title: string): Difference | undefined {
  if ((why === undefined) !== (prints === undefined)) throw new Error(`"${title}": a difference needs both its reason and what is printed`);
  return why === undefined || prints === undefined ? undefined : { why, bridgePrints: new RegExp(prints), varies };
}
