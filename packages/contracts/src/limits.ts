/** Every limit of buffers, queues, frames and bodies; docs/reference/limits.md lists them. */
export const LIMITS = {
  /** Largest payload of one frame between ranks, bytes; longer messages are split. */
  frameBytes: 1 << 20,
  /** Largest message between ranks, bytes. */
  messageBytes: 2 ** 31,
  /** Received but not yet claimed bytes a link holds before it stops reading. */
  linkUnclaimedBytes: 256 << 20,
  /** Time to connect all ranks and shake hands, ms. */
  rendezvousTimeoutMs: 60_000,
  /** Body of a request, bytes. */
  requestBodyBytes: 1 << 20,
  /** Time for a request to arrive whole, ms. */
  requestTimeoutMs: 30_000,
  /** Tokens that are not valid, from one address in a minute. */
  refusedTokensPerMinute: 60,
  /** Log lines of a rank that wait for the database; older ones are dropped and counted. */
  logBacklog: 10_000,
  /** Length of a log message, characters. */
  logMessageChars: 8192,
  /** Metrics that one request names. */
  metricNames: 200,
  /** Buckets of metrics in one answer. */
  metricBuckets: 400_000,
  /** Evaluation pictures that are embedded to look into a checkpoint. */
  inspectedSamples: 2048,
  /** Weights of a checkpoint that the API opens to look into it, bytes. */
  inspectedWeightsBytes: 2 ** 31,
  /** PNG of a sample prediction, bytes. */
  predictionPngBytes: 16 << 10,
  /** Lease of a node, ms; it is renewed at a third of this. */
  nodeLeaseMs: 10_000,
  /** Trials of one sweep. */
  sweepTrials: 1000,
  /** Trials of one sweep that run at a time. */
  sweepConcurrentTrials: 256,
} as const;
