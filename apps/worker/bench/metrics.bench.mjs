/**
 * Metric points a second from rank processes into Postgres, by the path of a run: rank, worker, control plane. Beside it
 * what Postgres takes of the same points by bare `pg`, in statements as large, into a table with the same key.
 */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { parseRunSpec } from '@clipyard/contracts';
import { createControlPlane, createNodeControl, createScheduler } from '@clipyard/control';
import { bootTestDatabase, openDatabase } from '@clipyard/db';
import { MessageBus } from '@clipyard/queue';
import { createLogger } from '@clipyard/runtime';
import { RankSession } from '../dist/rank-session.js';

const STEPS = 6_000;
const NAMES = Array.from({ length: 20 }, (_, k) => `bench/metric_${k}`);
const POINTS = STEPS * NAMES.length;
const STATEMENT = 500 * NAMES.length;

const pg = createRequire(createRequire(import.meta.url).resolve('@clipyard/db'))('pg');
const logger = createLogger({ name: 'bench', level: 'error' });
const server = await bootTestDatabase();
const database = await openDatabase({ url: server.url });
const bus = await MessageBus.open({ onError: console.error }, { databaseUrl: server.url });

const bare = await bareInserts();
const ours = await byRank();
await bus.close();
await database.close();
await server.close();
console.log(`bare pg   ${bare.toFixed(0)} points/s`);
console.log(`clipyard  ${ours.toFixed(0)} points/s, ${(ours / bare).toFixed(2)} times as many`);
console.log(
  JSON.stringify({ bench: 'metrics', points: POINTS, pointsPerSecond: Math.round(ours), bare: Math.round(bare) }),
);

async function bareInserts() {
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  await client.query(
    'CREATE TABLE bare (job text, name text, step int, value float8, at timestamptz, PRIMARY KEY (job, name, step))',
  );
  const begin = performance.now();
  for (let from = 0; from < POINTS; from += STATEMENT) {
    const points = Array.from({ length: Math.min(STATEMENT, POINTS - from) }, (_, i) => from + i);
    await client.query(
      'INSERT INTO bare SELECT $1, n, s, v, now() FROM unnest($2::text[], $3::int[], $4::float8[]) AS p(n, s, v)',
      [
        'job',
        points.map((i) => NAMES[i % NAMES.length]),
        points.map((i) => Math.floor(i / NAMES.length)),
        points.map(Math.sin),
      ],
    );
  }
  const seconds = (performance.now() - begin) / 1000;
  await client.end();
  return POINTS / seconds;
}

async function byRank() {
  const plane = createControlPlane({ database, bus });
  const control = createNodeControl({ database, bus });
  const registration = { name: 'bench', pool: 'default', host: 'localhost', version: '0', engines: ['cpu'], slots: 1 };
  const lease = await control.register(registration);
  const { job } = await plane.submitJob(
    parseRunSpec({
      version: 1,
      name: 'bench',
      model: { preset: 'clip-tiny' },
      data: { train: { type: 'shapes' } },
      batch: { global: 8 },
      duration: { steps: STEPS },
      resources: { world: { min: 1, max: 1 } },
    }),
  );
  const scheduler = createScheduler({ database, bus, logger }, { pollMs: 100 });
  await scheduler.start();
  let assignment;
  while (assignment === undefined) [assignment] = await control.assignments(lease, { jobId: job.id, epoch: 1 });
  await scheduler.close();
  const script = fileURLToPath(new URL('./bench-rank.mjs', import.meta.url));
  const begin = performance.now();
  const session = new RankSession(
    { control, logger },
    { ...assignment, spec: { steps: STEPS, names: NAMES } },
    { script, environment: {}, stopGraceMs: 1000, saveGraceMs: 1000, killGraceMs: 1000 },
  );
  await session.ended;
  const seconds = (performance.now() - begin) / 1000;
  const stored = (await plane.listMetricNames(job.id)).reduce((total, { points }) => total + points, 0);
  if (stored !== POINTS) throw new Error(`${stored} of ${POINTS} points were stored`);
  return POINTS / seconds;
}
