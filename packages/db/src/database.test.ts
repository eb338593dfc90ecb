import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { parseRunSpec } from '@clipyard/contracts';
import { deferred } from '@clipyard/runtime';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Database, openDatabase } from './database.js';
import { bootTestDatabase, type TestDatabase } from './test-database.js';

describe('a database that is out of reach', () => {
  it('is told as such, so that callers try again, also when its name does not resolve', async () => {
    for (const url of ['postgresql://u@127.0.0.1:1/d', 'postgresql://u@database.invalid/d']) {
      await expect(openDatabase({ url })).rejects.toMatchObject({ code: 'database_unavailable' });
    }
  });

  it('is told as such when no connection comes in time', async () => {
    const sockets = new Set<Socket>();
    const silent = createServer((socket) => sockets.add(socket)).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as { port: number };
    try {
      const url = `postgresql://u@127.0.0.1:${port}/d`;
      await expect(openDatabase({ url, connectTimeoutMs: 200 })).rejects.toMatchObject({
        code: 'database_unavailable',
      });
    } finally {
      for (const socket of sockets) socket.destroy();
      silent.close();
    }
  });
});

describe('a database', () => {
  let server: TestDatabase;
  let database: Database;
  beforeAll(async () => {
    server = await bootTestDatabase();
    database = await openDatabase({ url: server.url });
  });
  afterAll(async () => {
    await database?.close();
    await server.close();
  });

  it('that is too busy for a connection or a transaction counts as out of reach', async () => {
    const busy = await openDatabase({ url: server.url, connections: 1, connectTimeoutMs: 1000 });
    const release = deferred();
    const begun = deferred();
    const holder = busy.transaction(async () => {
      begun.resolve();
      await release.promise;
    });
    try {
      await begun.promise;
      await expect(busy.transaction((tx) => tx.jobs.find('x'))).rejects.toMatchObject({ code: 'database_unavailable' });
      await expect(busy.read((db) => db.jobs.find('x'))).rejects.toMatchObject({ code: 'database_unavailable' });
    } finally {
      release.resolve();
      await holder;
      await busy.close();
    }
  });

  it('stores text with NULs and halves of characters replaced, also deep in JSON', async () => {
    const spec = parseRunSpec({
      version: 1,
      name: 'a',
      model: { preset: 'clip-tiny' },
      data: { train: { type: 'shapes' } },
      batch: { global: 8 },
      duration: { steps: 1 },
    });
    await database.transaction((tx) => tx.jobs.create('job-1', spec, { project: 'default' }));
    const message = 'cut \0 here \ud83d';
    await database.transaction(async (tx) => {
      await tx.logs.append('job-1', 1, 0, [{ at: 0, level: 'warn', message, fields: { 'k\0': [message, 1, null] } }]);
      await tx.jobs.update('job-1', { error: { code: 'internal', message, fields: [] } });
    });
    const [line] = await database.read((db) => db.logs.list('job-1', { limit: 1 }));
    const clean = 'cut \ufffd here \ufffd';
    expect(line).toMatchObject({ message: clean, fields: { 'k\ufffd': [clean, 1, null] } });
    expect((await database.read((db) => db.jobs.find('job-1')))!.error).toMatchObject({ message: clean });
  });
});
