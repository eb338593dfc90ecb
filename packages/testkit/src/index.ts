export { allclose, expectAllClose, relativeDifference, type Tolerance } from './allclose.js';
export {
  answerSteps,
  BenchSide,
  checkLosses,
  median,
  type SideOptions,
  type SideReady,
  type SideTurn,
  type StepAnswers,
} from './bench-side.js';
export { expectBitwise } from './bitwise.js';
export { type BlobStoreFixture, blobStoreSuite } from './blob-store-suite.js';
export { BrokenProxy } from './broken-proxy.js';
export { type BuiltTensorFlow, builtTensorFlow } from './built-tensorflow.js';
export { type FakeClock, fakeClock } from './fake-clock.js';
export { formulaValues, formulaWords } from './formula-values.js';
export { type GroupSet, groupSuite } from './group-suite.js';
export { type LinkPair, linkSuite } from './link-suite.js';
export { combine, referenceGroups } from './reference-group.js';
export {
  type S3Gateway,
  type S3Server,
  s3Gateway,
  startS3Emulator,
  startS3Gateway,
  startS3Server,
} from './s3-servers.js';
export { sampleBytes, sampleFloats } from './sample-values.js';
