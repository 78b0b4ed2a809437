import { test } from 'vitest';
import { CLab } from './lab.js';
import { Scope } from '../support/scope.js';
import { Program } from '../support/program.js';

test('try', { timeout: 0 }, async () => {
  const scope = new Scope();
  const lab = new CLab(scope, { tier: (process.env['T'] ?? 'python') as 'python', agent: process.env['C_AGENT'] ?? '', plain: process.env['PLAIN'] === '1', agentArgs: process.env['LOCKED'] === '1' ? ['--locked'] : [] , bridgeArgs: process.env['BARGS']?.split(' ') ?? []});
  try {
    await lab.start();
    if (process.env['ONHANG'] !== undefined) {
      let seen = 0;
      const t = setInterval(() => {
        if (lab.agent.hangs === seen) return;
        seen = lab.agent.hangs;
        const q = new Program('sh', ['-c', process.env['ONHANG'] ?? ''], { env: { AGENT: String(lab.agent.pid), DEVUSER: lab.account.name } });
        void q.done.then((r) => console.log('ONHANG', r.stdout.toString(), r.stderr.toString()));
      }, 200);
      scope.add(() => clearInterval(t));
    }
    const script = process.env['CMD'] ?? 'ssh -F $CFG host "echo hi; exit 3"; echo $?';
    const began = performance.now();
    const p = new Program('bash', ['-c', script], { env: { CFG: lab.config, HOME_DEV: lab.account.home, LAB: lab.dir }, timeoutMs: Number(process.env['LIMIT'] ?? '300') * 1000, cwd: lab.dir });
    scope.add(() => p.stop());
    const r = await p.done.catch((e: unknown) => { console.log('FAILED', e); return undefined; });
    console.log(r?.stdout.toString(), r?.stderr.toString(), r?.status, ((performance.now() - began) / 1000).toFixed(1), 's');
    console.log(JSON.stringify(lab.agent.counters));
    console.log(JSON.stringify(lab.recoveries()));
    if (process.env['DUMP'] === '1') console.log(lab.dump());
  } catch (e) { console.log(e, lab.bridge?.stderr, lab.agent?.notes); } finally {
    await scope.end();
  }
});
