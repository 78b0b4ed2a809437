/**
 * What a test started must end, whatever happened in between. A scope collects the ends and runs
 * them in reverse order; one that fails does not keep the others from running.
 *
 *   const scope = new Scope();
 *   afterAll(() => scope.end());
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export class Scope {
  private ends: (() => unknown)[] = [];

  /** Runs `end` when the scope ends. */
  add(end: () => unknown): void {
    this.ends.push(end);
  }

  /** A private directory (0700), removed with the scope. */
  async tempDir(area = 'test'): Promise<string> {
    const dir = await mkdtemp(join(tmpdir(), `iotda-ssh-${area}-`));
    this.add(() => rm(dir, { recursive: true, force: true }));
    return dir;
  }

  /** Ends everything, last started first; rejects with the first failure after all have run. */
  async end(): Promise<void> {
    const failures: unknown[] = [];
    for (let end = this.ends.pop(); end !== undefined; end = this.ends.pop()) {
      try {
        await end();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}
