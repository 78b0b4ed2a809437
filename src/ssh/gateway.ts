/**
 * What the SSH server needs from the rest: somebody who turns a credential into a device. The
 * bridge implements it; tests implement it with a local shell.
 */
import type { Fault } from '../base/errors.js';
import type { Device } from '../mux/device.js';
import type { KeyLimits } from './key-options.js';

export interface Credential {
  user: string;
  password: string;
}

/** One SSH client's share of a device session. */
export interface Lease {
  /** Resolves when the helper runs (after authentication); rejects with a Fault. */
  readonly device: Promise<Device>;
  /** Called once when the device session ended for good; the client is then disconnected with it. Set by its owner. */
  set onEnd(listener: (fault: Fault) => void);
  /** The SSH client is gone. */
  release(): void;
}

/** What stands behind a key: how it logs in to the device, and what it may be used for. */
export interface KeyGrant {
  credential: Credential;
  limits: KeyLimits;
}

/** The SSH client's end of its connection. */
export interface ClientInfo {
  address: string;
}

export interface Gateway {
  /**
   * Opens the device session or joins it. Resolves only once the device accepted this credential
   * (or it equals, compared in constant time, the one already accepted). Rejects with a Fault:
   * DENIED, BUSY, TUNNEL or DEVICE_LOST. `byKey`: the credential is the operator's, of a KeyGrant; it joins an open
   * session of the same user whatever password that was opened with, since one of the two may have been changed.
   */
  login(credential: Credential, client: ClientInfo, byKey: boolean): Promise<Lease>;
  /**
   * Whether the operator authorised this public key (in SSH's wire form) for this user name and for
   * clients from there. Public keys are public: who asks has shown nothing yet.
   */
  authorizesKey(user: string, key: { algorithm: string; blob: Buffer }, client: ClientInfo): Promise<boolean>;
  /**
   * What the operator configured for this key and user name, or undefined when the key is not
   * authorised. Asked only once the client has proven that it holds the key: it may run a command.
   */
  grantForKey(user: string, key: { algorithm: string; blob: Buffer }, client: ClientInfo): Promise<KeyGrant | undefined>;
}
