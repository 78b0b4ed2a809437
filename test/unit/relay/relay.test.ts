import { randomBytes, randomUUID } from 'node:crypto';
import { connect as tcp } from 'node:net';
import { once } from 'node:events';
import { pino } from 'pino';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Fault } from '../../../src/base/errors.js';
import { silentLog } from '../../../src/base/log.js';
import { FRAME_LIMIT_BYTES } from '../../../src/protocol/constants.js';
import { encodeFrame } from '../../../src/protocol/encode.js';
import { HIGH_WATER_BYTES, type RelayOptions } from '../../../src/relay/options.js';
import { startRelay, type RelayHandle } from '../../../src/relay/server.js';
import { TLS } from '../tunnel/tls.js';
import { Client, refusal, within } from './client.js';

const entry = { tunnel_id: 'tunnel-1', device_id: 'thermostat', source_token: 'S'.repeat(300), device_token: 'D0' };
const requestId = randomUUID();

let relay: RelayHandle;
const clients: Client[] = [];

async function start(options: Partial<RelayOptions> = {}): Promise<void> {
  relay = await startRelay({ host: '127.0.0.1', port: 0, tunnels: [entry], log: silentLog(), ...options });
}

async function connect(leg: 'source' | 'device'): Promise<Client> {
  const client = await Client.connect(relay.uri('tunnel-1', leg), leg === 'source' ? entry.source_token : entry.device_token);
  clients.push(client);
  return client;
}

/** Both legs, the source's connect_tunnel already read. */
async function pair(options: Partial<RelayOptions> = {}): Promise<{ source: Client; device: Client }> {
  await start(options);
  const source = await connect('source');
  const device = await connect('device');
  expect((await source.nextFrame()).operation).toBe('connect_tunnel');
  return { source, device };
}

function stats(): ReturnType<RelayHandle['stats']>[string] {
  return relay.stats()['tunnel-1']!;
}

afterEach(async () => {
  for (const client of clients.splice(0)) client.ws.terminate();
  await relay.close();
});

describe('admission', () => {
  it('refuses a wrong, a missing and the other side’s token with 401', async () => {
    await start();
    for (const leg of ['source', 'device'] as const) {
      for (const headers of [{}, { tunnel_access_token: 'x' }, { tunnel_access_token: leg === 'source' ? 'D0' : entry.source_token }]) {
        const { status, body } = await refusal(relay.uri('tunnel-1', leg), headers as Record<string, string>);
        expect(status).toBe(401);
        expect(JSON.parse(body)).toEqual({ error_code: 'RELAY.401', error_msg: 'wrong or missing tunnel_access_token' });
      }
    }
    expect(stats().source.connections + stats().device.connections).toBe(0);
  });

  it('does not have its log filled by those whom it refuses', async () => {
    const lines: string[] = [];
    await start({ log: pino({ level: 'info' }, { write: (line) => lines.push(line) }) });
    for (let at = 0; at < 300; at += 1) expect((await refusal(relay.uri('tunnel-1', 'source'), { tunnel_access_token: 'x' })).status).toBe(401);
    const told = lines.filter((line) => line.includes('connection refused'));
    expect(told.length).toBeGreaterThan(90);
    expect(told.length).toBeLessThan(200);
  });

  it('refuses an unknown tunnel and any other path with 404', async () => {
    await start();
    for (const path of ['/v5/iot/tunnels/other/source-connect', '/v5/iot/tunnels/tunnel-1/connect', '/', '/v5/iot/tunnels/tunnel-1/source-connect/x']) {
      expect((await refusal(relay.address + path, { tunnel_access_token: entry.source_token })).status).toBe(404);
    }
  });

  it('answers plain HTTP with 426 on an endpoint and 404 elsewhere', async () => {
    await start();
    const base = relay.address.replace('ws:', 'http:');
    expect((await fetch(`${base}/v5/iot/tunnels/tunnel-1/source-connect`)).status).toBe(426);
    expect((await fetch(base, { method: 'POST', body: 'x' })).status).toBe(404);
  });

  it('survives a client that resets or sends rubbish during the handshake', async () => {
    await start();
    const rubbish = tcp(relay.port, relay.host);
    rubbish.on('error', () => undefined);
    rubbish.resume();
    rubbish.end(randomBytes(2_000));
    await within(once(rubbish, 'close'), 'the end of the rubbish');
    const half = tcp(relay.port, relay.host);
    await once(half, 'connect');
    half.write('GET /v5/iot/tunnels/tunnel-1/source-connect HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n');
    half.resetAndDestroy();
    expect((await connect('source')).ws.readyState).toBe(1);
  });

  it('says in one sentence that the address is in use', async () => {
    await start();
    const second = startRelay({ host: '127.0.0.1', port: relay.port, tunnels: [entry], log: silentLog() });
    await expect(second).rejects.toThrow(/cannot listen on 127\.0\.0\.1:\d+: another program uses that port/);
    await expect(second).rejects.toMatchObject({ code: 'LOCAL' });
  });

  it('speaks TLS when it is given a certificate', async () => {
    await start({ tls: { cert: TLS.cert, key: TLS.key } });
    expect(relay.address).toMatch(/^wss:/);
    const source = await Client.connect(relay.uri('tunnel-1', 'source'), entry.source_token, { ca: TLS.ca });
    clients.push(source);
    expect(source.ws.readyState).toBe(1);
  });

  it('refuses a key that does not work', async () => {
    await start();
    const broken = startRelay({ host: '127.0.0.1', port: 0, tunnels: [entry], log: silentLog(), tls: { cert: 'x', key: 'y' } });
    await expect(broken).rejects.toBeInstanceOf(Fault);
    await expect(broken).rejects.toMatchObject({ code: 'USAGE' });
  });
});

describe('connect_tunnel', () => {
  it('comes when the device leg comes up, again for every new one', async () => {
    const { source } = await pair();
    await connect('device');
    expect((await source.nextFrame()).operation).toBe('connect_tunnel');
  });

  it('comes at once to a source that connects after the device', async () => {
    await start();
    await connect('device');
    const source = await connect('source');
    expect((await source.nextFrame()).operation).toBe('connect_tunnel');
  });
});

describe('relaying', () => {
  it('keeps bytes, kind and order in both directions, parseable or not', async () => {
    const { source, device } = await pair();
    const sent = Array.from({ length: 200 }, (_item, index) => ({ bytes: randomBytes(index * 7), binary: index % 2 === 0 }));
    for (const [from, to] of [[source, device], [device, source]] as const) {
      for (const { bytes, binary } of sent) from.send(bytes, binary);
      for (const message of sent) expect(await to.next()).toEqual(message);
    }
  });

  it('keeps the order under an artificial delay, which its own frames share', async () => {
    const { source, device } = await pair({ delayMs: 30 });
    for (let index = 0; index < 300; index++) device.send(`${index}`);
    device.ws.close(1000);
    for (let index = 0; index < 300; index++) expect((await source.next()).bytes.toString()).toBe(`${index}`);
    expect((await source.nextFrame()).operation).toBe('disconnect');
  });

  it('answers a ping on either leg and relays neither ping nor pong', async () => {
    const { source, device } = await pair();
    for (const [from, to] of [[source, device], [device, source]] as const) {
      from.send(encodeFrame({ operation: 'ping', requestId }, 'cjson'));
      expect(await from.nextFrame()).toEqual({ operation: 'pong', requestId });
      from.send('after');
      expect((await to.next()).bytes.toString()).toBe('after');
    }
  });

  it('relays output that merely speaks of a ping', async () => {
    const { source, device } = await pair();
    const output = encodeFrame({ operation: 'command_response', requestId, data: Buffer.from('"operation_type":"ping"') });
    device.send(output);
    expect((await source.next()).bytes).toEqual(output);
  });

  it('answers a ping whose id it could not send with an id of its own', async () => {
    const { source } = await pair();
    source.send('{"operation_type":"ping"}');
    const pong = await source.nextFrame();
    expect(pong.operation).toBe('pong');
    expect(pong.requestId).toHaveLength(36);
  });

  it('drops and counts frames for an absent peer', async () => {
    await start();
    const source = await connect('source');
    for (let index = 0; index < 5; index++) source.send('x');
    await vi.waitFor(() => expect(stats().source).toMatchObject({ framesIn: 5, framesDropped: 5 }), { timeout: 10_000 });
    const device = await connect('device');
    source.send('y');
    expect((await device.next()).bytes.toString()).toBe('y');
  });

  it('keeps tunnels apart', async () => {
    await start({ tunnels: [entry, { ...entry, tunnel_id: 'tunnel-2' }] });
    const first = await connect('source');
    const second = await Client.connect(relay.uri('tunnel-2', 'device'), entry.device_token);
    clients.push(second);
    second.send('for nobody');
    await vi.waitFor(() => expect(relay.stats()['tunnel-2']!.device.framesDropped).toBe(1), { timeout: 10_000 });
    expect(first.waiting).toBe(0);
  });
});

describe('limits', () => {
  it('takes a source message of the limit and closes the leg with 1009 above it', async () => {
    const { source, device } = await pair();
    source.send('x'.repeat(FRAME_LIMIT_BYTES));
    expect((await device.next()).bytes.length).toBe(FRAME_LIMIT_BYTES);
    source.send('x'.repeat(FRAME_LIMIT_BYTES + 1));
    expect(await within(source.closed, 'the close')).toBe(1009);
    expect(device.ws.readyState).toBe(1);
  });

  it('lets a device overshoot by default and can be told not to', async () => {
    const { source, device } = await pair();
    device.send('x'.repeat(12_428));
    expect((await source.next()).bytes.length).toBe(12_428);
    await relay.close();
    const strict = await pair({ limits: { deviceBytes: FRAME_LIMIT_BYTES } });
    strict.device.send('x'.repeat(12_428));
    expect(await within(strict.device.closed, 'the close')).toBe(1009);
  });

  it('stops reading a device whose source does not read, loses nothing, and goes on when it reads', async () => {
    const { source, device } = await pair();
    source.ws.pause();
    const chunk = Buffer.alloc(64 * 1024, 'x');
    // More than what the relay, and the kernel's buffers on both connections, hold.
    const count = (64 * HIGH_WATER_BYTES) / chunk.length;
    for (let index = 0; index < count; index++) device.send(chunk);
    await vi.waitFor(() => expect(stats().device.paused).toBe(true), { timeout: 10_000 });
    const taken = stats().device.bytesIn;
    expect(taken).toBeLessThan(count * chunk.length);
    source.ws.resume();
    for (let index = 0; index < count; index++) expect((await source.next()).bytes.length).toBe(chunk.length);
    await vi.waitFor(() => expect(stats().device.paused).toBe(false), { timeout: 10_000 });
  });

  it('stops answering the pings of a leg that does not read the answers', async () => {
    const { source } = await pair();
    source.ws.pause();
    const ping = Buffer.from('{"operation_type":"ping"}');
    let sent = 0;
    while (stats().source.framesDropped === 0) {
      for (let burst = 0; burst < 5_000; burst++) source.send(ping);
      sent += 5_000;
      await vi.waitFor(() => expect(stats().source.framesIn).toBe(sent), { timeout: 10_000 });
    }
    const answered = stats().source.framesOut;
    source.send(ping);
    await vi.waitFor(() => expect(stats().source.framesIn).toBe(sent + 1), { timeout: 10_000 });
    expect(stats().source.framesOut).toBe(answered);
  });

  it('reads a device again when the source that did not read goes away', async () => {
    const { source, device } = await pair();
    source.ws.pause();
    const chunk = Buffer.alloc(64 * 1024, 'x');
    for (let index = 0; index < 1_024; index++) device.send(chunk);
    await vi.waitFor(() => expect(stats().device.paused).toBe(true), { timeout: 10_000 });
    source.ws.terminate();
    await vi.waitFor(() => expect(stats().device).toMatchObject({ paused: false, framesIn: 1_024 }), { timeout: 10_000 });
  });
});

describe('ends', () => {
  it('tells the source when the device leg closes or breaks, with its close code', async () => {
    const { source, device } = await pair();
    device.ws.close(1011);
    expect(await source.nextFrame()).toMatchObject({ operation: 'disconnect', status: '1011', message: 'the device connection closed' });
    const again = await connect('device');
    expect((await source.nextFrame()).operation).toBe('connect_tunnel');
    again.ws.terminate();
    expect(await source.nextFrame()).toMatchObject({ operation: 'disconnect', status: '1006' });
  });

  it('tells the device when the source closes normally', async () => {
    const { source, device } = await pair();
    source.ws.close(1000);
    expect(await device.nextFrame()).toMatchObject({ operation: 'disconnect', status: '1000' });
  });

  it('leaves the device alone when the source breaks off, for it comes back', async () => {
    const { source, device } = await pair();
    source.ws.terminate();
    await vi.waitFor(() => expect(stats().source.connected).toBe(false), { timeout: 10_000 });
    const back = await connect('source');
    expect((await back.nextFrame()).operation).toBe('connect_tunnel');
    back.send('first news');
    expect((await device.next()).bytes.toString()).toBe('first news');
  });

  it.each(['source', 'device'] as const)('closes an older %s connection with 4000 when a newer one comes, and hears it no more', async (leg) => {
    const both = await pair();
    const newer = await connect(leg);
    expect(await within(both[leg].closed, 'the close')).toBe(4000);
    const peer = leg === 'source' ? both.device : both.source;
    newer.send('from the newer one');
    if (leg === 'device') expect((await peer.nextFrame()).operation).toBe('connect_tunnel');
    expect((await peer.next()).bytes.toString()).toBe('from the newer one');
    expect(stats()[leg]).toMatchObject({ connected: true, connections: 2 });
  });

  it('tells the source and closes both legs with 1001 when it ends', async () => {
    const { source, device } = await pair();
    await relay.close();
    expect(await source.nextFrame()).toMatchObject({ operation: 'disconnect', status: '1001' });
    expect(await within(source.closed, 'the close')).toBe(1001);
    expect(await within(device.closed, 'the close')).toBe(1001);
  });

  it('ends although a leg does not answer its close frame', async () => {
    const { source } = await pair({ timing: { closeMs: 50 } });
    source.ws.pause();
    await within(relay.close(), 'the end');
    await expect(Client.connect(relay.uri('tunnel-1', 'source'), entry.source_token)).rejects.toThrow(/ECONNREFUSED/);
  });

  it('cuts a leg that gives no sign of life', async () => {
    await start({ timing: { pingEveryMs: 40, silenceMs: 200 } });
    const device = tcp(relay.port, relay.host);
    device.on('error', () => undefined);
    device.write(
      'GET /v5/iot/tunnels/tunnel-1/device-connect HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
        'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\ntunnel_access_token: D0\r\n\r\n',
    );
    device.resume();
    await within(once(device, 'close'), 'the cut');
    await vi.waitFor(() => expect(stats().device).toMatchObject({ connected: false, connections: 1 }), { timeout: 10_000 });
  });

  it('keeps a leg that only answers WebSocket pings', async () => {
    await start({ timing: { pingEveryMs: 40, silenceMs: 200 } });
    const device = await connect('device');
    for (let pings = 0; pings < 10; pings++) await within(once(device.ws, 'ping'), 'a ping');
    expect(device.ws.readyState).toBe(1);
  });
});

describe('hooks for tests', () => {
  it('drops, holds and changes the frames that onFrame chooses', async () => {
    let release: () => void = () => undefined;
    const until = new Promise<void>((resolve) => (release = resolve));
    const { source, device } = await pair({
      onFrame: (leg, bytes, tunnelId) => {
        expect(tunnelId).toBe('tunnel-1');
        const text = bytes.toString();
        if (leg === 'source' || text === 'plain') return 'pass';
        if (text === 'lost') return 'drop';
        return text === 'held' ? { until } : { replace: Buffer.from('changed'), delayMs: 1 };
      },
    });
    for (const text of ['plain', 'lost', 'held', 'other', 'plain']) device.send(text);
    expect((await source.next()).bytes.toString()).toBe('plain');
    source.send('the other way');
    expect((await device.next()).bytes.toString()).toBe('the other way');
    await vi.waitFor(() => expect(stats().device.framesIn).toBe(5), { timeout: 10_000 });
    expect(source.waiting).toBe(0);
    release();
    for (const text of ['held', 'changed', 'plain']) expect((await source.next()).bytes.toString()).toBe(text);
    expect(stats().device.framesDropped).toBe(1);
  });

  it('drops a leg without a close frame or with a chosen code', async () => {
    const { source, device } = await pair();
    expect(relay.drop('device')).toBe(true);
    expect(await within(device.closed, 'the close')).toBe(1006);
    expect(relay.drop('source', { tunnelId: 'tunnel-1', code: 1002 })).toBe(true);
    expect(await within(source.closed, 'the close')).toBe(1002);
    await vi.waitFor(() => expect(relay.drop('source')).toBe(false), { timeout: 10_000 });
    expect(relay.drop('source', { tunnelId: 'other' })).toBe(false);
  });
});
