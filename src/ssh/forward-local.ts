/**
 * Connections that the client asks us to make on the device: `direct-tcpip` (-L, -D, -W, -J; RFC 4254
 * section 7.2) and `direct-streamlocal@openssh.com`. The channel is confirmed only once the device is
 * connected, so that a refusal carries its reason.
 */
import type { OpenRequest, Refusal } from '../mux/device.js';
import type { SshChannel } from './channel.js';
import type { DeferredDevice } from './deferred-device.js';
import { ForwardedSocket } from './forwarded.js';
import { OPEN_FAILURE } from './messages.js';
import { Pipe } from './pipe.js';

export interface DirectHooks {
  /** Tell the client that the channel is open. */
  confirm(): void;
  /** Tell the client that it is not, and forget it. */
  refuse(reason: number, text: string): void;
}

export class DirectForward extends ForwardedSocket {
  /** Starts connecting. `channel` is not confirmed yet. */
  start(channel: SshChannel, device: DeferredDevice, request: OpenRequest, hooks: DirectHooks): void {
    let answered = false;
    const pipe = new Pipe(channel, {
      opened: () => {
        if (answered) return;
        answered = true;
        hooks.confirm();
      },
      refused: (reason) => {
        if (answered) return;
        answered = true;
        hooks.refuse(openFailure(reason), reason.message);
      },
      failed: (fault) => {
        if (answered) return;
        answered = true;
        hooks.refuse(OPEN_FAILURE.CONNECT_FAILED, fault.message);
      },
    });
    this.join(pipe);
    pipe.attach(device.open(request, pipe.events));
  }
}

function openFailure(reason: Refusal): number {
  switch (reason.code) {
    case 'prohibited': return OPEN_FAILURE.PROHIBITED;
    case 'unsupported': return OPEN_FAILURE.PROHIBITED;
    case 'connect-failed': return OPEN_FAILURE.CONNECT_FAILED;
    case 'resource': return OPEN_FAILURE.RESOURCE_SHORTAGE;
  }
}
