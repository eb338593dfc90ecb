import {
  type CheckpointFile,
  type ClipyardError,
  fieldError,
  type Health,
  JOB_STATES,
  type JobEvent,
  type LogLevel,
  type Node,
  type OperationId,
} from '@clipyard/contracts';
import type { CheckpointRow, Database, JobRow, NodeWithSlots, Repositories } from '@clipyard/db';
import { type MessageBus, schedulerQueue } from '@clipyard/queue';
import { newId } from '@clipyard/runtime';
import { Behalf } from './access/behalf.js';
import { narrowed, projectFor, sees } from './access/caller.js';
import { createAccessPlane } from './access/create-access-plane.js';
import { assertSatisfiable } from './capacity.js';
import { pinCheckpoints } from './checkpoint-references.js';
import type { ControlPlane, Overview } from './control-plane.js';
import { createJob } from './create-job.js';
import { createJobActions } from './create-job-actions.js';
import { decodeJobCursor, decodeRowId, encodeJobCursor } from './cursor.js';
import { evict, findNode } from './drain-node.js';
import { streamEvents } from './event-stream.js';
import { found } from './found.js';
import { claimKey } from './idempotency.js';
import { listQueue } from './list-queue.js';
import { listMetricNames, listMetricSeries, listMetrics } from './metrics.js';
import { createSweepPlane } from './sweeps/create-sweep-plane.js';
import { attemptView, checkpointView, evaluationView, jobView, logView, nodeView } from './views.js';
import { createWebhookPlane } from './webhooks/create-webhook-plane.js';

export interface ControlPlaneDeps {
  readonly database: Database;
  readonly bus: MessageBus;
}

export interface ControlPlaneOptions {
  /** Root of the blob store, for the URLs of checkpoints; default: they are relative. */
  readonly storageUrl?: string;
  /** Webhooks may be on private addresses. Default: no. */
  readonly allowPrivateWebhooks?: boolean;
}

/** Evaluations of a job that are listed, the newest ones. */
const EVALUATIONS_LIMIT = 1000;

/** Running jobs whose metrics an overview has. */
const OVERVIEW_JOBS = 500;

const LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];

/** On behalf of whoever is on this machine, unless told otherwise. */
export function createControlPlane(
  deps: ControlPlaneDeps,
  options: ControlPlaneOptions = {},
  behalf: Behalf = new Behalf(),
): ControlPlane {
  const { database, bus } = deps;
  const { caller } = behalf;
  const storageUrl = options.storageUrl ?? '';

  async function readJob<T>(jobId: string, read: (db: Repositories, job: JobRow) => Promise<T>): Promise<T> {
    return await database.read(async (db) => await read(db, found(caller, jobId, await db.jobs.find(jobId))));
  }

  /** The ranks of jobs that the caller does not see show as busy slots. */
  async function nodeViews(db: Repositories, rows: readonly NodeWithSlots[]): Promise<Node[]> {
    if (caller.project === null) return rows.map((row) => nodeView(row));
    const holders = rows.flatMap(({ slots }) => slots.flatMap(({ jobId }) => jobId ?? []));
    const seen = new Set(await db.jobs.idsWithin(caller.project, holders));
    return rows.map((row) => nodeView(row, (jobId) => seen.has(jobId)));
  }

  const viewOfNode = async (db: Repositories, idOrName: string): Promise<Node> =>
    (await nodeViews(db, [await findNode(db, idOrName)]))[0]!;

  async function drain(
    tx: Repositories,
    action: OperationId,
    idOrName: string,
    drained: boolean,
  ): Promise<NodeWithSlots> {
    const node = await findNode(tx, idOrName);
    await tx.nodes.setDrained(node.id, drained);
    await behalf.record(tx, action, { target: node.id, project: null, details: { name: node.name } });
    return node;
  }

  async function checkpointRow(checkpointId: string): Promise<CheckpointRow> {
    return await database.read(async (db) => {
      const row = await db.checkpoints.find(checkpointId);
      const job = row === null ? null : await db.jobs.find(row.jobId);
      if (row === null || job === null || !sees(caller, job.project)) throw noCheckpoint(checkpointId);
      return row;
    });
  }

  return {
    as: (other) => createControlPlane(deps, options, other),

    async submitJob(spec, { idempotencyKey, project: asked } = {}) {
      const project = projectFor(caller, asked);
      return await database.transaction(async (tx) => {
        const id = newId('job');
        const known =
          idempotencyKey === undefined ? id : await claimKey(tx, { project, key: idempotencyKey }, spec, id);
        if (known !== id) {
          behalf.changesNothing();
          return { job: jobView((await tx.jobs.find(known))!), created: false };
        }
        await assertSatisfiable(tx, spec);
        const pinned = await pinCheckpoints(tx, spec, caller);
        const job = await createJob(tx, id, pinned, { project });
        await behalf.record(tx, 'submitJob', { target: id, project, details: { name: spec.name } });
        return { job: jobView(job), created: true };
      });
    },

    sweeps: createSweepPlane({ database }, behalf),

    access: createAccessPlane({ database }, behalf),

    webhooks: createWebhookPlane({ database }, { allowPrivate: options.allowPrivateWebhooks ?? false }, behalf),

    getJob: (jobId) => readJob(jobId, async (_db, job) => jobView(job)),

    overview: () =>
      database.read(async (db) => {
        const counts = new Map((await db.jobs.countByState()).map(({ state, jobs }) => [state, jobs]));
        const running = await db.jobs.list({ states: ['running'], limit: OVERVIEW_JOBS });
        const unsent = await db.outbox.unsent();
        return {
          jobs: Object.fromEntries(JOB_STATES.map((state) => [state, counts.get(state) ?? 0])) as Overview['jobs'],
          slots: await db.nodes.slotUse(),
          unsentMessages: unsent.count,
          unsentMs: unsent.oldestMs,
          queuedMessages: await bus.depth(schedulerQueue).catch(() => undefined),
          running: running.map(jobView),
        };
      }),

    async listJobs({ project, cursor, limit, state, label, createdAfter, createdBefore, text, sort = '-createdAt' }) {
      const within = narrowed(caller, project);
      if (within === undefined) return { items: [], nextCursor: null };
      const rows = await database.read((db) =>
        db.jobs.list({
          ...within,
          ...(state === undefined ? {} : { states: state }),
          ...(label === undefined ? {} : { labels: label }),
          ...(text === undefined ? {} : { text }),
          ...(createdAfter === undefined ? {} : { createdAfter: new Date(createdAfter) }),
          ...(createdBefore === undefined ? {} : { createdBefore: new Date(createdBefore) }),
          ...(cursor === undefined ? {} : { after: decodeJobCursor(cursor, sort) }),
          sort,
          limit: limit + 1,
        }),
      );
      const items = rows.slice(0, limit);
      return {
        items: items.map(jobView),
        nextCursor: rows.length > limit ? encodeJobCursor(items.at(-1)!, sort) : null,
      };
    },

    ...createJobActions({ database, behalf }),

    listQueue: (query) =>
      listQueue(database, { ...query, ...(caller.project === null ? {} : { project: caller.project }) }),

    listAttempts: (jobId) => readJob(jobId, async (db) => (await db.attempts.list(jobId)).map(attemptView)),

    listMetrics: (jobId, query) => readJob(jobId, (db) => listMetrics(db, jobId, query)),
    listMetricSeries: (jobId, query) => readJob(jobId, (db) => listMetricSeries(db, jobId, query)),
    listMetricNames: (jobId) => readJob(jobId, (db) => listMetricNames(db, jobId)),

    async listLogs(jobId, { level, rank, text, from, to, order, cursor, limit }) {
      const rows = await readJob(jobId, (db) =>
        db.logs.list(jobId, {
          ...(level !== undefined && { levels: LEVELS.slice(LEVELS.indexOf(level)) }),
          ...(rank !== undefined && { rank }),
          ...(text !== undefined && { text }),
          ...(from !== undefined && { from: new Date(from) }),
          ...(to !== undefined && { to: new Date(to) }),
          ...(order !== undefined && { order }),
          ...(cursor !== undefined && { after: decodeRowId('cursor', cursor) }),
          limit: limit + 1,
        }),
      );
      const items = rows.slice(0, limit);
      return { items: items.map(logView), nextCursor: rows.length > limit ? String(items.at(-1)!.id) : null };
    },

    listCheckpoints: (jobId) =>
      readJob(jobId, async (db) => (await db.checkpoints.list(jobId)).map((row) => checkpointView(row, storageUrl))),

    getCheckpoint: async (checkpointId) => checkpointView(await checkpointRow(checkpointId), storageUrl),

    async checkpointFile(checkpointId, name) {
      const row = await checkpointRow(checkpointId);
      const file = filesOf(row).find((candidate) => candidate.name === name);
      if (file !== undefined) return { key: `${row.prefix}/${name}`, bytes: file.bytes, sha256: file.sha256 };
      throw fieldError('not_found', {
        path: 'name',
        message: 'is not a file of this checkpoint',
        value: name,
        remedy: `Name one of: ${filesOf(row)
          .map((other) => other.name)
          .join(', ')}.`,
      });
    },

    listEvaluations: (jobId) =>
      readJob(jobId, async (db) =>
        (await db.events.newest(jobId, 'evaluation', EVALUATIONS_LIMIT))
          .map(evaluationView)
          .sort((a, b) => a.step - b.step),
      ),

    listNodes: () => database.read(async (db) => await nodeViews(db, await db.nodes.list())),

    getNode: (idOrName) => database.read(async (db) => await viewOfNode(db, idOrName)),

    async drainNode(idOrName, options) {
      const node = await database.transaction((tx) => drain(tx, 'drainNode', idOrName, true));
      if (options.evict) await evict(database, node);
      return await database.read((db) => viewOfNode(db, node.id));
    },

    undrainNode: (idOrName) =>
      database.transaction(async (tx) => await viewOfNode(tx, (await drain(tx, 'undrainNode', idOrName, false)).id)),

    async *events(jobId, { after, metrics, signal }): AsyncGenerator<JobEvent> {
      const id = after === undefined ? 0n : decodeRowId('Last-Event-ID', after);
      await readJob(jobId, async () => undefined);
      yield* streamEvents(database, jobId, { after: id, skipStoredMetrics: id === 0n && metrics === 'live', signal });
    },

    async health(): Promise<Health> {
      const checks = {
        database: await outcome(database.ping()),
        queue: await outcome(bus.ping()),
      };
      const ok = Object.values(checks).every((check) => check === 'ok');
      return { status: ok ? 'ok' : 'unavailable', checks };
    },
  };
}

const noCheckpoint = (value: string): ClipyardError =>
  fieldError('not_found', {
    path: 'id',
    message: 'is not the id of a checkpoint',
    value,
    remedy: 'List those of a job with GET /v1/jobs/:id/checkpoints; retention removes old ones.',
  });

/** Every file of a checkpoint, the manifest included, which lists the others. */
function filesOf(row: CheckpointRow): CheckpointFile[] {
  const files = row.files as unknown as CheckpointFile[];
  const bytes = Number(row.bytes) - files.reduce((total, file) => total + file.bytes, 0);
  return [...files, { name: 'manifest.json', bytes, sha256: row.manifestSha256 }];
}

async function outcome(check: Promise<void>): Promise<string> {
  try {
    await check;
    return 'ok';
  } catch (error) {
    return (error as Error).message;
  }
}
