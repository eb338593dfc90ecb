export { DirectoryStore, type DirectoryStoreOptions } from './directory-store.js';
export { type OpenBlobStoreOptions, openBlobStore } from './open-blob-store.js';
export { parseS3Url, type S3Place } from './s3-url.js';
