/** The answers that most requests have, as packets. */
import { textOf } from './sftp-errors.js';
import { PacketWriter, REPLY, STATUS } from './sftp-wire.js';

export function status(id: number, code: number, message = textOf(code)): PacketWriter {
  return new PacketWriter(REPLY.STATUS).uint32(id).uint32(code).string(message).string('');
}

export function opened(id: number, key: Buffer): PacketWriter {
  return new PacketWriter(REPLY.HANDLE).uint32(id).string(key);
}

export function ok(id: number): PacketWriter {
  return status(id, STATUS.OK);
}

export function attrs(id: number, value: Parameters<PacketWriter['attrs']>[0]): PacketWriter {
  return new PacketWriter(REPLY.ATTRS).uint32(id).attrs(value);
}

export function name(id: number, path: Buffer): PacketWriter {
  return new PacketWriter(REPLY.NAME).uint32(id).uint32(1).string(path).string(path).attrs({});
}
