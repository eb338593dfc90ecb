/**
 * The API against a bare Fastify server that answers the same bodies from the same database, and lists of 10,000 queued
 * jobs.
 *
 *     npm run bench -- api [--rounds N] [--seconds N] [--smoke]
 *
 * Both sides are processes of their own, with a pool of 10 connections; they take turns, and autocannon asks from this
 * process. A ratio is ours over theirs, in requests a second: above 1 we are faster.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { parseRunSpec } from '@clipyard/contracts';
import { bootTestDatabase } from '@clipyard/db';
import { median } from '@clipyard/testkit';
import autocannon from 'autocannon';
import pg from 'pg';

const { values: flags } = parseArgs({
  options: {
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    smoke: { type: 'boolean', default: false },
  },
});
const rounds = Number(flags.rounds ?? (flags.smoke ? 1 : 5));
const seconds = Number(flags.seconds ?? (flags.smoke ? 0.5 : 2));
const CONNECTIONS = 8;
const QUEUED_JOBS = 10_000;
const LISTINGS = flags.smoke ? 5 : 50;

const spec = parseRunSpec({
  version: 1,
  name: 'bench',
  labels: { team: 'vision' },
  model: { preset: 'ViT-B-32', tokenizer: 'clip' },
  data: { train: { type: 'webdataset', urls: ['data/{00000..00009}.tar'] } },
  batch: { global: 4096 },
  duration: { epochs: 32 },
  // Nothing starts: there are no nodes in this pool.
  resources: { pool: 'none' },
});

const database = await bootTestDatabase();
const file = (path) => fileURLToPath(new URL(path, import.meta.url));
const children = [];
try {
  const ours = await start(file('../dist/main.js'), ['--role', 'api']);
  const bare = await start(file('./bare-server.mjs'), []);
  const first = await (await post(ours)).json();
  if (first.id === undefined) throw new Error(JSON.stringify(first));
  for (let i = 0; i < 60; i++) await post(ours);
  for (const path of [`/v1/jobs/${first.id}`, '/v1/jobs?limit=50']) {
    const [a, b] = await Promise.all([ours, bare].map(async (url) => (await fetch(url + path)).text()));
    if (JSON.stringify(sorted(JSON.parse(a))) !== JSON.stringify(sorted(JSON.parse(b))))
      throw new Error(`${path} differs: ${a} ${b}`);
  }

  const cases = [
    { name: 'GET /v1/jobs/:id', path: `/v1/jobs/${first.id}` },
    { name: 'GET /v1/jobs?limit=50', path: '/v1/jobs?limit=50' },
    { name: 'POST /v1/jobs', path: '/v1/jobs', method: 'POST' },
  ];
  for (const one of cases) one.rates = { ours: [], bare: [] };
  for (let round = -1; round < rounds; round++) {
    for (const one of cases) {
      for (const [side, url] of [
        ['ours', ours],
        ['bare', bare],
      ]) {
        const rate = await load(url, one);
        // The first round warms up.
        if (round >= 0) one.rates[side].push(rate);
      }
    }
  }
  console.log(`requests a second, ${CONNECTIONS} connections, median of ${rounds} rounds of ${seconds} s`);
  console.log(`${''.padEnd(28)}${'ours'.padStart(10)}${'bare'.padStart(10)}${'ratio'.padStart(8)}`);
  const ratios = {};
  for (const { name, rates } of cases) {
    const ratio = Number(median(rates.ours.map((rate, i) => rate / rates.bare[i])).toFixed(2));
    ratios[name] = ratio;
    const cells = [median(rates.ours).toFixed(0), median(rates.bare).toFixed(0)].map((cell) => cell.padStart(10));
    console.log(`${name.padEnd(28)}${cells.join('')}${String(ratio).padStart(8)}`);
  }

  await fill(first.id);
  const lists = {};
  console.log(`\n${QUEUED_JOBS} queued jobs, ms a list, median of ${LISTINGS}`);
  for (const query of [
    'limit=50',
    'state=queued&limit=50',
    'state=queued&limit=500',
    'label=n%3D77&limit=50',
    'text=bench-9876&limit=50',
    'text=nowhere&limit=50',
    'sort=-priority&limit=50',
    'sort=name&state=queued&state=running&limit=50',
  ]) {
    lists[query] = Number((await listing(`${ours}/v1/jobs?${query}`)).toFixed(1));
    console.log(`${query.padEnd(52)}${lists[query].toFixed(1).padStart(8)}`);
  }
  lists.queue = Number((await listing(`${ours}/v1/queue?limit=50`)).toFixed(1));
  console.log(`${'/v1/queue?limit=50'.padEnd(52)}${lists.queue.toFixed(1).padStart(8)}`);
  console.log(JSON.stringify({ bench: 'api', ratios, lists }));
} finally {
  for (const child of children) {
    child.kill();
    await once(child, 'exit');
  }
  await database.close();
}

async function start(script, args) {
  const env = { ...process.env, DATABASE_URL: database.url, PORT: '0', CLIPYARD_LOG_LEVEL: 'warn' };
  const child = spawn(process.execPath, [script, ...args], { env, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  children.push(child);
  const [{ url }] = await once(child, 'message');
  return url;
}

function post(url) {
  const headers = { 'content-type': 'application/json' };
  return fetch(`${url}/v1/jobs`, { method: 'POST', headers, body: JSON.stringify(spec) });
}

async function load(url, { path, method = 'GET' }) {
  const body = method === 'POST' ? { headers: { 'content-type': 'application/json' }, body: JSON.stringify(spec) } : {};
  const result = await autocannon({ url: url + path, method, ...body, connections: CONNECTIONS, duration: seconds });
  if (result.non2xx + result.errors > 0)
    throw new Error(`${method} ${path}: ${result.non2xx} refused, ${result.errors} failed`);
  return result['2xx'] / result.duration;
}

/** Median milliseconds until the whole answer is there. */
async function listing(url) {
  const times = [];
  for (let i = 0; i < LISTINGS; i++) {
    const began = performance.now();
    const response = await fetch(url, { headers: { 'accept-encoding': 'identity' } });
    await response.arrayBuffer();
    if (response.status !== 200) throw new Error(`${url} answered ${response.status}`);
    times.push(performance.now() - began);
  }
  return median(times);
}

/** Nothing but copies of one job, each with a name and a label of its own. */
async function fill(id) {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  await client.query('DELETE FROM job WHERE id <> $1', [id]);
  await client.query(
    `INSERT INTO job (id, project, name, state, labels, priority, pool, spec, created_at)
     SELECT 'job-copy' || i, project, 'bench-' || i, 'queued', jsonb_build_object('team', 'vision', 'n', (i % 100)::text),
       i % 100, pool, spec, created_at + i * interval '1 second' FROM job, generate_series(1, $2::int) AS i WHERE id = $1`,
    [id, QUEUED_JOBS],
  );
  await client.query('VACUUM ANALYZE job');
  await client.end();
}

function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, sorted(value[key])]),
  );
}
