/** The life of a command that runs until it is stopped: start, say so, wait, end within a deadline. */
import { constants } from 'node:os';
import { Fault, toFault } from '../base/errors.js';
import { createLog, type Log } from '../base/log.js';
import { standardError } from '../base/stderr.js';
import type { Service } from './deps.js';
import { EXIT_CODES, EXIT_OK, EXIT_SIGNAL } from './exit.js';
import type { CommonOptions } from './option.js';
import { writeReadyFile, type Ready } from './ready-file.js';
import { faultText } from './report.js';

/** How long ending may take before the process is cut; the device cleans itself up then. */
export const STOP_DEADLINE_MS = 10_000;
/**
 * A second signal cuts the end short, but not at once: on Ctrl-C the terminal signals the whole
 * group, and npm then passes the same signal on to us once more.
 */
export const SECOND_SIGNAL_MS = 500;

const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Hands a service over as soon as it runs, so that it is closed even if the next one fails. */
export type Keep = <S extends Service>(service: S) => S;

/** Runs `start` and what it started until a signal or an end of its own; returns the exit code. */
export async function serve(
  options: CommonOptions & { drain?: number },
  start: (log: Log, keep: Keep) => Promise<{ ready: Omit<Ready, 'pid'>; announcement?: string }>,
): Promise<number> {
  const log = createLog({ level: options.logLevel, format: options.logFormat });
  const signals = watchSignals(log);
  const services: Service[] = [];
  let removeReadyFile = () => {};
  let outcome: Fault | undefined;
  try {
    const keep: Keep = (service) => {
      services.push(service);
      // Started in the moment of stopping: the list has been worked through, or is just being.
      if (signals.received() !== undefined) void service.close(false).catch(() => undefined);
      return service;
    };
    const started = start(log, keep).then(async ({ ready, announcement }) => {
      if (signals.received() !== undefined) return;
      if (options.readyFile !== undefined) removeReadyFile = await writeReadyFile(options.readyFile, { pid: process.pid, ...ready });
      if (announcement !== undefined) process.stdout.write(announcement);
    });
    started.catch(() => undefined);
    await Promise.race([started, signals.stop]);
    outcome = await Promise.race([signals.stop, ...services.map((service) => service.ended)]);
  } catch (thrown) {
    outcome = toFault(thrown);
  }
  removeReadyFile();
  if (outcome !== undefined) standardError.write(faultText(outcome, options.logFormat));
  const cut = await closeAll(services, signals.received() === 'SIGTERM' ? (options.drain ?? 0) * 1000 : 0, log);
  if (outcome !== undefined) return EXIT_CODES[outcome.code];
  return cut ? EXIT_CODES.INTERNAL : EXIT_OK;
}

/** Closes in reverse order; true when the deadline passed first. SIGTERM drains, a person's Ctrl-C does not. */
async function closeAll(services: readonly Service[], drainMs: number, log: Log): Promise<boolean> {
  const closing = (async () => {
    for (const service of [...services].reverse()) {
      await service.close(drainMs > 0).catch((error: unknown) => log.error({ err: error }, 'a part did not end cleanly'));
    }
    return false;
  })();
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(true), drainMs + STOP_DEADLINE_MS);
  });
  const cut = await Promise.race([closing, deadline]);
  clearTimeout(timer);
  if (cut) log.error({ seconds: STOP_DEADLINE_MS / 1000 }, 'ending took too long and was cut short');
  return cut;
}

/** The handlers stay for good: the process ends after this, and a late signal must not change how. */
function watchSignals(log: Log): { stop: Promise<undefined>; received(): NodeJS.Signals | undefined } {
  let first: { signal: NodeJS.Signals; at: number } | undefined;
  let resolveStop: (value: undefined) => void = () => {};
  const stop = new Promise<undefined>((resolve) => (resolveStop = resolve));
  const onSignal = (signal: NodeJS.Signals) => {
    const now = performance.now();
    if (first === undefined) {
      first = { signal, at: now };
      log.info({ signal }, 'stopping');
      resolveStop(undefined);
    } else if (now - first.at > SECOND_SIGNAL_MS) {
      process.exit(EXIT_SIGNAL + constants.signals[signal]);
    }
  };
  for (const signal of STOP_SIGNALS) process.on(signal, onSignal);
  return { stop, received: () => first?.signal };
}
