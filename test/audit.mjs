/**
 * `npm run audit`, and a part of `npm test`: known vulnerabilities in what the program is shipped with.
 * Exit code 1 when there are some. A registry that answers no audits (a mirror, no network) is said
 * loudly and is no failure: the next run where it answers finds what is to be found.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
/** For the registry's answer, in milliseconds. */
const DEADLINE_MS = 60_000;

/** What npm said, as { vulnerable: [sentence…] } or { unknown: why }. */
export function verdict(status, stdout, stderr) {
  let report;
  try {
    report = JSON.parse(stdout);
  } catch {
    return { unknown: firstLine(stderr) || `npm ended with code ${status} and no report` };
  }
  if (report.auditReportVersion === undefined || report.vulnerabilities === undefined) {
    return { unknown: report.message ?? report.error?.summary ?? report.error?.code ?? 'npm gave no report' };
  }
  return {
    vulnerable: Object.values(report.vulnerabilities).map(({ name, severity, range, via }) => {
      const titles = via.map((cause) => (typeof cause === 'string' ? `through ${cause}` : `${cause.title} (${cause.url})`));
      return `${name} ${range}: ${severity}; ${titles.join('; ')}`;
    }),
  };
}

function firstLine(text) {
  return text.split('\n').find((line) => line.startsWith('npm error')) ?? '';
}

function main() {
  const { status, stdout, stderr, error } = spawnSync('npm', ['audit', '--omit=dev', '--json'], { cwd: ROOT, encoding: 'utf8', timeout: DEADLINE_MS });
  const found = error === undefined ? verdict(status, stdout, stderr) : { unknown: error.message };
  if (found.unknown !== undefined) {
    process.stdout.write(`dependency audit: NOT DONE, the registry did not answer it (${found.unknown}); run "npm run audit" where it does\n`);
    return 0;
  }
  for (const sentence of found.vulnerable) process.stdout.write(`dependency audit: ${sentence}\n`);
  if (found.vulnerable.length === 0) process.stdout.write('dependency audit: no known vulnerability in what is shipped\n');
  return found.vulnerable.length === 0 ? 0 : 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exit(main());
