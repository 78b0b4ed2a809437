/**
 * diffie-hellman-group-exchange (RFC 4419), server side: the client says how large a group it wants
 * and gets the smallest of the well-known ones (RFC 3526) that is large enough. sshd picks from its file
 * of moduli, and from these same groups when it has none. A further class of ssh2's key exchanges, whose own
 * has no server side: see the edits in ssh2-core.ts that put it in.
 */
import { createDiffieHellmanGroup, type DiffieHellmanGroup } from 'node:crypto';
import { Fault } from '../base/errors.js';
import { WireReader, pack } from './wire.js';

export const GROUP_EXCHANGE_KEX = 'diffie-hellman-group-exchange-sha256';

const GEX = { GROUP: 31, INIT: 32, REQUEST: 34 } as const;
/** What the library's base class takes for the client's public key. */
const KEXDH_INIT = 30;

/** Node's names of the groups by size in bits. Under 2048 bits is too weak (RFC 8270). */
const GROUPS: readonly (readonly [bits: number, name: string])[] = [
  [2048, 'modp14'], [3072, 'modp15'], [4096, 'modp16'], [6144, 'modp17'], [8192, 'modp18'],
];

/** The group for a request, as sshd chooses: undefined when the client's bounds leave none. */
export function chooseGroup(min: number, preferred: number, max: number): string | undefined {
  if (min > preferred || preferred > max) return undefined;
  const allowed = GROUPS.filter(([bits]) => bits >= min && bits <= max);
  return (allowed.find(([bits]) => bits >= preferred) ?? allowed.at(-1))?.[1];
}

/** The members of ssh2's DHGroupExchange that are used here. */
interface GroupExchange {
  _step: number;
  _minBits: number;
  _prefBits: number;
  _maxBits: number;
  _dh: DiffieHellmanGroup | null;
  _public: Buffer | null;
  _protocol: {
    _packetRW: { write: { allocStartKEX: number; alloc(length: number, force: boolean): Buffer; finalize(packet: Buffer, force: boolean): Buffer } };
    _cipher: { encrypt(packet: Buffer): void };
  };
  getDHParams(): { prime: Buffer; generator: Buffer } | undefined;
  parse(payload: Buffer): unknown;
}
type GroupExchangeClass = new (...args: unknown[]) => GroupExchange;

/** The server's side as a subclass of ssh2's `Client`, which is a subclass of `Base`. */
export function groupExchangeClass(Client: GroupExchangeClass, Base: { prototype: { parse(payload: Buffer): unknown } }): GroupExchangeClass {
  return class ServerGroupExchange extends Client {
    #group: string | undefined;

    generateKeys(): void {
      if (this._dh !== null || this.#group === undefined) return;
      // By name: a prime given as a number would be tested for being one, which takes seconds.
      this._dh = createDiffieHellmanGroup(this.#group);
      this._public = this._dh.generateKeys();
    }

    override parse(payload: Buffer): unknown {
      if (this.#group === undefined) return this.#request(payload);
      if (payload[0] !== GEX.INIT) throw new Fault('PROTOCOL', `The SSH client sent message ${payload[0] ?? 0} in a group exchange.`);
      // From here on it is an exchange like any other.
      this.parse = Base.prototype.parse;
      payload[0] = KEXDH_INIT;
      return this.parse(payload);
    }

    #request(payload: Buffer): undefined {
      if (payload[0] !== GEX.REQUEST) throw new Fault('PROTOCOL', `The SSH client sent message ${payload[0] ?? 0} in a group exchange.`);
      const reader = new WireReader(payload, 1);
      this._minBits = reader.uint32('smallest group');
      this._prefBits = reader.uint32('wanted group');
      this._maxBits = reader.uint32('largest group');
      this.#group = chooseGroup(this._minBits, this._prefBits, this._maxBits);
      if (this.#group === undefined) throw new Fault('PROTOCOL', `The SSH client wants a group of ${this._minBits} to ${this._maxBits} bits, which there is not.`);
      this.generateKeys();
      const { prime, generator } = this.getDHParams() ?? { prime: Buffer.alloc(0), generator: Buffer.alloc(0) };
      const answer = pack({ byte: GEX.GROUP }, { string: prime }, { string: generator });
      const { _packetRW: { write }, _cipher } = this._protocol;
      const start = write.allocStartKEX;
      const packet = write.alloc(answer.length, true);
      packet.set(answer, start);
      _cipher.encrypt(write.finalize(packet, true));
      return undefined;
    }
  };
}
