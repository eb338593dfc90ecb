import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

const MAX_LINE_BYTES = 4096;

interface Break {
  readonly afterSent?: number;
  readonly afterReceived?: number;
}

/** A TCP proxy before a server, which breaks connections when it is told to. */
export class BrokenProxy {
  readonly url: string;
  /** Connections that it broke. */
  broken = 0;
  /** The first lines of requests, in their order. */
  readonly requests: string[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #breaks: Break[] = [];

  private constructor(server: Server, target: URL) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on('connection', (socket) => this.#relay(socket, target));
  }

  static async start(target: string): Promise<BrokenProxy> {
    const server = createServer({ pauseOnConnect: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new BrokenProxy(server, new URL(target));
  }

  /** Breaks `count` connections, each when so many bytes more were sent to the server or received from it. */
  breakNext(count: number, at: Break): void {
    this.#breaks.push(...Array.from({ length: count }, () => at));
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #relay(client: Socket, target: URL): void {
    const upstream = connect(Number(target.port), target.hostname);
    const both = [client, upstream];
    const end = () => {
      for (const socket of both) {
        socket.destroy();
        this.#sockets.delete(socket);
      }
    };
    for (const socket of both) {
      this.#sockets.add(socket);
      socket.on('error', end).on('close', end);
    }
    const relay = (from: Socket, to: Socket, limitOf: (next: Break) => number | undefined) => {
      let bytes = 0;
      from.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        const limit = this.#breaks[0] === undefined ? undefined : limitOf(this.#breaks[0]);
        if (limit === undefined) bytes = 0;
        if (limit !== undefined && bytes > limit) {
          this.#breaks.shift();
          this.broken++;
          return end();
        }
        if (!to.write(chunk)) {
          from.pause();
          to.once('drain', () => from.resume());
        }
      });
    };
    client.on('data', (chunk: Buffer) => {
      const line = /^[A-Z]+ \S+ HTTP\/1\.1(?=\r\n)/.exec(chunk.toString('latin1', 0, MAX_LINE_BYTES))?.[0];
      if (line !== undefined) this.requests.push(line);
    });
    relay(client, upstream, ({ afterSent }) => afterSent);
    relay(upstream, client, ({ afterReceived }) => afterReceived);
    client.resume();
  }
}
