import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { type BlobStore, type Cancellable, ClipyardError, fieldError } from '@clipyard/contracts';
import { DirectoryStore } from './directory-store.js';

/**
 * Opens the blob store of a URL: `file:///path` is a directory, made when missing. Throws `config_invalid` for a URL
 * that is malformed, relative or of another scheme, and `storage_failed` when the directory cannot be made.
 */
export async function openBlobStore(url: string, options: Cancellable = {}): Promise<BlobStore> {
  options.signal?.throwIfAborted();
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined) throw invalidUrl(url, 'is not a URL');
  if (parsed.protocol !== 'file:')
    throw invalidUrl(url, `has the scheme \`${parsed.protocol}\`, which no store here has`);
  // The URL parser would turn a relative path into one from the root.
  if (!/^file:\/(\/\/|[^/])/.test(url)) throw invalidUrl(url, 'does not name an absolute path on this machine');
  if (parsed.search !== '' || parsed.hash !== '') throw invalidUrl(url, 'has a `?` or `#` that is not percent-encoded');
  if (parsed.host !== '') throw invalidUrl(url, `names another host, \`${parsed.host}\``);
  if (/%2f|%00/i.test(parsed.pathname)) throw invalidUrl(url, 'has a percent-encoded slash or NUL');
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
          {
            path: 'STORAGE_URL',
            message: 'names a directory that cannot be made',
            value: url,
            remedy: 'Check its parent.',
          },
        ],
      },
    );
  }
  return new DirectoryStore({ root });
}

const invalidUrl = (value: string, message: string) =>
  fieldError('config_invalid', {
    path: 'STORAGE_URL',
    message: `\`${value}\` ${message}`,
    value,
    remedy: 'Use a directory, such as `file:///var/lib/clipyard/storage`.',
  });
