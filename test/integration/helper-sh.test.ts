import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPtyDevice, type DeviceKind, type PtyDevice } from '../support/pty-device.js';
import { ShSession } from '../support/sh-session.js';

const KINDS: readonly DeviceKind[] = ['dash', 'bash', 'mksh', 'busybox'];

describe.each(KINDS)('the sh helper under %s', (kind) => {
  let device: PtyDevice;
  let session: ShSession;

  beforeAll(async () => {
    device = createPtyDevice(kind);
    session = new ShSession(device);
    await session.attach();
  });

  afterAll(async () => {
    await session.end();
    device.remove();
  });

  it('keeps standard output and standard error apart and tells the exit status', async () => {
    const run = await session.exec('echo out; echo err >&2; exit 37').done();
    expect(run.out.toString()).toBe('out\n');
    expect(run.err.toString()).toBe('err\n');
    expect(run.outcome).toEqual({ kind: 'status', status: 37 });
    expect(run.order).toEqual(['opened', 'data', 'outcome', 'eof', 'closed']);
  });
});
