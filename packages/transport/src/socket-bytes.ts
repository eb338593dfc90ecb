import type { Socket } from 'node:net';
import { ClipyardError } from '@clipyard/contracts';

/** The next `length` bytes of a socket in paused mode; what follows stays in it. Throws `link_closed` when it ends before. */
export function readBytes(socket: Socket, length: number, signal: AbortSignal): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const finish = (action: () => void) => {
      socket.off('readable', onReadable);
      socket.off('end', onEnd);
      socket.off('close', onEnd);
      socket.off('error', onError);
      signal.removeEventListener('abort', onAbort);
      action();
    };
    const onReadable = () => {
      const bytes = socket.read(length) as Buffer | null;
      // At the end of the stream `read` gives what is left, however little.
      if (bytes !== null && bytes.length === length) finish(() => resolve(bytes));
      else if (bytes !== null) onEnd();
    };
    const closed = (cause?: unknown) =>
      new ClipyardError('link_closed', 'The connection closed during the handshake', { cause });
    const onEnd = () => finish(() => reject(closed()));
    const onError = (cause: unknown) => finish(() => reject(closed(cause)));
    const onAbort = () => finish(() => reject(signal.reason));
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    if (socket.destroyed) {
      reject(closed());
      return;
    }
    socket.on('readable', onReadable);
    socket.on('end', onEnd);
    socket.on('close', onEnd);
    socket.on('error', onError);
    signal.addEventListener('abort', onAbort, { once: true });
    onReadable();
  });
}
