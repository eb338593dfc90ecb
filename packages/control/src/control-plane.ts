import type {
  Attempt,
  Checkpoint,
  CheckpointRecord,
  Evaluation,
  Fork,
  Health,
  Job,
  JobEvent,
  JobPatch,
  JobSort,
  JobState,
  LogLevel,
  LogLine,
  MetricName,
  MetricPoint,
  MetricSeries,
  Node,
  Page,
  PeerAddress,
  PredictionSample,
  QueueEntry,
  RankStart,
  RankState,
  RunSpec,
  SerializedError,
  TaskResult,
} from '@clipyard/contracts';
import type { AccessPlane } from './access/access-plane.js';
import type { Behalf } from './access/behalf.js';
import type { SweepPlane } from './sweeps/sweep-plane.js';
import type { WebhookPlane } from './webhooks/webhook-plane.js';

/**
 * What the API needs of the control plane. Unknown ids, and those of projects that the caller does not see, throw
 * `job_not_found` or `not_found`.
 */
export interface ControlPlane {
  /** The same for somebody else: within the caller's project, and with every change on its record. */
  as(behalf: Behalf): ControlPlane;
  /** Stores the job and its `job submitted` message in one transaction. The same key and spec again returns the first job. */
  submitJob(
    spec: RunSpec,
    options?: { idempotencyKey?: string; project?: string },
  ): Promise<{ job: Job; created: boolean }>;
  readonly sweeps: SweepPlane;
  readonly access: AccessPlane;
  readonly webhooks: WebhookPlane;
  getJob(jobId: string): Promise<Job>;
  /** All that the filters let through, newest first unless `sort` says otherwise. */
  listJobs(query: JobFilter & { sort?: JobSort; cursor?: string; limit: number }): Promise<Page<Job>>;
  /** Cancels a job in any state that is not final; throws `job_state_conflict` otherwise. */
  cancelJob(jobId: string): Promise<Job>;
  /**
   * Stops a job that has not ended, with a checkpoint of the step at hand if it trains: `pausing`, then `paused`, or at
   * once. Throws `job_state_conflict` for one that pauses already or has ended.
   */
  pauseJob(jobId: string): Promise<Job>;
  /** Queues a paused job again; its next attempt goes on from the newest checkpoint. Throws `job_state_conflict`. */
  resumeJob(jobId: string): Promise<Job>;
  /** Changes name, labels or priority. `expected` throws for a job that is not what the caller has read. */
  editJob(jobId: string, patch: JobPatch, expected?: (job: Job) => void): Promise<Job>;
  /**
   * Queues a job that failed or was cancelled, with fresh restart budgets; it goes on from its newest checkpoint. Throws
   * `job_state_conflict`.
   */
  retryJob(jobId: string): Promise<Job>;
  /** Submits a new job from a checkpoint of another. `check` may refuse its spec. The same key and request again returns the first job. */
  forkJob(
    jobId: string,
    fork: Fork,
    options?: { idempotencyKey?: string; check?: (spec: RunSpec) => void },
  ): Promise<{ job: Job; created: boolean }>;
  /** Removes a job that has ended with all that belongs to it. Throws `job_state_conflict`. */
  deleteJob(jobId: string): Promise<void>;
  /** Jobs that wait for slots, in the order in which the scheduler looks at them. */
  listQueue(query: { pool?: string; cursor?: string; limit: number }): Promise<Page<QueueEntry>>;
  listAttempts(jobId: string): Promise<readonly Attempt[]>;
  listMetrics(jobId: string, query: MetricRange & { limit: number }): Promise<readonly MetricPoint[]>;
  /** In at most so many buckets of steps; throws `request_invalid` where that would be too many in all. */
  listMetricSeries(jobId: string, query: MetricRange & { buckets: number }): Promise<readonly MetricSeries[]>;
  listMetricNames(jobId: string): Promise<readonly MetricName[]>;
  listLogs(jobId: string, query: LogsQuery): Promise<Page<LogLine>>;
  listCheckpoints(jobId: string): Promise<readonly Checkpoint[]>;
  getCheckpoint(checkpointId: string): Promise<Checkpoint>;
  /** Where a file of a checkpoint lies in the blob store; `manifest.json` is one too. */
  checkpointFile(checkpointId: string, name: string): Promise<{ key: string; bytes: number; sha256: string }>;
  /** The newest evaluations of a job, by step; those of one step, oldest first. */
  listEvaluations(jobId: string): Promise<readonly Evaluation[]>;
  listNodes(): Promise<readonly Node[]>;
  getNode(idOrName: string): Promise<Node>;
  /** Gives a node no new ranks; with `evict` its jobs stop with a checkpoint and go on elsewhere. */
  drainNode(idOrName: string, options: { evict: boolean }): Promise<Node>;
  undrainNode(idOrName: string): Promise<Node>;
  /** Events after id `after` (all when unset): first what is stored, then live, until the signal aborts or the job ended. */
  events(
    jobId: string,
    options: { after?: string; metrics?: 'all' | 'live'; signal: AbortSignal },
  ): AsyncIterable<JobEvent>;
  health(): Promise<Health>;
  /** What there is at this moment, for monitoring; of all projects. */
  overview(): Promise<Overview>;
}

/** Metrics of a job, all when no name is given, over the steps from `fromStep` or after `afterStep` up to `toStep`. */
export interface MetricRange {
  readonly name?: readonly string[] | undefined;
  readonly afterStep?: number | undefined;
  readonly fromStep?: number | undefined;
  readonly toStep?: number | undefined;
}

/** Which jobs; whatever is set must hold. Times are ISO 8601. */
export interface JobFilter {
  readonly project?: string;
  readonly state?: readonly JobState[];
  /** Each `key` or `key=value`. */
  readonly label?: readonly string[];
  /** In id, name, labels or reason, whatever the case. */
  readonly text?: string;
  readonly createdAfter?: string;
  readonly createdBefore?: string;
}

/** Lines of a job of at least a level. */
export interface LogsQuery {
  readonly level?: LogLevel | undefined;
  readonly rank?: number | undefined;
  /** Words, else a part of the line. */
  readonly text?: string | undefined;
  /** Times as in the API, both included. */
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly order?: 'oldest' | 'newest';
  readonly cursor?: string | undefined;
  readonly limit: number;
}

export interface Overview {
  /** Jobs in each state, 0 included. */
  readonly jobs: Readonly<Record<JobState, number>>;
  /** Slots by pool and state of their node, and those of them that hold a rank. */
  readonly slots: readonly {
    readonly pool: string;
    readonly state: string;
    readonly slots: number;
    readonly busy: number;
  }[];
  /** Messages that are decided and not yet handed to the queue. */
  readonly unsentMessages: number;
  /** How long the oldest of them waits, ms; 0: there is none. */
  readonly unsentMs: number;
  /** Messages in the scheduler's queue; undefined: the queue did not answer. */
  readonly queuedMessages: number | undefined;
  /** The newest of the jobs that run. */
  readonly running: readonly Job[];
}

/** What ranks tell before they train: the length of the run, and where it pauses by itself. */
export interface RunPlanReport {
  readonly totalSteps: number;
  readonly startStep: number;
  readonly pauseStep: number | null;
  readonly parameters: number;
  readonly trainSamples: number;
  readonly engine: string;
}

/** Names the holder of a write: refused with `attempt_stale` unless `epoch` is the job's newest and still holds it. */
export interface Fence {
  readonly jobId: string;
  readonly epoch: number;
}

export interface RankKey extends Fence {
  readonly rank: number;
}

export interface NodeRegistration {
  /** Stable over restarts of the worker; a second worker of the same name takes the node over. */
  readonly name: string;
  readonly pool: string;
  readonly host: string;
  readonly version: string;
  readonly engines: readonly string[];
  readonly slots: number;
}

/** A worker's hold on its node: void once another worker registers under the name. */
export interface NodeLease {
  /** Stays the same when a node of the name registers again. */
  readonly nodeId: string;
  readonly registration: string;
  readonly leaseMs: number;
}

/** Work for a node, carried by the queue; handling one twice does no harm. */
export type NodeMessage =
  | { readonly type: 'launch'; readonly jobId: string; readonly epoch: number }
  | {
      readonly type: 'stop';
      readonly jobId: string;
      readonly epoch: number;
      readonly reason: string;
      /** With a checkpoint of the step at hand. */
      readonly save: boolean;
    };

/** An attempt on a node: it is to run, or to end with a checkpoint since its job pauses or moves. */
export interface ExpectedAttempt extends Fence {
  readonly to: 'run' | 'save';
}

/** What is known of a rank when it is to be launched; the worker adds directories, host and threads. */
export type RankAssignment = Omit<
  RankStart,
  'storageUrl' | 'dataDir' | 'dataS3' | 'cacheDir' | 'listenHost' | 'advertiseHost' | 'threads'
>;

export interface LogEntry {
  readonly at: number;
  readonly level: LogLevel;
  readonly message: string;
  readonly fields?: Readonly<Record<string, unknown>>;
}

/** How a rank process ended. */
export type RankEnd =
  | { readonly state: 'succeeded' | 'stopped' }
  /** `lost`: the process vanished (signal, crash); `failed`: it said why. */
  | { readonly state: 'failed' | 'lost'; readonly error: SerializedError };

/** What a worker needs of the control plane. Every write of a rank carries its fence. */
export interface NodeControl {
  /** Registers or takes over the node with its slots; the lease runs by the database's clock. Ranks left from an earlier life of the node are ended as lost. */
  register(registration: NodeRegistration): Promise<NodeLease>;
  /**
   * Throws `node_lost` when the lease ran out and the node was given up: register again; and `node_replaced` when another
   * worker has the node now: end.
   */
  renewLease(lease: NodeLease): Promise<void>;
  /** No more ranks are placed on the node; those it has go on. Does nothing to a node that another worker has. */
  drain(lease: NodeLease): Promise<void>;
  /** Marks the node as stopped; its ranks have ended. */
  deregister(lease: NodeLease): Promise<void>;
  /** Delivers the messages for this node until closed; a handler that throws is tried again. */
  consume(nodeId: string, handle: (message: NodeMessage) => Promise<void>): Promise<{ close(): Promise<void> }>;
  /** The ranks of an attempt that belong on this node (throws `node_replaced` when it is another worker's); empty when the attempt is over or unknown. */
  assignments(lease: NodeLease, fence: Fence): Promise<readonly RankAssignment[]>;
  /** What should become of the attempts on this node, to reconcile with what runs there; those not named are over. */
  expectedAttempts(lease: NodeLease): Promise<readonly ExpectedAttempt[]>;
  recordRankState(
    key: RankKey,
    state: RankState,
    details?: { pid?: number; host?: string; port?: number },
  ): Promise<void>;
  /** The addresses of all ranks, or undefined until every rank has one. */
  peers(fence: Fence): Promise<readonly PeerAddress[] | undefined>;
  recordPlan(key: RankKey, plan: RunPlanReport): Promise<void>;
  /** A batch of metric reports, oldest first. */
  recordMetrics(
    key: RankKey,
    reports: readonly { step: number; at: number; values: Readonly<Record<string, number>> }[],
  ): Promise<void>;
  recordLogs(key: RankKey, entries: readonly LogEntry[]): Promise<void>;
  /** Records the checkpoint, applies retention, and returns the checkpoints that are no longer tracked, in one transaction. */
  recordCheckpoint(key: RankKey, checkpoint: CheckpointRecord): Promise<readonly { step: number; prefix: string }[]>;
  recordEvaluation(
    key: RankKey,
    evaluation: {
      step: number;
      final: boolean;
      values: Readonly<Record<string, number>>;
      results: readonly TaskResult[];
      samples: readonly PredictionSample[];
    },
  ): Promise<void>;
  /** Ends the rank and frees its slot; the first failure of an attempt stops its other ranks, the last end decides the attempt. */
  recordRankEnd(key: RankKey, end: RankEnd): Promise<void>;
}
