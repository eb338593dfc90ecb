import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { ClipyardError, fieldError } from '@clipyard/contracts';

/** Connections that may wait for their handshake; more are closed at once. */
const WAITING_CONNECTIONS = 256;

/** Where a rank waits for others to connect. Connections that come before `accept` is called wait. */
export class TcpListener {
  readonly host: string;
  readonly port: number;
  readonly #server: Server;
  readonly #waiting: Socket[] = [];
  #accept: ((socket: Socket) => void) | undefined;

  private constructor(server: Server) {
    this.#server = server;
    const { address, port } = server.address() as AddressInfo;
    this.host = address;
    this.port = port;
    server.on('connection', (socket: Socket) => this.#onConnection(socket));
  }

  /** Listens on `host`; port 0 takes a free one. Throws `port_taken`. */
  static async listen({ host, port = 0 }: { host: string; port?: number }): Promise<TcpListener> {
    const server = createServer({ pauseOnConnect: true });
    server.listen(port, host);
    try {
      await once(server, 'listening');
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EADDRINUSE') {
        throw fieldError('port_taken', {
          path: 'port',
          message: `is in use on ${host}`,
          value: port,
          remedy: 'Use 0 for any free port, or stop what listens there.',
        });
      }
      if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
        throw fieldError('config_invalid', {
          path: 'host',
          message: 'is not an address of this machine',
          value: host,
          remedy: 'Use the address of one of its interfaces, or 0.0.0.0 for all.',
        });
      }
      throw ClipyardError.from(error);
    }
    return new TcpListener(server);
  }

  /** Gives every connection, also those that wait, to `handler`, which owns it. */
  accept(handler: (socket: Socket) => void): void {
    this.#accept = handler;
    for (const socket of this.#waiting.splice(0)) {
      socket.removeAllListeners('error');
      handler(socket);
    }
  }

  /** Stops listening and closes connections that nobody took. */
  async close(): Promise<void> {
    for (const socket of this.#waiting.splice(0)) socket.destroy();
    if (!this.#server.listening) return;
    // Without a callback: `close` would wait for the connections that were handed out.
    this.#server.close();
  }

  #onConnection(socket: Socket): void {
    if (this.#accept !== undefined) {
      this.#accept(socket);
    } else if (this.#waiting.length < WAITING_CONNECTIONS) {
      socket.on('error', () => socket.destroy());
      this.#waiting.push(socket);
    } else {
      socket.destroy();
    }
  }
}
