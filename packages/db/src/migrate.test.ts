import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Prisma, PrismaClient } from './generated/client.js';
import { migrate } from './migrate.js';
import { bootTestDatabase, type TestDatabase } from './test-database.js';

let database: TestDatabase;
let client: pg.Client;

beforeAll(async () => {
  database = await bootTestDatabase();
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
});

afterAll(async () => {
  await client.end();
  await database.close();
});

async function fresh(name: string): Promise<string> {
  await client.query(`CREATE DATABASE ${name}`);
  const url = new URL(database.url);
  url.pathname = `/${name}`;
  return url.href;
}

describe('migrate', () => {
  it('records each migration as prisma migrate deploy does', async () => {
    const { rows } = await client.query(
      'SELECT migration_name, checksum, applied_steps_count, rolled_back_at, finished_at IS NOT NULL AS finished FROM _prisma_migrations',
    );
    const sql = await readFile(new URL('../../../prisma/migrations/0001_init/migration.sql', import.meta.url));
    expect(rows[0]).toEqual({
      migration_name: '0001_init',
      checksum: createHash('sha256').update(sql).digest('hex'),
      applied_steps_count: 1,
      rolled_back_at: null,
      finished: true,
    });
  });

  it('makes every table and column of the schema', async () => {
    const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: database.url }) });
    try {
      const models = Object.values(Prisma.ModelName).map((name) => `${name[0]!.toLowerCase()}${name.slice(1)}`);
      expect(models.length).toBeGreaterThan(10);
      for (const model of models) {
        const table = (prisma as unknown as Record<string, { findMany(): Promise<unknown[]> }>)[model]!;
        expect(await table.findMany(), model).toEqual([]);
      }
    } finally {
      await prisma.$disconnect();
    }
  });

  it('applies each migration once, however many processes call it', async () => {
    const url = await fresh('together');
    const applied = await Promise.all([migrate(url), migrate(url), migrate(url)]);
    const folder = fileURLToPath(new URL('../../../prisma/migrations', import.meta.url));
    const names = (await readdir(folder)).filter((name) => /^\d+_/.test(name)).sort();
    expect(applied.flat()).toEqual(names);
    expect(await migrate(url)).toEqual([]);
  });

  it('refuses a database of a newer release, and one with a broken migration', async () => {
    const url = await fresh('newer');
    await migrate(url);
    const other = new pg.Client({ connectionString: url });
    await other.connect();
    await other.query(`UPDATE _prisma_migrations SET finished_at = NULL`);
    await expect(migrate(url)).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringContaining('did not finish'),
    });
    await other.query(`UPDATE _prisma_migrations SET finished_at = now(), migration_name = '9999_later'`);
    await expect(migrate(url)).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringContaining('9999_later'),
    });
    await other.end();
  });

  it('says so when the database is out of reach', async () => {
    await expect(migrate('postgresql://clipyard@127.0.0.1:1/clipyard')).rejects.toMatchObject({
      code: 'database_unavailable',
    });
  });
});
