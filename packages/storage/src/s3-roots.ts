import type { BlobStore, Cancellable } from '@clipyard/contracts';
import { openBlobStore } from './open-blob-store.js';
import { parseS3Url } from './s3-url.js';

/** A place in S3 that is opened when something is read from it. */
export interface S3Root {
  /** What the URLs of its objects begin with. */
  readonly url: string;
  open(options?: Cancellable): Promise<BlobStore>;
}

/** The places of a list of `s3:` URLs, parted by commas or spaces, that the variable `field` holds. Throws `config_invalid`. */
export function s3Roots(urls: string, field: string): S3Root[] {
  return urls
    .split(/[\s,]+/)
    .filter((url) => url !== '')
    .map((url) => {
      const { bucket, prefix } = parseS3Url(url, field);
      return { url: `s3://${bucket}/${prefix}`, open: (options = {}) => openBlobStore(url, { ...options, field }) };
    });
}
