import { createHash, randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ClipyardError } from '@clipyard/contracts';
import type pg from 'pg';
import { SteadyClient } from './steady-client.js';

/** The key under which Prisma's own commands take turns, so that ours take turns with them. */
const PRISMA_LOCK = 72707369;

const LEDGER = `CREATE TABLE IF NOT EXISTS _prisma_migrations (
  id                  VARCHAR(36) PRIMARY KEY NOT NULL,
  checksum            VARCHAR(64) NOT NULL,
  finished_at         TIMESTAMPTZ,
  migration_name      VARCHAR(255) NOT NULL,
  logs                TEXT,
  rolled_back_at      TIMESTAMPTZ,
  started_at          TIMESTAMPTZ NOT NULL DEFAULT now(),
  applied_steps_count INTEGER NOT NULL DEFAULT 0
)`;

interface Migration {
  readonly name: string;
  readonly sql: string;
  readonly checksum: string;
}

/** The migrations of this checkout, in order. */
async function readMigrations(): Promise<Migration[]> {
  const directory = fileURLToPath(new URL('../../../prisma/migrations', import.meta.url));
  const entries = await readdir(directory, { withFileTypes: true });
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  return await Promise.all(
    names.sort().map(async (name) => {
      const sql = await readFile(join(directory, name, 'migration.sql'), 'utf8');
      return { name, sql, checksum: createHash('sha256').update(sql).digest('hex') };
    }),
  );
}

/**
 * Applies the SQL files of prisma/migrations that the database lacks, each in a transaction, and records them as
 * `prisma migrate deploy` does. Returns the names of those applied. Any number of processes may call it at once.
 * Throws `database_unavailable`, or `config_invalid` for a database that a newer release has migrated.
 */
export async function migrate(databaseUrl: string): Promise<readonly string[]> {
  const migrations = await readMigrations();
  const client = new SteadyClient({ connectionString: databaseUrl });
  try {
    await client.connect();
    await client.query('SELECT pg_advisory_lock($1)', [PRISMA_LOCK]);
    await client.query(LEDGER);
    const { rows } = await client.query<{ name: string; finished: boolean }>(
      `SELECT migration_name AS name, finished_at IS NOT NULL AS finished FROM _prisma_migrations WHERE rolled_back_at IS NULL`,
    );
    checkLedger(rows, migrations);
    const done = new Set(rows.map((row) => row.name));
    const pending = migrations.filter((migration) => !done.has(migration.name));
    for (const migration of pending) await apply(client, migration);
    return pending.map((migration) => migration.name);
  } catch (error) {
    throw ClipyardError.from(error, 'database_unavailable');
  } finally {
    await client.end();
  }
}

function checkLedger(rows: readonly { name: string; finished: boolean }[], migrations: readonly Migration[]): void {
  const broken = rows.find((row) => !row.finished);
  if (broken !== undefined) {
    throw new ClipyardError(
      'config_invalid',
      `DATABASE_URL: migration ${broken.name} began and did not finish. Repair it with \`npx prisma migrate resolve\`.`,
    );
  }
  const newer = rows.find((row) => !migrations.some((migration) => migration.name === row.name));
  if (newer !== undefined) {
    throw new ClipyardError(
      'config_invalid',
      `DATABASE_URL: the database has migration ${newer.name}, which this release does not know. Use the release that made it, or a newer one.`,
    );
  }
}

async function apply(client: pg.Client, migration: Migration): Promise<void> {
  await client.query('BEGIN');
  try {
    await client.query(migration.sql);
    await client.query(
      `INSERT INTO _prisma_migrations (id, checksum, migration_name, started_at, finished_at, applied_steps_count)
       VALUES ($1, $2, $3, now(), clock_timestamp(), 1)`,
      [randomUUID(), migration.checksum, migration.name],
    );
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK');
    throw error;
  }
}
