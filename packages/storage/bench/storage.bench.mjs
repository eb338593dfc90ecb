/**
 * A checkpoint's file of 256 MiB to S3 and back: in parts, as S3Store does, against one PutObject and one GetObject, and
 * against a directory; samples of 64 KiB by ranges against the whole object.
 *
 *     npm run bench -- storage [--mib N] [--rounds N]
 *
 * versitygw over a directory is the server, on this machine. Once as it is, and once through a proxy that gives each
 * connection 10 ms each way and 32 MiB/s, as a network does. Every side computes the SHA-256 of what it writes. A ratio is the
 * baseline's time over ours: above 1 we are faster.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { median, startS3Gateway } from '@clipyard/testkit';
import { findS3Gateway } from '../../../scripts/build-test-s3-server.mjs';
import { DirectoryStore, openBlobStore } from '../dist/index.js';

const { values: flags } = parseArgs({ options: { mib: { type: 'string' }, rounds: { type: 'string' } } });
const BYTES = Number(flags.mib ?? 256) << 20;
const ROUNDS = Number(flags.rounds ?? 2);
const CHUNK = randomBytes(1 << 20);
const SAMPLE_BYTES = 64 << 10;
const SAMPLES = 256;
const READ_CONCURRENCY = 16;
const LATENCY_MS = 10;
const CONNECTION_BYTES_PER_MS = (32 << 20) / 1000;

const gateway = await findS3Gateway();
if ('missing' in gateway) throw new Error(gateway.missing);
const server = await startS3Gateway(gateway.binary);
Object.assign(process.env, server.environment);
const folder = await mkdtemp(join(tmpdir(), 'clipyard-bench-'));
const slow = await slowProxy(new URL(server.endpoint));
const results = {};
let peakMib = 0;
try {
  for (const [name, endpoint] of [
    ['loopback', server.endpoint],
    ['network', slow.url],
  ])
    results[name] = await compare(endpoint);
  const directory = new DirectoryStore({ root: folder });
  results.directory = await measure({
    write: () => directory.put('model', chunks()),
    read: () => directory.read('model'),
  });
} finally {
  slow.close();
  await server.close();
  await rm(folder, { recursive: true });
}

console.log(`${BYTES >> 20} MiB, seconds (MiB/s), median of ${ROUNDS}`);
for (const [place, times] of Object.entries(results))
  for (const [what, seconds] of Object.entries(times))
    console.log(`${place.padEnd(10)} ${what.padEnd(24)} ${seconds.toFixed(2).padStart(7)} (${rate(what, seconds)})`);
console.log(`memory of buffers while a file goes up: at most ${peakMib} MiB`);
const { loopback, network } = results;
const over = (baseline, ours) => Number((baseline / ours).toFixed(2));
const ratiosOf = (times) => ({
  write: over(times['write, one PutObject'], times.write),
  read: over(times['read, one GetObject'], times.read),
  ranges: over(times.read, times.samples),
});
const ratios = { loopback: ratiosOf(loopback), network: ratiosOf(network) };
console.log(JSON.stringify({ bench: 'storage', mib: BYTES >> 20, ratios, peakMib }));

async function compare(endpoint) {
  const store = await openBlobStore(`s3://${server.bucket}/bench?endpoint=${endpoint}`);
  const client = new S3Client({ endpoint, region: server.region, forcePathStyle: true });
  const target = { Bucket: server.bucket, Key: 'baseline' };
  const times = await measure({
    write: () => watched(() => store.put('model', chunks())),
    'write, one PutObject': async () => {
      const hash = createHash('sha256');
      const hashed = async function* () {
        for await (const chunk of chunks()) {
          hash.update(chunk);
          yield chunk;
        }
      };
      const Body = Readable.from(hashed(), { objectMode: false });
      await client.send(new PutObjectCommand({ ...target, Body, ContentLength: BYTES }));
      hash.digest();
    },
    read: () => store.read('model'),
    'read, one GetObject': async () => (await client.send(new GetObjectCommand(target))).Body.transformToByteArray(),
    // Seconds for all of them; those who have no ranges fetch the whole object for one.
    samples: async () => {
      const pending = Array.from({ length: SAMPLES }, (_, i) => i * Math.floor(BYTES / SAMPLES)).values();
      const read = async () => {
        for (const start of pending) await store.read('model', { start, end: start + SAMPLE_BYTES });
      };
      await Promise.all(Array.from({ length: READ_CONCURRENCY }, read));
    },
  });
  client.destroy();
  return times;
}

/** Median seconds of each action, which take turns. */
async function measure(actions) {
  // Once before, for connections and compiled code.
  for (const action of Object.values(actions)) await action();
  const times = Object.fromEntries(Object.keys(actions).map((name) => [name, []]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, action] of Object.entries(actions)) {
      const began = performance.now();
      await action();
      times[name].push((performance.now() - began) / 1000);
    }
  }
  return Object.fromEntries(Object.entries(times).map(([name, all]) => [name, median(all)]));
}

function rate(what, seconds) {
  const bytes = what === 'samples' ? SAMPLES * SAMPLE_BYTES : BYTES;
  return Math.round(bytes / 2 ** 20 / seconds);
}

async function* chunks() {
  for (let sent = 0; sent < BYTES; sent += CHUNK.length) yield CHUNK;
}

/** Notes the most memory of buffers while `action` runs. */
async function watched(action) {
  globalThis.gc?.();
  const before = process.memoryUsage().arrayBuffers;
  const timer = setInterval(() => {
    peakMib = Math.max(peakMib, Math.round((process.memoryUsage().arrayBuffers - before) / 2 ** 20));
  }, 5);
  await action();
  clearInterval(timer);
}

/** Passes bytes on late, and each way of a connection no faster than a limit. */
async function slowProxy(target) {
  const sockets = new Set();
  const listener = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ]) {
      sockets.add(from);
      from.on('error', () => to.destroy());
      from.setNoDelay(true);
      relay(from, to).catch(() => to.destroy());
    }
  });
  await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const close = () => {
    listener.close();
    for (const socket of sockets) socket.destroy();
  };
  return { url: `http://127.0.0.1:${listener.address().port}`, close };
}

/** A chunk leaves when those before it have, at the limit's pace, and arrives `LATENCY_MS` later. */
async function relay(from, to) {
  let free = 0;
  let arrived = Promise.resolve();
  for await (const chunk of from) {
    free = Math.max(performance.now(), free) + chunk.length / CONNECTION_BYTES_PER_MS;
    const arrival = free + LATENCY_MS;
    arrived = arrived.then(async () => {
      await sleep(Math.max(0, arrival - performance.now()));
      if (!to.write(chunk)) await new Promise((resolve) => to.once('drain', resolve).once('close', resolve));
    });
    if (free - performance.now() > LATENCY_MS) await sleep(LATENCY_MS / 2);
  }
  await arrived;
  to.end();
}
