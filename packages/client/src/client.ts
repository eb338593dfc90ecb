import {
  type Attempt,
  attemptSchema,
  type Checkpoint,
  checkpointSchema,
  type Evaluation,
  evaluationSchema,
  type ForkInput,
  type Health,
  healthSchema,
  type Job,
  type JobEvent,
  type JobPatch,
  type JobSort,
  type JobState,
  jobSchema,
  type LogLevel,
  type LogLine,
  logLineSchema,
  type MetricName,
  type MetricPoint,
  type MetricSeries,
  metricNameSchema,
  metricPointSchema,
  metricSeriesSchema,
  type Node,
  nodeSchema,
  type Page,
  type PictureMatch,
  pictureMatchSchema,
  type QueueEntry,
  queueEntrySchema,
  type Similarity,
  similaritySchema,
} from '@clipyard/contracts';
import { AccessCalls } from './access-calls.js';
import { download } from './download.js';
import { eventStream } from './event-stream.js';
import { newIdempotencyKey } from './idempotency-key.js';
import { type Call, Reader } from './reader.js';
import { SweepCalls } from './sweep-calls.js';
import { Transport } from './transport.js';
import { WebhookCalls } from './webhook-calls.js';

export interface ClientOptions {
  /** Root of the server, such as `http://127.0.0.1:7070`. */
  readonly url: string;
  /** Sent with every request; a server on loopback may need none. */
  readonly token?: string;
  /** Time for one request, ms; default 30 s. */
  readonly timeoutMs?: number;
  /** Tries in all of a request that may be repeated; default 4. */
  readonly attempts?: number;
  /** Wait before the second try, ms, doubling; default 200. */
  readonly retryDelayMs?: number;
  /** An event stream gives up after this long without contact, ms; default 60 s. */
  readonly streamGiveUpMs?: number;
}

/** Lines of at least `level` with these words, from and up to a time. */
export type LogQuery = {
  readonly level?: LogLevel;
  readonly rank?: number;
  readonly text?: string;
  readonly from?: string;
  readonly to?: string;
  readonly order?: 'oldest' | 'newest';
  readonly cursor?: string;
  readonly limit?: number;
};

export interface OpenOptions extends Call {
  readonly method?: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
}

/** Metrics of these names, or all, and steps of them. */
export type MetricQuery = {
  readonly name?: string | readonly string[];
  readonly afterStep?: number;
  readonly fromStep?: number;
  readonly toStep?: number;
};

/** Which jobs of all, in which order. Times are ISO 8601. */
export interface JobQuery {
  readonly state?: JobState | readonly JobState[];
  /** `key` or `key=value`; of several all must be there. */
  readonly label?: string | readonly string[];
  /** In id, name, labels or reason, whatever the case. */
  readonly text?: string;
  readonly createdAfter?: string;
  readonly createdBefore?: string;
  readonly sort?: JobSort;
  readonly cursor?: string;
  readonly limit?: number;
}

/**
 * The REST API, `/v1`, as typed calls. Every call throws the server's coded error with its fields, `server_unreachable`
 * when no server answers (after retries, where repeating does no harm), or the reason of an aborted signal. It runs in
 * Node.js and in browsers.
 */
export class Client {
  readonly #transport: Transport;
  readonly #reader: Reader;
  readonly sweeps: SweepCalls;
  readonly webhooks: WebhookCalls;
  readonly access: AccessCalls;
  readonly #streamGiveUpMs: number;
  readonly #retries: { readonly attempts: number; readonly retryDelayMs: number };

  constructor(deps: { fetch?: typeof fetch }, options: ClientOptions) {
    const { url, token, timeoutMs = 30_000, attempts = 4, retryDelayMs = 200, streamGiveUpMs = 60_000 } = options;
    this.#transport = new Transport(
      { fetch: deps.fetch ?? ((...request) => fetch(...request)) },
      { url, token, timeoutMs, attempts, retryDelayMs },
    );
    this.#reader = new Reader(this.#transport);
    this.sweeps = new SweepCalls(this.#reader);
    this.webhooks = new WebhookCalls(this.#reader);
    this.access = new AccessCalls(this.#reader);
    this.#streamGiveUpMs = streamGiveUpMs;
    this.#retries = { attempts, retryDelayMs };
  }

  get url(): string {
    return this.#transport.serverUrl;
  }

  /** Any route of the server, such as one that has no call here. Throws its coded error; the caller reads the body. */
  open(path: string, options: OpenOptions = {}): Promise<Response> {
    return this.#transport.open(path, options);
  }

  /** Submits a run spec (as written, defaults left out); a repeat with the same key gives the first job. */
  submit(spec: unknown, options: Call & { idempotencyKey?: string } = {}): Promise<Job> {
    const { idempotencyKey = newIdempotencyKey(), ...call } = options;
    return this.#reader.create(jobSchema, '/v1/jobs', spec, { idempotencyKey, ...call });
  }

  /** Jobs, newest first unless `sort` says otherwise. */
  list(query: JobQuery = {}, options: Call = {}): Promise<Page<Job>> {
    return this.#reader.page(jobSchema, '/v1/jobs', { ...query }, options);
  }

  get(jobId: string, options: Call = {}): Promise<Job> {
    return this.#reader.get(jobSchema, this.#job(jobId), {}, options);
  }

  /** Not repeated on a failure: the second call would find the job already cancelled. */
  cancel(jobId: string, options: Call = {}): Promise<Job> {
    return this.#reader.act(jobSchema, `${this.#job(jobId)}/cancel`, options);
  }

  /** Stops it with a checkpoint: `pausing`, then `paused`. Not repeated, as `cancel`. */
  pause(jobId: string, options: Call = {}): Promise<Job> {
    return this.#reader.act(jobSchema, `${this.#job(jobId)}/pause`, options);
  }

  /** Queues a paused job again. Not repeated, as `cancel`. */
  resume(jobId: string, options: Call = {}): Promise<Job> {
    return this.#reader.act(jobSchema, `${this.#job(jobId)}/resume`, options);
  }

  /** Queues a job that failed or was cancelled. Not repeated, as `cancel`. */
  retry(jobId: string, options: Call = {}): Promise<Job> {
    return this.#reader.act(jobSchema, `${this.#job(jobId)}/retry`, options);
  }

  /** Changes name, labels (null removes one) or priority. */
  edit(jobId: string, patch: JobPatch, options: Call = {}): Promise<Job> {
    return this.#reader.patch(jobSchema, this.#job(jobId), patch, options);
  }

  /** Submits a new job from a checkpoint of this one; a repeat with the same key gives the first. */
  fork(jobId: string, fork: ForkInput = {}, options: Call & { idempotencyKey?: string } = {}): Promise<Job> {
    const { idempotencyKey = newIdempotencyKey(), ...call } = options;
    return this.#reader.create(jobSchema, `${this.#job(jobId)}/fork`, fork, { idempotencyKey, ...call });
  }

  /** Removes a job that has ended, with its checkpoints. Not repeated. */
  delete(jobId: string, options: Call = {}): Promise<void> {
    return this.#reader.remove(this.#job(jobId), options);
  }

  /** Jobs that wait for slots, in order. */
  queue(query: { pool?: string; cursor?: string; limit?: number } = {}, options: Call = {}): Promise<Page<QueueEntry>> {
    return this.#reader.page(queueEntrySchema, '/v1/queue', query, options);
  }

  attempts(jobId: string, options: Call = {}): Promise<readonly Attempt[]> {
    return this.#reader.items(attemptSchema, `${this.#job(jobId)}/attempts`, {}, options);
  }

  /** Points by step, at most `limit`; a step is given whole. */
  metrics(
    jobId: string,
    query: MetricQuery & { limit?: number } = {},
    options: Call = {},
  ): Promise<readonly MetricPoint[]> {
    return this.#reader.items(metricPointSchema, `${this.#job(jobId)}/metrics`, query, options);
  }

  /** The same in at most so many buckets of steps, a series for each metric. */
  metricSeries(
    jobId: string,
    query: MetricQuery & { buckets: number },
    options: Call = {},
  ): Promise<readonly MetricSeries[]> {
    return this.#reader.items(metricSeriesSchema, `${this.#job(jobId)}/metrics`, query, options);
  }

  metricNames(jobId: string, options: Call = {}): Promise<readonly MetricName[]> {
    return this.#reader.items(metricNameSchema, `${this.#job(jobId)}/metrics/names`, {}, options);
  }

  /** Log lines in pages, the oldest first unless `order` says otherwise. */
  logs(jobId: string, query: LogQuery = {}, options: Call = {}): Promise<Page<LogLine>> {
    return this.#reader.page(logLineSchema, `${this.#job(jobId)}/logs`, query, options);
  }

  checkpoints(jobId: string, options: Call = {}): Promise<readonly Checkpoint[]> {
    return this.#reader.items(checkpointSchema, `${this.#job(jobId)}/checkpoints`, {}, options);
  }

  /** The results of a job's evaluations, oldest first. */
  evaluations(jobId: string, options: Call = {}): Promise<readonly Evaluation[]> {
    return this.#reader.items(evaluationSchema, `${this.#job(jobId)}/evaluations`, {}, options);
  }

  checkpoint(checkpointId: string, options: Call = {}): Promise<Checkpoint> {
    return this.#reader.get(checkpointSchema, `/v1/checkpoints/${encodeURIComponent(checkpointId)}`, {}, options);
  }

  /** A file of a checkpoint, in pieces, from where it broke off if it did; `manifest.json` is one too. */
  checkpointFile(checkpointId: string, name: string, options: Call = {}): AsyncGenerator<Uint8Array, void, undefined> {
    const path = `/v1/checkpoints/${encodeURIComponent(checkpointId)}/files/${encodeURIComponent(name)}`;
    return download(this.#transport, path, { ...options, ...this.#retries });
  }

  /** Cosine similarities of evaluation pictures and captions, by the model of a checkpoint. May take a minute when first asked. */
  similarity(checkpointId: string, query: { count?: number } = {}, options: Call = {}): Promise<Similarity> {
    const path = `/v1/checkpoints/${encodeURIComponent(checkpointId)}/similarity`;
    return this.#reader.get(similaritySchema, path, query, options);
  }

  /** The evaluation pictures that are most similar to a text, best first. */
  searchPictures(
    checkpointId: string,
    query: { text: string; limit?: number },
    options: Call = {},
  ): Promise<readonly PictureMatch[]> {
    const path = `/v1/checkpoints/${encodeURIComponent(checkpointId)}/search`;
    return this.#reader.items(pictureMatchSchema, path, query, options);
  }

  nodes(options: Call = {}): Promise<readonly Node[]> {
    return this.#reader.items(nodeSchema, '/v1/nodes', {}, options);
  }

  /** A node by its id or name. */
  node(idOrName: string, options: Call = {}): Promise<Node> {
    return this.#reader.get(nodeSchema, this.#node(idOrName), {}, options);
  }

  /** Gives a node no new ranks; with `evict` its jobs go on elsewhere. */
  drain(idOrName: string, { evict = false, ...options }: Call & { evict?: boolean } = {}): Promise<Node> {
    return this.#reader.act(nodeSchema, `${this.#node(idOrName)}/drain`, {
      query: { evict: String(evict) },
      ...options,
    });
  }

  undrain(idOrName: string, options: Call = {}): Promise<Node> {
    return this.#reader.act(nodeSchema, `${this.#node(idOrName)}/undrain`, options);
  }

  /** Whether the server and the stores it needs are ready for work; not ready is an answer, not an error. */
  health(options: Call = {}): Promise<Health> {
    return this.#reader.get(healthSchema, '/readyz', {}, { accept: [503], ...options });
  }

  /**
   * The events of a job after id `after` (all when unset), stored ones first, then live, until the job has ended.
   * `metrics: 'live'`: of the metrics only those that come from now on.
   */
  events(
    jobId: string,
    options: Call & { after?: string; metrics?: 'all' | 'live' } = {},
  ): AsyncGenerator<JobEvent, void, undefined> {
    return eventStream(this.#transport, jobId, options, {
      silenceMs: 45_000,
      initialDelayMs: 250,
      maxDelayMs: 5000,
      giveUpMs: this.#streamGiveUpMs,
    });
  }

  #node(idOrName: string): string {
    return `/v1/nodes/${encodeURIComponent(idOrName)}`;
  }

  #job(jobId: string): string {
    return `/v1/jobs/${encodeURIComponent(jobId)}`;
  }
}
