/** Which login an answer is to: an agent that stood still answers all that were sent to it meanwhile, one after the other. */
import { createHmac, randomBytes } from 'node:crypto';

export interface LoginCredential {
  user: string;
  password: string;
}

/** Logins remembered; a fight for a lost session takes many. */
const REMEMBERED = 256;

/** The logins of one bridge, over all its tunnels: the agent may have had the one before. */
export class OwnLogins {
  readonly #key = randomBytes(32);
  #newest = '';
  /** By age, each with a keyed hash of its credential. */
  readonly #known = new Map<string, string>();

  readonly #expired = new Set<string>();

  begin(requestId: string, { user, password }: LoginCredential): void {
    this.#newest = requestId;
    this.#known.set(requestId, this.#hash({ user, password }));
    for (const id of this.#known.keys()) {
      if (this.#known.size <= REMEMBERED) break;
      this.#known.delete(id);
      this.#expired.delete(id);
    }
  }

  isOf(requestId: string, credential: LoginCredential): boolean {
    return this.#known.get(requestId) === this.#hash(credential);
  }

  /** It was given up before anybody answered. */
  expire(requestId: string): void {
    if (this.#known.has(requestId)) this.#expired.add(requestId);
  }

  /** Whether that is so. Once: a second answer is a repeated frame. */
  takeExpired(requestId: string): boolean {
    return this.#expired.delete(requestId);
  }

  isEarlier(requestId: string): boolean {
    return requestId !== this.#newest && this.#known.has(requestId);
  }

  /** Under another credential than the newest: that it was accepted says nothing of that one. */
  isAnothers(requestId: string): boolean {
    const credential = this.#known.get(requestId);
    return credential !== undefined && credential !== this.#known.get(this.#newest);
  }

  #hash({ user, password }: LoginCredential): string {
    return createHmac('sha256', this.#key).update(JSON.stringify([user, password])).digest('base64');
  }
}
