import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client } from '@clipyard/client';
import { bootTestDatabase } from '@clipyard/db';
import { freePort, Lifecycle } from '@clipyard/runtime';

const mainOf = (app: string): string => fileURLToPath(new URL(`../../../${app}/dist/main.js`, import.meta.url));

/** For tests: database, API with the dashboard, and a worker with two slots, all real, on a port that stays the same. */
export class TestService {
  readonly client: Client;
  #api: ChildProcess | undefined;
  #output = '';

  static async start(environment: NodeJS.ProcessEnv = {}): Promise<TestService> {
    const lifecycle = new Lifecycle();
    try {
      const database = lifecycle.use('database', await bootTestDatabase());
      const home = await mkdtemp(join(tmpdir(), 'clipyard-web-'));
      lifecycle.add('home', () => rm(home, { recursive: true, force: true }));
      const env = {
        ...process.env,
        CLIPYARD_HOME: home,
        DATABASE_URL: database.url,
        STORAGE_URL: `file:${join(home, 'storage')}`,
        HOST: '127.0.0.1',
        PORT: String(await freePort()),
        CLIPYARD_SLOTS: '2',
        CLIPYARD_THREADS: '1',
        ...environment,
      };
      const service = new TestService(env, lifecycle);
      lifecycle.add('API', () => service.stopApi('SIGTERM'));
      await service.startApi();
      const worker = await service.#spawn('worker');
      lifecycle.add('worker', () => ended(worker, 'SIGTERM'));
      return service;
    } catch (error) {
      await lifecycle.close();
      throw error;
    }
  }

  private constructor(
    private readonly env: NodeJS.ProcessEnv,
    private readonly lifecycle: Lifecycle,
  ) {
    this.client = new Client({}, { url: this.url });
  }

  get url(): string {
    return `http://127.0.0.1:${this.env.PORT}`;
  }

  /** What the processes have written. */
  get output(): string {
    return this.#output;
  }

  async startApi(): Promise<void> {
    const api = await this.#spawn('api');
    this.#api = api;
    const gone = once(api, 'exit').then(([code]) => {
      throw new Error(`the API ended with ${code}:\n${this.#output}`);
    });
    gone.catch(() => undefined);
    await Promise.race([once(api, 'message'), gone]);
  }

  async stopApi(signal: NodeJS.Signals): Promise<void> {
    if (this.#api !== undefined) await ended(this.#api, signal);
  }

  async close(): Promise<void> {
    await this.lifecycle.close();
  }

  async #spawn(app: string): Promise<ChildProcess> {
    const child = spawn(process.execPath, [mainOf(app)], { env: this.env, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text;
      });
    }
    await once(child, 'spawn');
    return child;
  }
}

async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill(signal);
  await gone;
}
