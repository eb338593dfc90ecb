/**
 * Set-up of a test run: finds versitygw, a server of S3's protocol that checks signatures and checksums, or in CI builds
 * it with Go, and tells the tests where it lies, or why not: those that need it are skipped then, with that reason.
 */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const VERSION = 'v1.8.0';
const MODULE = `github.com/versity/versitygw/cmd/versitygw@${VERSION}`;
/** Outside of the checkout, since it takes minutes to build and is the same for all of them. */
const FOLDER = join(homedir(), '.cache', 'clipyard-tests');
const BINARY = join(FOLDER, `versitygw-${VERSION}`);
/** Longer than a build takes on a busy machine, ms. */
const LIMIT_MS = 10 * 60_000;

const run = promisify(execFile);

export default async function setup(project) {
  project.provide('s3Gateway', await findS3Gateway());
}

/** Also a command, so that CI can build it while it waits for something else. */
if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(JSON.stringify(await findS3Gateway()));

/** @returns {Promise<{ binary: string } | { missing: string }>} */
export async function findS3Gateway() {
  for (const binary of [BINARY, 'versitygw']) if (await runs(binary)) return { binary };
  if (!process.env.CI) return { missing: `versitygw is no command here; go install ${MODULE}, or CI=true npm test` };
  try {
    await build();
    return { binary: BINARY };
  } catch (error) {
    const missing = `versitygw could not be built with Go: ${error.message.split('\n')[0]}`;
    console.log(missing);
    return { missing };
  }
}

async function build() {
  await run('go', ['version']);
  console.log('versitygw for the tests: go install');
  await mkdir(FOLDER, { recursive: true });
  const folder = await mkdtemp(join(FOLDER, 'build-'));
  await run('go', ['install', MODULE], {
    cwd: folder,
    env: { ...process.env, GOBIN: folder, GOFLAGS: '-buildvcs=false' },
    signal: AbortSignal.timeout(LIMIT_MS),
  });
  await rename(join(folder, 'versitygw'), BINARY);
  await rm(folder, { recursive: true });
}

async function runs(binary) {
  try {
    await run(binary, ['--version']);
    return true;
  } catch {
    return false;
  }
}
