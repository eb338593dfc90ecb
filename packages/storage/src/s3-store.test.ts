import { randomUUID } from 'node:crypto';
import { CreateMultipartUploadCommand, ListMultipartUploadsCommand, S3Client } from '@aws-sdk/client-s3';
import type { ClipyardError } from '@clipyard/contracts';
import { freePort } from '@clipyard/runtime';
import {
  BrokenProxy,
  blobStoreSuite,
  type S3Server,
  s3Gateway,
  startS3Emulator,
  startS3Gateway,
} from '@clipyard/testkit';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { openBlobStore } from './open-blob-store.js';
import { S3Store } from './s3-store.js';
import { parseS3Url } from './s3-url.js';

const gateway = s3Gateway();
const skipped = 'missing' in gateway ? ` (skipped: ${gateway.missing})` : '';
const startGateway = () => startS3Gateway('binary' in gateway ? gateway.binary : '');

/** More than a part, so several requests. */
const LARGE_BYTES = 20_000_003;

describe('S3Store on fauxqs', () => {
  const server = running(startS3Emulator);
  conformance(server, { unordered: true });
});

describe.skipIf(skipped !== '')(`S3Store on versitygw${skipped}`, () => {
  const server = running(startGateway);
  conformance(server, {});

  afterEach(() => {
    for (const [name, value] of Object.entries(server().environment)) vi.stubEnv(name, value);
  });

  it('takes away the uploads that a killed writer left, before its first put', async () => {
    const prefix = `left/${randomUUID()}`;
    const place = parseS3Url(server().url(prefix), 'STORAGE_URL');
    const create = new CreateMultipartUploadCommand({ Bucket: place.bucket, Key: `${prefix}/model` });
    await clientOf(server()).send(create);
    await new S3Store(place).put('young', new Uint8Array(1));
    expect(await uploadsOf(server(), prefix)).toEqual([`${prefix}/model`]);
    await new S3Store({ ...place, staleUploadMs: -60_000 }).put('old', new Uint8Array(1));
    expect(await uploadsOf(server(), prefix)).toEqual([]);
  });

  it('goes on through connections that break in the middle of a request or an answer', async () => {
    const proxy = await BrokenProxy.start(server().endpoint);
    try {
      const place = { ...parseS3Url(server().url(`broken/${randomUUID()}`), 'STORAGE_URL'), endpoint: proxy.url };
      const store = new S3Store(place);
      const body = new Uint8Array(LARGE_BYTES).fill(7);
      proxy.breakNext(2, { afterSent: 3_000_000 });
      const { bytes } = await store.put('k', body);
      expect(bytes).toBe(LARGE_BYTES);
      proxy.breakNext(2, { afterReceived: 1_000_000 });
      expect(Buffer.compare(await store.read('k'), body)).toBe(0);
      expect(proxy.broken).toBe(4);
    } finally {
      await proxy.close();
    }
  });

  it('signs once for an object whose ranges are read again, and asks the SDK when such a request fails', async () => {
    const proxy = await BrokenProxy.start(server().endpoint);
    try {
      const place = { ...parseS3Url(server().url(`ranges/${randomUUID()}`), 'STORAGE_URL'), endpoint: proxy.url };
      const store = new S3Store(place);
      await store.put('k', new TextEncoder().encode('0123456789'));
      const isSigned = () => proxy.requests.at(-1)!.includes('X-Amz-Signature=');
      const read = async (start: number) => new TextDecoder().decode(await store.read('k', { start, end: start + 3 }));
      expect([await read(0), isSigned()]).toEqual(['012', false]);
      expect([await read(2), isSigned()]).toEqual(['234', true]);
      expect([await read(8), isSigned()]).toEqual(['89', true]);
      proxy.breakNext(1, { afterReceived: 0 });
      expect([await read(5), isSigned(), proxy.broken]).toEqual(['567', false, 1]);
      await store.delete('k');
      await expect(read(0)).rejects.toMatchObject({ code: 'not_found' });
    } finally {
      await proxy.close();
    }
  });

  it('reads one version of a blob that is replaced meanwhile', async () => {
    const store = await openBlobStore(server().url(`versions/${randomUUID()}`));
    const versions = [1, 2].map((value) => new Uint8Array(LARGE_BYTES).fill(value));
    await store.put('k', versions[0]!);
    let replaced = 0;
    const replacing = async () => {
      for (; replaced < 4; replaced++) await store.put('k', versions[replaced % 2]!);
    };
    const reading = async () => {
      while (replaced < 4) {
        const seen = await store.read('k');
        expect(seen[0]).toBe(seen.at(-1));
        expect(Buffer.compare(seen, versions[seen[0]! - 1]!)).toBe(0);
      }
    };
    await Promise.all([replacing(), reading()]);
  });

  const failures: readonly [string, string, (url: string) => string, Record<string, string>, RegExp][] = [
    ['a bucket that is not there', 'storage_bucket_missing', swap('//clipyard', '//nowhere'), {}, /Create it/],
    ['a wrong key', 'storage_denied', (url) => url, { AWS_SECRET_ACCESS_KEY: 'hunter2-hunter2' }, /AWS_SECRET/],
    ['an unknown key id', 'storage_denied', (url) => url, { AWS_ACCESS_KEY_ID: 'somebody' }, /AWS_ACCESS_KEY_ID/],
    ['a wrong region', 'storage_region_wrong', swap('us-east-1', 'eu-west-9'), {}, /region=/],
  ];
  it.each(failures)('says at once what to do about %s', async (_what, code, change, environment, remedy) => {
    for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);
    const failure = await openBlobStore(change(server().url())).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code, fields: [{ path: 'STORAGE_URL', remedy: expect.stringMatching(remedy) }] });
    expect(everythingIn(failure as ClipyardError)).not.toMatch(/hunter2|clipyard-secret|Signature=|StringToSign/);
  });
});

it('says that the endpoint is out of reach, and which', { timeout: 60_000 }, async () => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'a');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'b');
  const endpoint = `http://127.0.0.1:${await freePort()}`;
  await expect(openBlobStore(`s3://clipyard?endpoint=${endpoint}`)).rejects.toMatchObject({
    code: 'storage_unreachable',
    retryable: true,
    message: expect.stringContaining(`${endpoint} does not answer (ECONNREFUSED)`),
  });
  vi.unstubAllEnvs();
});

/** A server for the tests of the block; also the credentials that it takes. */
function running(start: () => Promise<S3Server>): () => S3Server {
  let server: S3Server | undefined;
  beforeAll(async () => {
    server = await start();
    for (const [name, value] of Object.entries(server.environment)) vi.stubEnv(name, value);
  });
  afterAll(async () => {
    vi.unstubAllEnvs();
    await server?.close();
  });
  return () => server!;
}

function conformance(server: () => S3Server, traits: { readonly unordered?: boolean }) {
  blobStoreSuite('S3', async () => {
    const prefix = `suite/${randomUUID()}`;
    const place = parseS3Url(server().url(prefix), 'STORAGE_URL');
    const store = new S3Store({ ...place, pageKeys: 50 });
    return { store, ...traits, leftovers: () => uploadsOf(server(), prefix), close: () => store.delete('') };
  });
}

const clientOf = ({ endpoint, region }: S3Server) => new S3Client({ endpoint, region, forcePathStyle: true });

/** Keys of the unfinished uploads. */
async function uploadsOf(server: S3Server, prefix: string): Promise<string[]> {
  const list = new ListMultipartUploadsCommand({ Bucket: server.bucket, Prefix: prefix });
  const { Uploads = [] } = await clientOf(server).send(list);
  return Uploads.map(({ Key }) => Key!);
}

function swap(from: string, to: string) {
  return (url: string) => url.replace(from, to);
}

/** As a log would show the error, its causes and their properties among them. */
function everythingIn(error: unknown): string {
  if (!(error instanceof Error)) return JSON.stringify(error) ?? '';
  const own = Object.fromEntries(Object.getOwnPropertyNames(error).map((name) => [name, Reflect.get(error, name)]));
  return `${JSON.stringify({ ...own, cause: undefined })} ${everythingIn(error.cause)}`;
}
