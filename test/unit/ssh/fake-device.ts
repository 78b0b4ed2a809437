/** A Device that does nothing by itself: tests see each call and say what the device answers. */
import { Fault } from '../../../src/base/errors.js';
import type { Channel, ChannelEvents, Device, DeviceInfo, Listener, ListenerEvents, ListenRequest, OpenRequest } from '../../../src/mux/device.js';
import { NO_LIMITS, type KeyLimits } from '../../../src/ssh/key-options.js';
import type { Credential, Gateway, KeyGrant, Lease } from '../../../src/ssh/gateway.js';

/** One channel opened on the fake device. */
export class FakeChannel implements Channel {
  readonly request: OpenRequest;
  readonly events: ChannelEvents;
  readonly calls: string[] = [];
  readonly written: Buffer[] = [];
  consumedBytes = 0;
  /** What write() answers. */
  takes = true;
  onConsumed: () => void = () => {};

  constructor(request: OpenRequest, events: ChannelEvents) {
    this.request = request;
    this.events = events;
  }

  get input(): string {
    return Buffer.concat(this.written).toString('latin1');
  }

  write(bytes: Buffer): boolean {
    this.written.push(Buffer.from(bytes));
    return this.takes;
  }

  end(): void { this.calls.push('end'); }
  closeOutput(): void { this.calls.push('closeOutput'); }
  resize(size: { cols: number; rows: number }): void { this.calls.push(`resize ${size.cols}x${size.rows}`); }
  signal(name: string): void { this.calls.push(`signal ${name}`); }
  close(): void { this.calls.push('close'); }
  consumed(bytes: number): void {
    this.consumedBytes += bytes;
    this.onConsumed();
  }

  /** The program ends with this status. */
  exit(status: number): void {
    this.events.outcome({ kind: 'status', status });
    this.events.eof();
    this.events.closed(undefined);
  }
}

export class FakeDevice implements Device {
  readonly info: DeviceInfo = { tier: 'python', detail: 'fake', user: 'u', home: '/', shell: '/bin/sh', sftpServer: undefined };
  readonly channels: FakeChannel[] = [];
  readonly listeners: { request: ListenRequest; events: ListenerEvents; closed: boolean }[] = [];
  /** Called for each new channel, after open() returned. */
  onOpen: (channel: FakeChannel) => void = (channel) => channel.events.opened();

  /** Called from inside open(), for devices that answer before it returns. */
  openNow: ((request: OpenRequest, events: ChannelEvents) => void) | undefined;

  open(request: OpenRequest, events: ChannelEvents): Channel {
    if (this.openNow !== undefined) {
      this.openNow(request, events);
      return new FakeChannel(request, events);
    }
    const channel = new FakeChannel(request, events);
    this.channels.push(channel);
    queueMicrotask(() => this.onOpen(channel));
    return channel;
  }

  listen(request: ListenRequest, events: ListenerEvents): Listener {
    const listener = { request, events, closed: false };
    this.listeners.push(listener);
    return { close: () => { listener.closed = true; } };
  }
}

export class FakeGateway implements Gateway {
  readonly device = new FakeDevice();
  readonly leases = new Set<Lease>();
  readonly asked: Credential[] = [];
  /** Decides each login; the default knows one password. */
  decide: (credential: Credential) => Promise<void> = (credential) =>
    credential.password === 'right' ? Promise.resolve() : Promise.reject(new Fault('DENIED', 'wrong password'));
  deviceReady: Promise<Device> = Promise.resolve(this.device);
  key: { blob: string; credential: Credential; limits?: KeyLimits } | undefined;

  async login(credential: Credential): Promise<Lease> {
    this.asked.push(credential);
    await this.decide(credential);
    const lease: Lease = { device: this.deviceReady, onEnd: () => {}, release: () => { this.leases.delete(lease); } };
    this.leases.add(lease);
    return lease;
  }

  authorizesKey(_user: string, key: { blob: Buffer }): Promise<boolean> {
    return Promise.resolve(this.key?.blob === key.blob.toString('base64'));
  }

  grantForKey(_user: string, key: { blob: Buffer }): Promise<KeyGrant | undefined> {
    if (this.key?.blob !== key.blob.toString('base64')) return Promise.resolve(undefined);
    return Promise.resolve({ credential: this.key.credential, limits: this.key.limits ?? NO_LIMITS });
  }
}
