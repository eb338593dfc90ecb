import { strict as assert } from 'node:assert';
import { type CheckpointRecord, LIMITS, RANK_FINAL_STATES, type RankState } from '@clipyard/contracts';
import type { EventData, Repositories } from '@clipyard/db';
import { newId } from '@clipyard/runtime';
import { judgeReports } from './alarms/job-alarms.js';
import type { LogEntry, NodeControl, RankKey, RunPlanReport } from './control-plane.js';
import { lockHeld, lockHeldRank, stale } from './fence.js';
import { dropCheckpoints } from './retention.js';
import { queueEvaluation } from './separate-evaluation.js';
import { moveAttempt, moveJob, moveRank } from './transitions.js';

/** What ranks report, each written in one transaction together with the check of its fence. */

type Values = Readonly<Record<string, number>>;

export async function recordRankState(
  tx: Repositories,
  key: RankKey,
  state: RankState,
  details: { pid?: number; host?: string; port?: number },
): Promise<void> {
  assert(!RANK_FINAL_STATES.includes(state), 'the end of a rank is recorded by recordRankEnd');
  const { job, attempt, rank } = await lockHeldRank(tx, key);
  if (rank.state === state) {
    await tx.attempts.updateRank(key.jobId, key.epoch, key.rank, details);
    return;
  }
  await moveRank(tx, rank, state, details);
  if (state !== 'training' && state !== 'evaluating') return;
  // The ranks reach their first step together, so the first one's word will do.
  if (attempt.state === 'starting') await moveAttempt(tx, attempt, 'running', { startedAt: new Date() });
  if (job.state === 'starting') await moveJob(tx, job, 'running', { startedAt: job.startedAt ?? new Date() });
}

/** Every rank knows the plan and tells it before it trains; the first one's word is taken. */
export async function recordPlan(tx: Repositories, key: RankKey, plan: RunPlanReport): Promise<void> {
  const { attempt } = await lockHeldRank(tx, key);
  if (attempt.startStep !== null) return;
  const { totalSteps, startStep, pauseStep } = plan;
  await tx.jobs.update(key.jobId, { totalSteps, step: startStep, pauseStep });
  await tx.attempts.update(key.jobId, key.epoch, { startStep });
  await tx.events.append({ jobId: key.jobId, type: 'plan', epoch: key.epoch, data: { ...plan } });
}

/**
 * Values named `rank/…` tell of one rank only: they are kept under the rank's number, as `rank/1/…`, and those of
 * rank 0 under the plain name too. The rest comes from rank 0.
 */
export async function recordMetrics(
  tx: Repositories,
  key: RankKey,
  reports: readonly { step: number; at: number; values: Values }[],
): Promise<void> {
  const { job } = await lockHeldRank(tx, key);
  const points = reports.flatMap(({ step, at, values }) => toPoints(byRank(values, key.rank), step, at));
  await tx.metrics.record(key.jobId, key.epoch, points);
  const latest: Record<string, number> = { ...(job.latest as Values) };
  for (const { name, value } of points) latest[name] = value;
  const last = reports.at(-1);
  if (last === undefined) return;
  if (key.rank !== 0) {
    await tx.jobs.update(key.jobId, { latest });
    return;
  }
  const { jobId, epoch } = key;
  const { alarms, events } = judgeReports(job, reports, latest);
  await tx.jobs.update(jobId, { latest, alarms, step: last.step });
  const metrics = reports.map(
    ({ step, values }): EventData => ({ jobId, epoch, type: 'metrics', data: { step, values: finite(values) } }),
  );
  await tx.events.appendAll([...metrics, ...events]);
}

/** Log lines are taken from the newest attempt in any state: the last ones of a rank often arrive after its end. */
export async function recordLogs(tx: Repositories, key: RankKey, entries: readonly LogEntry[]): Promise<void> {
  const job = await tx.jobs.lock(key.jobId);
  if (job === null || job.epoch !== key.epoch) throw stale(key, `the job is at epoch ${job?.epoch ?? 'none'}`);
  const limit = LIMITS.logMessageChars;
  const lines = entries.map((entry) => ({
    ...entry,
    message: entry.message.length > limit ? `${entry.message.slice(0, limit - 1)}…` : entry.message,
  }));
  await tx.logs.append(key.jobId, key.epoch, key.rank, lines);
  // What went wrong though training goes on, such as a checkpoint that could not be written, reaches those who watch.
  const { jobId, epoch, rank } = key;
  const errors = lines.filter(({ level }) => level === 'error');
  await tx.events.appendAll(errors.map(({ message }) => ({ jobId, epoch, type: 'warning', data: { rank, message } })));
}

export async function recordCheckpoint(
  tx: Repositories,
  key: RankKey,
  checkpoint: CheckpointRecord,
): Promise<readonly { step: number; prefix: string }[]> {
  const { job } = await lockHeld(tx, key);
  const before = await tx.checkpoints.findStep(key.jobId, checkpoint.step);
  const row = await tx.checkpoints.record(newId('ckpt'), key.jobId, key.epoch, {
    ...checkpoint,
    metrics: finite(checkpoint.metrics),
  });
  // A report may come twice.
  if (before?.manifestSha256 !== checkpoint.manifestSha256) await queueEvaluation(tx, job, checkpoint.step);
  const dropped = await dropCheckpoints(tx, job);
  const { step, position, worldSize, bytes, prefix } = checkpoint;
  const data = { id: row.id, step, position, worldSize, bytes, prefix, dropped: dropped.map((gone) => gone.step) };
  await tx.events.append({ jobId: key.jobId, type: 'checkpoint', epoch: key.epoch, data });
  return dropped;
}

export async function recordEvaluation(
  tx: Repositories,
  key: RankKey,
  evaluation: Parameters<NodeControl['recordEvaluation']>[1],
): Promise<void> {
  const { job } = await lockHeldRank(tx, key);
  const { step, final, results, samples } = evaluation;
  const values = finite(evaluation.values);
  await tx.metrics.record(key.jobId, key.epoch, toPoints(values, step, Date.now()));
  await tx.jobs.update(key.jobId, { latest: { ...(job.latest as Values), ...values } });
  await tx.events.append({
    jobId: key.jobId,
    type: 'evaluation',
    epoch: key.epoch,
    data: { step, final, values, results, samples },
  });
}

function byRank(values: Values, rank: number): Values {
  const named: Record<string, number> = rank === 0 ? { ...values } : {};
  for (const [name, value] of Object.entries(values)) {
    if (name.startsWith('rank/')) named[`rank/${rank}/${name.slice('rank/'.length)}`] = value;
    else named[name] = value;
  }
  return named;
}

function toPoints(
  values: Values,
  step: number,
  at: number,
): { name: string; step: number; value: number; at: number }[] {
  return Object.entries(finite(values)).map(([name, value]) => ({ name, step, value, at }));
}

/** Larger magnitudes count as infinite, so that sums over a run are not. */
const LARGEST = 1e300;

/** JSON has no NaN; a loss that is not finite ends the run with an error of its own. */
function finite(values: Values): Record<string, number> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => Math.abs(value) <= LARGEST));
}
