import { expect, it } from 'vitest';
import { Fault } from '../../../src/base/errors.js';
import { BootPatience } from '../../../src/bridge/boot-patience.js';
import { BOOT_ATTEMPT_MS, NoShell, ShellBusy } from '../../../src/helper/boot.js';

it('is as short as the device was quick, and never longer for it than at first', () => {
  const patience = new BootPatience();
  expect(patience.ms).toBe(BOOT_ATTEMPT_MS);
  for (const [took, then] of [[1, 2_000], [700, 2_800], [60_000, BOOT_ATTEMPT_MS]] as const) {
    patience.answered(took);
    expect(patience.ms).toBe(then);
  }
});

it('doubles where it was too short, up to a bound, and not where the session was lost', () => {
  const patience = new BootPatience();
  patience.answered(1);
  patience.failed(new Fault('DEVICE_LOST', 'The session was lost.'));
  expect(patience.ms).toBe(2_000);
  const seen = [new ShellBusy(6_000), new NoShell(), new ShellBusy(24_000), new ShellBusy(45_000)].map((fault) => {
    patience.failed(fault);
    return patience.ms;
  });
  expect(seen).toEqual([4_000, 8_000, 15_000, 15_000]);
});
