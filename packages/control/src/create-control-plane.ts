import {
  type CheckpointFile,
  type ClipyardError,
  fieldError,
  type Health,
  JOB_STATES,
  type Job,
  type JobEvent,
  type LogLevel,
} from '@clipyard/contracts';
import type { CheckpointRow, Database, JobRow, Repositories } from '@clipyard/db';
import type { MessageBus } from '@clipyard/queue';
import { newId } from '@clipyard/runtime';
import { cancelJob } from './cancel-job.js';
import { assertSatisfiable } from './capacity.js';
import { pinCheckpoints } from './checkpoint-references.js';
import type { ControlPlane, Overview } from './control-plane.js';
import { createJob } from './create-job.js';
import { createJobActions } from './create-job-actions.js';
import { decodeJobCursor, decodeRowId, encodeJobCursor } from './cursor.js';
import { evict, findNode, setDrained } from './drain-node.js';
import { streamEvents } from './event-stream.js';
import { found } from './found.js';
import { claimKey } from './idempotency.js';
import { listQueue } from './list-queue.js';
import { listMetricNames, listMetricSeries, listMetrics } from './metrics.js';
import { pauseJob, resumeJob } from './pause.js';
import { createSweepPlane } from './sweeps/create-sweep-plane.js';
import { attemptView, checkpointView, evaluationView, jobView, logView, nodeView } from './views.js';

export interface ControlPlaneDeps {
  readonly database: Database;
  readonly bus: MessageBus;
}

export interface ControlPlaneOptions {
  /** Root of the blob store, for the URLs of checkpoints; default: they are relative. */
  readonly storageUrl?: string;
}

/** Evaluations of a job that are listed, the newest ones. */
const EVALUATIONS_LIMIT = 1000;

/** Running jobs whose metrics an overview has. */
const OVERVIEW_JOBS = 500;

const LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];

export function createControlPlane(deps: ControlPlaneDeps, options: ControlPlaneOptions = {}): ControlPlane {
  const { database, bus } = deps;
  const storageUrl = options.storageUrl ?? '';

  async function readJob<T>(jobId: string, read: (db: Repositories, job: JobRow) => Promise<T>): Promise<T> {
    return await database.read(async (db) => await read(db, found(jobId, await db.jobs.find(jobId))));
  }

  return {
    async submitJob(spec, { idempotencyKey } = {}) {
      return await database.transaction(async (tx) => {
        const id = newId('job');
        const known = idempotencyKey === undefined ? id : await claimKey(tx, idempotencyKey, spec, id);
        if (known !== id) return { job: jobView((await tx.jobs.find(known))!), created: false };
        await assertSatisfiable(tx, spec);
        const pinned = await pinCheckpoints(tx, spec);
        return { job: jobView(await createJob(tx, id, pinned)), created: true };
      });
    },

    sweeps: createSweepPlane({ database }),

    getJob: (jobId) => readJob(jobId, async (_db, job) => jobView(job)),

    overview: () =>
      database.read(async (db) => {
        const counts = new Map((await db.jobs.countByState()).map(({ state, jobs }) => [state, jobs]));
        const running = await db.jobs.list({ state: 'running', limit: OVERVIEW_JOBS });
        return {
          jobs: Object.fromEntries(JOB_STATES.map((state) => [state, counts.get(state) ?? 0])) as Overview['jobs'],
          slots: await db.nodes.slotUse(),
          unsentMessages: await db.outbox.countUnsent(),
          running: running.map(jobView),
        };
      }),

    async listJobs({ cursor, limit, ...filter }) {
      const after = cursor === undefined ? {} : { after: decodeJobCursor(cursor) };
      const rows = await database.read((db) => db.jobs.list({ ...filter, ...after, limit: limit + 1 }));
      const items = rows.slice(0, limit);
      return {
        items: items.map(jobView),
        nextCursor: rows.length > limit ? encodeJobCursor(items.at(-1)!) : null,
      };
    },

    async cancelJob(jobId): Promise<Job> {
      return await database.transaction(async (tx) => {
        const job = found(jobId, await tx.jobs.lock(jobId));
        return jobView(await cancelJob(tx, job, 'cancelled by request'));
      });
    },

    pauseJob: (jobId) =>
      database.transaction(async (tx) => jobView(await pauseJob(tx, found(jobId, await tx.jobs.lock(jobId))))),

    resumeJob: (jobId) =>
      database.transaction(async (tx) => jobView(await resumeJob(tx, found(jobId, await tx.jobs.lock(jobId))))),

    ...createJobActions({ database }),

    listQueue: (query) => listQueue(database, query),

    listAttempts: (jobId) => readJob(jobId, async (db) => (await db.attempts.list(jobId)).map(attemptView)),

    listMetrics: (jobId, query) => readJob(jobId, (db) => listMetrics(db, jobId, query)),
    listMetricSeries: (jobId, query) => readJob(jobId, (db) => listMetricSeries(db, jobId, query)),
    listMetricNames: (jobId) => readJob(jobId, (db) => listMetricNames(db, jobId)),

    async listLogs(jobId, { level, cursor, limit, ...filter }) {
      const after = cursor === undefined ? {} : { after: decodeRowId('cursor', cursor) };
      const levels = level === undefined ? {} : { levels: LEVELS.slice(LEVELS.indexOf(level)) };
      return await readJob(jobId, async (db) => {
        const rows = await db.logs.list(jobId, { ...filter, ...after, ...levels, limit: limit + 1 });
        const items = rows.slice(0, limit);
        return { items: items.map(logView), nextCursor: rows.length > limit ? String(items.at(-1)!.id) : null };
      });
    },

    listCheckpoints: (jobId) =>
      readJob(jobId, async (db) => (await db.checkpoints.list(jobId)).map((row) => checkpointView(row, storageUrl))),

    async getCheckpoint(checkpointId) {
      const row = await database.read((db) => db.checkpoints.find(checkpointId));
      if (row === null) throw noCheckpoint(checkpointId);
      return checkpointView(row, storageUrl);
    },

    async checkpointFile(checkpointId, name) {
      const row = await database.read((db) => db.checkpoints.find(checkpointId));
      if (row === null) throw noCheckpoint(checkpointId);
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

    listNodes: () => database.read(async (db) => (await db.nodes.list()).map(nodeView)),

    getNode: (idOrName) => database.read(async (db) => nodeView(await findNode(db, idOrName))),

    async drainNode(idOrName, options) {
      const node = await setDrained(database, idOrName, true);
      if (options.evict) await evict(database, node);
      return nodeView(await database.read((db) => findNode(db, node.id)));
    },

    undrainNode: async (idOrName) => nodeView(await setDrained(database, idOrName, false)),

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
