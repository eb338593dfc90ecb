import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/**
 * Closes the connections of a draining server: those without a request at once, the others with their answer. Node's own
 * `closeIdleConnections` leaves alone those on which no request has come yet, as browsers and clients open in advance.
 */
export function closeConnectionsOnDrain(server: Server, draining: AbortSignal): void {
  const requests = new Map<Socket, number>();
  const closeIfDone = (socket: Socket) => {
    if (draining.aborted && requests.get(socket) === 0) socket.destroySoon();
  };
  server.on('connection', (socket) => {
    requests.set(socket, 0);
    socket.once('close', () => requests.delete(socket));
    closeIfDone(socket);
  });
  server.on('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
    requests.set(socket, (requests.get(socket) ?? 0) + 1);
    response.once('close', () => {
      const left = requests.get(socket);
      // The connection itself may be gone before its answer.
      if (left === undefined) return;
      requests.set(socket, left - 1);
      closeIfDone(socket);
    });
  });
  draining.addEventListener('abort', () => {
    for (const socket of requests.keys()) closeIfDone(socket);
  });
}
