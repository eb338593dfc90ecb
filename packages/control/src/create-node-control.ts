import { ClipyardError, type Duration, fieldError, LIMITS, type RunSpec } from '@clipyard/contracts';
import type { Database, Repositories } from '@clipyard/db';
import { type MessageBus, nodeQueue } from '@clipyard/queue';
import { newId } from '@clipyard/runtime';
import { raiseDivergence } from './alarms/job-alarms.js';
import { endRanks } from './attempt-end.js';
import { referredCheckpoints } from './checkpoint-references.js';
import type { ExpectedAttempt, NodeControl, NodeLease, NodeMessage } from './control-plane.js';
import { hasEnded, isFinalRank, stale } from './fence.js';
import { endRanksOf } from './leases.js';
import {
  recordCheckpoint,
  recordEvaluation,
  recordLogs,
  recordMetrics,
  recordPlan,
  recordRankState,
} from './rank-reports.js';

export interface NodeControlDeps {
  readonly database: Database;
  readonly bus: MessageBus;
}

export interface NodeControlOptions {
  /** How long a node lives without a renewal, ms. Default `LIMITS.nodeLeaseMs`. */
  readonly leaseMs?: number;
}

export function createNodeControl(deps: NodeControlDeps, options: NodeControlOptions = {}): NodeControl {
  const { database, bus } = deps;
  const leaseMs = options.leaseMs ?? LIMITS.nodeLeaseMs;

  return {
    async register({ slots, ...data }) {
      // First out of the scheduler's sight, so that no new rank comes while those of the earlier life are ended.
      const known = await database.transaction(async (tx) => {
        const node = await tx.nodes.findByName(data.name);
        if (node !== null) await tx.nodes.setState(node.id, 'lost');
        return node?.id;
      });
      if (known !== undefined) await endRanksOf(database, known, `node ${data.name} was started anew`);
      const registration = newId('reg');
      const nodeId = await database.transaction((tx) =>
        tx.nodes.register(newId('node'), registration, data, slots, leaseMs),
      );
      return { nodeId, registration, leaseMs };
    },

    async renewLease({ nodeId, registration }) {
      const renewed = await database.transaction(async (tx) => {
        await assertHeld(tx, { nodeId, registration });
        return await tx.nodes.renewLease(nodeId, leaseMs);
      });
      if (renewed) return;
      throw new ClipyardError('node_lost', `The lease of node ${nodeId} ran out, or it was stopped; register again`);
    },

    async drain(lease) {
      await database.transaction(async (tx) => {
        if (await isHeld(tx, lease)) await tx.nodes.setState(lease.nodeId, 'draining');
      });
    },

    async deregister(lease) {
      const mine = await database.transaction(async (tx) => {
        const held = await isHeld(tx, lease);
        if (held) await tx.nodes.setState(lease.nodeId, 'stopped');
        return held;
      });
      if (mine) await endRanksOf(database, lease.nodeId, 'its node was stopped');
    },

    consume: (nodeId, handle) => bus.consume(nodeQueue<NodeMessage>(nodeId), handle),

    async assignments({ nodeId, registration }, fence) {
      return await database.read(async (db) => {
        await assertHeld(db, { nodeId, registration });
        const job = await db.jobs.find(fence.jobId);
        const attempt = await db.attempts.find(fence.jobId, fence.epoch);
        if (job === null || attempt === null || job.epoch !== fence.epoch) return [];
        if (attempt.state !== 'starting' && attempt.state !== 'running') return [];
        const checkpoints = await db.checkpoints.list(fence.jobId);
        const referred = await referredCheckpoints(db, job.spec as unknown as RunSpec);
        const { init } = referred;
        return attempt.ranks
          .filter((rank) => rank.nodeId === nodeId && !isFinalRank(rank))
          .map(({ rank, slot }) => ({
            jobId: job.id,
            jobName: job.name,
            epoch: attempt.epoch,
            rank,
            slot,
            worldSize: attempt.worldSize,
            secret: attempt.secret,
            spec: job.spec as unknown as RunSpec,
            ...(job.pauseAt === null ? {} : { pauseAt: job.pauseAt as unknown as Duration }),
            checkpoints: [
              ...checkpoints.map(({ step, prefix, manifestSha256 }) => ({ step, prefix, manifestSha256 })),
              ...(job.resumesInit && init !== undefined ? [init] : []),
            ],
            ...referred,
          }));
      });
    },

    async expectedAttempts({ nodeId, registration }) {
      return await database.read(async (db) => {
        await assertHeld(db, { nodeId, registration });
        const expected = new Map<string, ExpectedAttempt>();
        for (const { jobId, epoch } of await db.attempts.unfinishedOn(nodeId)) {
          const attempt = await db.attempts.find(jobId, epoch);
          if (attempt?.state === 'starting' || attempt?.state === 'running')
            expected.set(jobId, { jobId, epoch, to: 'run' });
          else if (attempt?.state === 'stopping' && attempt.saves) expected.set(jobId, { jobId, epoch, to: 'save' });
        }
        return [...expected.values()];
      });
    },

    async peers(fence) {
      return await database.read(async (db) => {
        const attempt = await db.attempts.find(fence.jobId, fence.epoch);
        if (attempt === null || hasEnded(attempt)) throw stale(fence, `the attempt is ${attempt?.state ?? 'unknown'}`);
        const peers = attempt.ranks.flatMap(({ rank, host, port }) =>
          host === null || port === null ? [] : [{ rank, host, port }],
        );
        return peers.length === attempt.worldSize ? peers : undefined;
      });
    },

    recordRankState: (key, state, details = {}) =>
      database.transaction((tx) => recordRankState(tx, key, state, details)),
    recordPlan: (key, plan) => database.transaction((tx) => recordPlan(tx, key, plan)),
    recordMetrics: (key, reports) => database.transaction((tx) => recordMetrics(tx, key, reports)),
    recordLogs: (key, entries) => database.transaction((tx) => recordLogs(tx, key, entries)),
    recordCheckpoint: (key, checkpoint) => database.transaction((tx) => recordCheckpoint(tx, key, checkpoint)),
    recordEvaluation: (key, evaluation) => database.transaction((tx) => recordEvaluation(tx, key, evaluation)),

    async recordRankEnd(key, end) {
      await database.transaction(async (tx) => {
        const job = await tx.jobs.lock(key.jobId);
        const rank = await tx.attempts.findRank(key.jobId, key.epoch, key.rank);
        if (job === null || rank === null) throw stale(key, `there is no rank ${key.rank}`);
        if (job.epoch === key.epoch) await raiseDivergence(tx, job, end);
        await endRanks(tx, job, [rank], end);
      });
    },
  };
}

type Hold = Pick<NodeLease, 'nodeId' | 'registration'>;

async function isHeld(db: Repositories, { nodeId, registration }: Hold): Promise<boolean> {
  return (await db.nodes.find(nodeId))?.registration === registration;
}

async function assertHeld(db: Repositories, hold: Hold): Promise<void> {
  if (await isHeld(db, hold)) return;
  throw fieldError('node_replaced', {
    path: 'CLIPYARD_NODE_NAME',
    message: `names a node (${hold.nodeId}) that another worker has registered since`,
    remedy: 'Give each worker a name of its own.',
  });
}
