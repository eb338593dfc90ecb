import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inject } from 'vitest';

/** The versitygw that the set-up of the test run found or built, or why there is none. */
export type S3Gateway = { readonly binary: string } | { readonly missing: string };

declare module 'vitest' {
  interface ProvidedContext {
    s3Gateway: S3Gateway;
  }
}

/** A running server of S3's protocol with one bucket. */
export interface S3Server {
  readonly name: string;
  readonly endpoint: string;
  readonly bucket: string;
  readonly region: string;
  /** What a client needs to be let in. */
  readonly environment: { readonly AWS_ACCESS_KEY_ID: string; readonly AWS_SECRET_ACCESS_KEY: string };
  /** Where the objects lie as files, if they do. */
  readonly directory?: string;
  /** The URL of a prefix of its bucket, as STORAGE_URL takes it. */
  url(prefix?: string): string;
  close(): Promise<void>;
}

const REGION = 'us-east-1';
const BUCKET = 'clipyard';
const ENVIRONMENT = { AWS_ACCESS_KEY_ID: 'clipyard', AWS_SECRET_ACCESS_KEY: 'clipyard-secret' };
const START_LIMIT_MS = 30_000;

/** Tests that need a server which checks signatures ask here for it, and skip with the reason where it is missing. */
export const s3Gateway = (): S3Gateway => inject('s3Gateway');

/** The best server there is: versitygw, else the emulator that npm installs. */
export async function startS3Server(): Promise<S3Server> {
  const gateway = s3Gateway();
  return 'binary' in gateway ? await startS3Gateway(gateway.binary) : await startS3Emulator();
}

/** versitygw over a directory of its own: real files, signatures and checksums verified. */
export async function startS3Gateway(binary: string): Promise<S3Server> {
  const home = await mkdtemp(join(tmpdir(), 'clipyard-s3-'));
  const root = join(home, 'root');
  await mkdir(join(root, BUCKET), { recursive: true });
  const port = await freePort();
  const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY } = ENVIRONMENT;
  const keys = ['--access', AWS_ACCESS_KEY_ID, '--secret', AWS_SECRET_ACCESS_KEY];
  const args = ['--port', `127.0.0.1:${port}`, '--region', REGION, ...keys, '--keep-alive', '--quiet', 'posix', root];
  const child = spawn(binary, args, { cwd: home, stdio: 'ignore' });
  const ended = new Promise<void>((resolve) => {
    child.once('error', () => resolve());
    child.once('close', () => resolve());
  });
  const close = async () => {
    child.kill('SIGTERM');
    await ended;
    await rm(home, { recursive: true, force: true });
  };
  try {
    await listening(port, ended);
  } catch (error) {
    await close();
    throw error;
  }
  return { ...described('versitygw', `http://127.0.0.1:${port}`), directory: join(root, BUCKET), close };
}

/** An emulator in this process and its memory: no signatures, no list of unfinished uploads. */
export async function startS3Emulator(): Promise<S3Server> {
  const { buildApp } = await import('fauxqs');
  const app = buildApp({ logger: false });
  const endpoint = await app.listen({ port: 0, host: '127.0.0.1' });
  const made = await fetch(`${endpoint}/${BUCKET}`, { method: 'PUT' });
  if (!made.ok) throw new Error(`fauxqs made no bucket: ${made.status}`);
  return { ...described('fauxqs', endpoint), close: () => app.close() };
}

function described(name: string, endpoint: string) {
  const url = (prefix = '') =>
    `s3://${BUCKET}${prefix === '' ? '' : `/${prefix}`}?endpoint=${encodeURIComponent(endpoint)}&region=${REGION}`;
  return { name, endpoint, bucket: BUCKET, region: REGION, environment: ENVIRONMENT, url };
}

async function listening(port: number, ended: Promise<void>): Promise<void> {
  let isOver = false;
  ended.then(() => {
    isOver = true;
  });
  for (const limit = Date.now() + START_LIMIT_MS; Date.now() < limit; ) {
    if (isOver) throw new Error('versitygw ended at once');
    if (await accepts(port)) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('versitygw does not listen');
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
