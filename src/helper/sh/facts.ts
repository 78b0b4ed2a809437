import type { DeviceInfo } from '../../mux/device.js';
import { SUM_TOOLS, type SumTool } from './checksum.js';
import { decodeSegment, type Encoding } from './encoding.js';

/** What the device told of itself when its helper started (start.sh prints name=value lines). */
export interface Facts {
  readonly dir: string;
  readonly sum: SumTool;
  readonly encoding: Encoding;
  /** Whether standard input can travel as blocks: there is a decoder and a dd that reads exactly. */
  readonly blocks: boolean;
  readonly info: DeviceInfo;
  /** Everything, by name. */
  readonly all: Readonly<Record<string, string>>;
}

/** Reads the introduction, which is printed by the very encoder that it names. */
export function parseFacts(hello: string): Facts {
  const texts = (['hex', 'b64'] as const).map((encoding) => decodeSegment(hello, encoding)?.toString() ?? '');
  const text = texts.find((candidate) => candidate.startsWith('dir=')) ?? '';
  const pairs = text.split('\n').flatMap((line): [string, string][] => {
    const at = line.indexOf('=');
    return at > 0 ? [[line.slice(0, at), line.slice(at + 1)]] : [];
  });
  const all: Record<string, string> = Object.fromEntries(pairs);
  const sum = SUM_TOOLS.find((tool) => tool === all['sum']) ?? 'cksum';
  const encoding: Encoding = all['enc'] === 'hex' ? 'hex' : 'b64';
  return {
    dir: all['dir'] ?? '',
    sum,
    encoding,
    blocks: all['blocks'] === 'yes',
    info: {
      tier: 'sh',
      detail: `POSIX sh with ${sum} and ${encoding === 'hex' ? 'od or hexdump' : 'base64'} on ${all['system'] ?? 'an unknown system'}`,
      user: all['user'] ?? '',
      home: all['home'] ?? '/',
      shell: all['shell'] ?? '/bin/sh',
      sftpServer: all['sftp'] === '' ? undefined : all['sftp'],
    },
    all,
  };
}
