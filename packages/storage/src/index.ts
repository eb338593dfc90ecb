export { DirectoryStore, type DirectoryStoreOptions } from './directory-store.js';
export { type OpenBlobStoreOptions, openBlobStore } from './open-blob-store.js';
export { type S3Root, s3Roots } from './s3-roots.js';
