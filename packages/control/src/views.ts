import type {
  Attempt,
  Checkpoint,
  EVENT_TYPES,
  Evaluation,
  Job,
  JobEvent,
  LogLine,
  MetricName,
  MetricPoint,
  MetricSeries,
  Node,
  SerializedError,
} from '@clipyard/contracts';
import type {
  AttemptWithRanks,
  CheckpointRow,
  EventRow,
  JobRow,
  LogRow,
  MetricExtent,
  MetricRow,
  MetricSeriesRow,
  NodeWithSlots,
} from '@clipyard/db';

import { alarmMemory } from './alarms/judge.js';

/** Rows of the database as resources of the API. What was stored as JSON was validated before. */

const time = (at: Date): string => at.toISOString();
const timeOrNull = (at: Date | null): string | null => at?.toISOString() ?? null;

function errorView(error: unknown): Job['error'] {
  if (error === null) return null;
  const { code, message, fields } = error as SerializedError;
  return { code, message, fields: [...(fields ?? [])] };
}

export function jobView(row: JobRow): Job {
  return {
    id: row.id,
    name: row.name,
    project: row.project,
    state: row.state as Job['state'],
    reason: row.reason,
    labels: row.labels as Job['labels'],
    priority: row.priority,
    spec: row.spec as unknown as Job['spec'],
    epoch: row.epoch,
    worldSize: row.worldSize,
    step: row.step,
    totalSteps: row.totalSteps,
    pauseStep: row.pauseStep,
    latest: row.latest as Job['latest'],
    alarms: [...alarmMemory(row.alarms).active],
    restarts: { infrastructure: row.restartsInfrastructure, user: row.restartsUser },
    error: errorView(row.error),
    createdAt: time(row.createdAt),
    startedAt: timeOrNull(row.startedAt),
    finishedAt: timeOrNull(row.finishedAt),
  };
}

export function attemptView(row: AttemptWithRanks): Attempt {
  return {
    epoch: row.epoch,
    state: row.state as Attempt['state'],
    worldSize: row.worldSize,
    startStep: row.startStep,
    error: errorView(row.error),
    ranks: row.ranks.map(({ rank, nodeId, slot, state, host, port, pid, error }) => ({
      rank,
      nodeId,
      slot,
      state: state as Attempt['ranks'][number]['state'],
      host,
      port,
      pid,
      error: errorView(error),
    })),
    createdAt: time(row.createdAt),
    startedAt: timeOrNull(row.startedAt),
    finishedAt: timeOrNull(row.finishedAt),
  };
}

/** `storageUrl` is the root of the blob store that prefixes are relative to; how it is reached, after a `?`, is left out. */
export function checkpointView(row: CheckpointRow, storageUrl: string): Checkpoint {
  return {
    id: row.id,
    jobId: row.jobId,
    epoch: row.epoch,
    step: row.step,
    position: Number(row.position),
    worldSize: row.worldSize,
    url: storageUrl === '' ? row.prefix : `${storageUrl.replace(/\?.*$/, '').replace(/\/$/, '')}/${row.prefix}`,
    bytes: Number(row.bytes),
    manifestSha256: row.manifestSha256,
    metrics: row.metrics as Checkpoint['metrics'],
    files: row.files as Checkpoint['files'],
    createdAt: time(row.createdAt),
  };
}

/** `sees`: whether the caller sees a job; the ranks of others show as busy slots. */
export function nodeView(row: NodeWithSlots, sees: (jobId: string) => boolean = () => true): Node {
  return {
    id: row.id,
    name: row.name,
    pool: row.pool,
    state: row.drained && row.state === 'ready' ? 'draining' : (row.state as Node['state']),
    drained: row.drained,
    host: row.host,
    version: row.version,
    engines: row.engines,
    slots: row.slots.map(({ index, jobId, epoch, rank }) => ({
      index,
      busy: jobId !== null,
      ...(jobId === null || sees(jobId) ? { jobId, epoch, rank } : { jobId: null, epoch: null, rank: null }),
    })),
    leaseExpiresAt: time(row.leaseExpiresAt),
    registeredAt: time(row.registeredAt),
  };
}

export function metricView({ step, name, value, epoch, at }: MetricRow): MetricPoint {
  return { step, name, value, epoch, at: time(at) };
}

export function metricNameView({ at, ...row }: MetricExtent): MetricName {
  return { ...row, at: time(at) };
}

export function metricSeriesView({ sum, ...row }: MetricSeriesRow, bucketSteps: number): MetricSeries {
  return { bucketSteps, ...row, mean: sum.map((total, bucket) => total / row.count[bucket]!) };
}

export function logView(row: LogRow): LogLine {
  return {
    id: String(row.id),
    at: time(row.at),
    level: row.level as LogLine['level'],
    epoch: row.epoch,
    rank: row.rank,
    message: row.message,
    fields: row.fields as LogLine['fields'],
  };
}

/** The results of an evaluation from its event. */
export function evaluationView(row: EventRow): Evaluation {
  const { step, final, values, results } = row.data as unknown as Evaluation;
  const { jobId, epoch } = row;
  // Those of before tasks had results of their own have none.
  return { id: String(row.id), jobId, epoch, step, final, values, results: results ?? [], at: time(row.at) };
}

export function eventView(row: EventRow): JobEvent {
  return {
    id: String(row.id),
    jobId: row.jobId,
    type: row.type as (typeof EVENT_TYPES)[number],
    at: time(row.at),
    epoch: row.epoch,
    data: row.data as JobEvent['data'],
  };
}
