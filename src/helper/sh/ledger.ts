import type { Account } from './account.js';
import type { ShChannel } from './channel.js';
import { STREAM_SEGMENTS } from './wire.js';

/** A hole in a stream is asked for after this; the device does not reorder by much. */
const HOLE_MS = 150;
/** Least time before the same segment is asked for again, and what is added to two round trips. */
const ASK_AGAIN_MS = 1_000;
const ASK_AGAIN_MARGIN_MS = 500;
/** Most characters of one note; longer ones are split. */
export const NOTE_CHARS = 900;
/** Least seconds after which the device sends again what was not acknowledged. */
const RESEND_SECONDS = 2;

const STREAMS = ['o', 'e'] as const;

/** What the device has to be told of its output: what arrived, what it may produce, what is missing. */
export class Ledger {
  readonly #account: Account;
  readonly #dirty = new Set<ShChannel>();
  /** When each missing segment was asked for last. */
  readonly #asked = new Map<string, number>();

  constructor(account: Account) {
    this.#account = account;
  }

  /** Something of this channel is to be told. */
  touch(channel: ShChannel): void {
    this.#dirty.add(channel);
  }

  drop(channel: ShChannel): void {
    this.#dirty.delete(channel);
  }

  /** Nothing is outstanding any more, or a new front knows nothing of what was asked. */
  forget(): void {
    this.#asked.clear();
  }

  /** The segment that has been missing for longest: since when, and a name for it; undefined when none is. */
  static oldestHole(channels: Iterable<ShChannel>): { since: number; name: string } | undefined {
    let oldest: { since: number; name: string } | undefined;
    for (const channel of channels) {
      for (const name of STREAMS) {
        const { holeSince: since, arrived } = channel.streams[name];
        if (since !== undefined && (oldest === undefined || since < oldest.since)) oldest = { since, name: `${channel.number}/${name}.${arrived}` };
      }
    }
    return oldest;
  }

  /** Notes that ask for what is overdue, if anything is. */
  overdue(channels: Iterable<ShChannel>, now: number, roundTripMs: number): string[] {
    const since = Ledger.oldestHole(channels)?.since;
    if (since === undefined || now - since < HOLE_MS) return [];
    const groups = this.#holes(channels, now, roundTripMs);
    return groups.length === 0 ? [] : this.#lines(groups, roundTripMs);
  }

  /** Notes with everything that changed since the last ones; none when nothing did. */
  notes(channels: Iterable<ShChannel>, now: number, roundTripMs: number): string[] {
    const groups: string[] = [];
    for (const channel of this.#dirty) {
      for (const name of STREAMS) {
        const { arrived, granted } = channel.streams[name];
        if (granted > STREAM_SEGMENTS || arrived > 0) groups.push(`${channel.number} ${name} ${arrived} ${granted}`);
      }
    }
    this.#dirty.clear();
    groups.push(...this.#holes(channels, now, roundTripMs));
    if (groups.length === 0 && this.#account.untold === 0) return [];
    return this.#lines(groups, roundTripMs);
  }

  #lines(groups: readonly string[], roundTripMs: number): string[] {
    const seconds = Math.max(RESEND_SECONDS, Math.ceil((2 * roundTripMs + ASK_AGAIN_MS) / 1_000));
    const head = `k ${this.#account.received} ${this.#account.window} ${seconds}`;
    const lines = [head];
    for (const group of groups) {
      const last = lines.at(-1) ?? head;
      if (last.length + group.length < NOTE_CHARS) lines[lines.length - 1] = `${last} ${group}`;
      else lines.push(`${head} ${group}`);
    }
    this.#account.told();
    return lines;
  }

  #holes(channels: Iterable<ShChannel>, now: number, roundTripMs: number): string[] {
    const again = Math.max(ASK_AGAIN_MS, 2 * roundTripMs + ASK_AGAIN_MARGIN_MS);
    const groups: string[] = [];
    for (const channel of channels) {
      for (const name of STREAMS) {
        const stream = channel.streams[name];
        if (stream.holeSince === undefined || now - stream.holeSince < HOLE_MS) continue;
        for (const index of stream.missing()) {
          const key = `${channel.number}/${name}.${index}`;
          if (now - (this.#asked.get(key) ?? Number.NEGATIVE_INFINITY) < again) continue;
          this.#asked.set(key, now);
          this.#account.lost(now);
          groups.push(`! ${channel.number}/${name}.${index % STREAM_SEGMENTS}`);
        }
      }
    }
    return groups;
  }
}
