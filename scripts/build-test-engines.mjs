/**
 * Set-up of a test run: in CI, builds the tensorflow engine once for this checkout, from PyPI's wheel of 270 MB, and tells
 * the tests where it lies, or why it could not be built: they are skipped then, with that reason.
 */
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const ENGINES = join(ROOT, 'node_modules', '.cache', 'clipyard-engines');
const LOCK = join(ENGINES, '.lock');
/** Longer than a build takes on a busy machine, ms. */
const LIMIT_MS = 10 * 60_000;

export default async function setup(project) {
  project.provide('builtTensorFlow', await built());
}

async function built() {
  await mkdir(ENGINES, { recursive: true });
  if (await isThere()) return { enginesDir: ENGINES };
  if (!process.env.CI) return { missing: 'the tensorflow engine is built for tests in CI only: CI=true npm test' };
  await lock();
  try {
    if (!(await isThere())) await build();
    return { enginesDir: ENGINES };
  } catch (error) {
    console.log(`tests on the tensorflow engine are skipped: ${error.message}`);
    return { missing: error.message };
  } finally {
    await rm(LOCK, { recursive: true, force: true });
  }
}

async function isThere() {
  const kind = `-${process.platform}-${process.arch}`;
  return (await readdir(ENGINES)).some((name) => name.startsWith('tensorflow-') && name.includes(kind));
}

async function build() {
  const { buildTensorFlow } = await import(new URL('../packages/engine/dist/index.js', import.meta.url).href);
  await buildTensorFlow({
    enginesDir: ENGINES,
    progress: (text) => console.log(`tensorflow engine for the tests: ${text}`),
    signal: AbortSignal.timeout(LIMIT_MS),
    ...(process.env.PIP_INDEX_URL ? { indexUrl: process.env.PIP_INDEX_URL } : {}),
  });
}

/** Test runs of one checkout wait for each other here; a lock that outlived its run is taken away. */
async function lock() {
  for (;;) {
    try {
      await mkdir(LOCK);
      return;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    const { mtimeMs } = await stat(LOCK).catch(() => ({ mtimeMs: Date.now() }));
    if (Date.now() - mtimeMs > LIMIT_MS) await rm(LOCK, { recursive: true, force: true });
    await sleep(500);
  }
}
