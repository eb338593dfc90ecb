export { DirectoryStore, type DirectoryStoreOptions } from './directory-store.js';
export { openBlobStore } from './open-blob-store.js';
