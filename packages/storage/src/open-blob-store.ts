import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { type BlobStore, type Cancellable, ClipyardError, fieldError } from '@clipyard/contracts';
import { DirectoryStore } from './directory-store.js';
import { parseS3Url } from './s3-url.js';

export interface OpenBlobStoreOptions extends Cancellable {
  /** Where the URL is configured, for errors; default `STORAGE_URL`. */
  readonly field?: string;
}

/**
 * Opens the blob store of a URL: `file:///path` is a directory, made when missing, and
 * `s3://bucket/prefix?endpoint=…&region=…&forcePathStyle=…` a bucket, which must be there. Throws `config_invalid` for a
 * URL that is malformed, relative or of another scheme, `storage_failed` when the directory cannot be made, and
 * `storage_bucket_missing`, `storage_denied`, `storage_region_wrong` or `storage_unreachable` as the server answers.
 */
export async function openBlobStore(url: string, options: OpenBlobStoreOptions = {}): Promise<BlobStore> {
  const { field = 'STORAGE_URL', signal } = options;
  signal?.throwIfAborted();
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  switch (parsed?.protocol) {
    case 'file:':
      return await openDirectory(url, parsed, field);
    case 's3:':
      return await openS3(url, field, signal);
    case undefined:
      throw invalidUrl(field, url, 'is not a URL');
    default:
      throw invalidUrl(field, url, `has the scheme \`${parsed!.protocol}\`, which no store here has`);
  }
}

/** The AWS SDK takes a while to load, so only those who need it do. */
async function openS3(url: string, field: string, signal: AbortSignal | undefined): Promise<BlobStore> {
  const place = parseS3Url(url, field);
  const { S3Store } = await import('./s3-store.js');
  const store = new S3Store({ ...place, field });
  await store.check({ signal });
  return store;
}

async function openDirectory(url: string, parsed: URL, field: string): Promise<BlobStore> {
  // The URL parser would turn a relative path into one from the root.
  if (!/^file:\/(\/\/|[^/])/.test(url)) throw invalidUrl(field, url, 'does not name an absolute path on this machine');
  if (parsed.search !== '' || parsed.hash !== '')
    throw invalidUrl(field, url, 'has a `?` or `#` that is not percent-encoded');
  if (parsed.host !== '') throw invalidUrl(field, url, `names another host, \`${parsed.host}\``);
  if (/%2f|%00/i.test(parsed.pathname)) throw invalidUrl(field, url, 'has a percent-encoded slash or NUL');
  const root = fileURLToPath(parsed);
  try {
    await mkdir(root, { recursive: true });
  } catch (error) {
    throw new ClipyardError(
      'storage_failed',
      `storage: the directory of ${url} cannot be made (${String(error)}). Check its parent.`,
      {
        cause: error,
        fields: [
          { path: field, message: 'names a directory that cannot be made', value: url, remedy: 'Check its parent.' },
        ],
      },
    );
  }
  return new DirectoryStore({ root });
}

const invalidUrl = (path: string, value: string, message: string) =>
  fieldError('config_invalid', {
    path,
    message: `\`${value}\` ${message}`,
    value,
    remedy: 'Use a directory, such as `file:///var/lib/clipyard/storage`, or a bucket, such as `s3://clipyard/runs`.',
  });
