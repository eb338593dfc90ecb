export { type BlobStoreFixture, blobStoreSuite } from './blob-store-suite.js';
