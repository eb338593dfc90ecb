import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bootTestDatabase, openDatabase, type TestDatabase } from '@clipyard/db';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig } from './config.js';
import { TextTerminal } from './output/text-terminal.js';
import { runProgram } from './program.js';

const CALLER = { name: 'ann', tokenId: 'a', scopes: ['read', 'submit'], project: 'vision', expiresAt: null };
let home: string;
let server: Server;
let url: string;
let terminal: TextTerminal;
/** The Authorization headers that came. */
const came: (string | undefined)[] = [];
beforeAll(async () => {
  server = createServer((request, response) => {
    came.push(request.headers.authorization);
    const ok = request.headers.authorization === 'Bearer right';
    const problem = {
      type: 't',
      title: 't',
      status: 401,
      code: 'token_invalid',
      detail: 'no',
      errors: [],
      requestId: 'r',
    };
    response
      .writeHead(ok ? 200 : 401, { 'content-type': 'application/json' })
      .end(JSON.stringify(ok ? CALLER : problem));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => void server.close());
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'clipyard-login-'));
  terminal = new TextTerminal();
  came.length = 0;
  return () => rm(home, { recursive: true });
});

function run(argv: string[], { token = 'right', env = {} }: { token?: string; env?: Record<string, string> } = {}) {
  const config = loadConfig({ CLIPYARD_HOME: home, XDG_CONFIG_HOME: join(home, 'settings'), ...env });
  return runProgram(argv, { config, terminal, readSecret: async () => token, signal: new AbortController().signal });
}
const kept = () => join(home, 'settings', 'clipyard', 'contexts.json');

describe('login', () => {
  it('keeps a token that the server accepts where only its owner can read it, and uses that server', async () => {
    expect(await run(['login', url, '--name', 'team'])).toBe(0);
    expect(terminal.text).toContain(`logged in to ${url} as ann: submit, project vision`);
    expect((await stat(kept())).mode & 0o777).toBe(0o600);
    expect((await stat(join(kept(), '..'))).mode & 0o777).toBe(0o700);
    expect(await run(['whoami'])).toBe(0);
    expect(came).toEqual(['Bearer right', 'Bearer right']);
  });

  it('keeps no token that the server refuses', async () => {
    await expect(run(['login', url], { token: 'wrong' })).rejects.toMatchObject({ code: 'token_invalid' });
    await expect(readFile(kept())).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('sends a kept token to no other server, and CLIPYARD_TOKEN in its place', async () => {
    await run(['login', url, '--name', 'team']);
    came.length = 0;
    const other = url.replace('127.0.0.1', 'localhost');
    await expect(run(['whoami', '--url', other])).rejects.toMatchObject({ code: 'token_invalid' });
    await expect(run(['whoami'], { env: { CLIPYARD_TOKEN: 'mine' } })).rejects.toMatchObject({ code: 'token_invalid' });
    expect(came).toEqual([undefined, 'Bearer mine']);
  });

  it('has contexts, which are listed, chosen and forgotten', async () => {
    await run(['login', url, '--name', 'team']);
    await run(['context', 'ls', '--json']);
    expect(JSON.parse(terminal.lines.at(-1)!)).toEqual({
      items: [
        { name: 'local', url: null, current: false },
        { name: 'team', url, current: true },
      ],
    });
    expect(terminal.text).not.toContain('right');
    await expect(run(['context', 'use', 'other'])).rejects.toMatchObject({ code: 'request_invalid' });
    await run(['context', 'use', 'local']);
    await run(['context', 'use', 'team']);
    await run(['context', 'rm', 'team']);
    expect(JSON.parse(await readFile(kept(), 'utf8'))).toEqual({ current: null, contexts: {} });
  });
});

describe('token create --database', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await bootTestDatabase();
  });
  afterAll(() => database.close());

  it('makes the first token without the API', async () => {
    const argv = ['token', 'create', '--name', 'me', '--scopes', 'admin', '--all-projects', '--expires', '12h'];
    expect(await run([...argv, '--database'], { env: { DATABASE_URL: database.url } })).toBe(0);
    const token = terminal.lines.at(-1)!;
    expect(token).toMatch(/^cy_[a-z0-9]{12}_[\w-]{43}$/);
    await using opened = await openDatabase({ url: database.url });
    const row = await opened.read((db) => db.tokens.find(token.split('_')[1]!));
    expect(row).toMatchObject({ name: 'me', scope: 'admin', project: null, createdBy: 'local' });
    expect(row!.expiresAt!.getTime() - Date.now()).toBeLessThanOrEqual(12 * 3_600_000);
    expect(await opened.read((db) => db.audit.list({ limit: 9 }))).toMatchObject([{ action: 'createToken' }]);
  });

  it('refuses what is no token', async () => {
    const argv = ['token', 'create', '--name', 'me', '--database'];
    expect(await run([...argv, '--scopes', 'root'])).toBe(2);
    await expect(run([...argv, '--scopes', 'read', '--expires', 'soon'])).rejects.toMatchObject({
      fields: [{ path: '--expires' }],
    });
    await expect(run([...argv, '--scopes', 'read'])).rejects.toMatchObject({ fields: [{ path: 'DATABASE_URL' }] });
  });
});
