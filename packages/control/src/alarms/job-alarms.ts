import type { RunSpec } from '@clipyard/contracts';
import type { EventData, JobRow, Repositories } from '@clipyard/db';
import type { RankEnd } from '../control-plane.js';
import { type AlarmChange, type AlarmMemory, alarmMemory, judge, judgeDivergence } from './judge.js';

export interface JudgedReports {
  /** To be kept with the job. */
  readonly alarms: AlarmMemory;
  readonly events: readonly EventData[];
}

/** Judges reports of rank 0, oldest first; `latest` has the newest values of all ranks. */
export function judgeReports(
  job: JobRow,
  reports: readonly { readonly step: number; readonly values: Readonly<Record<string, number>> }[],
  latest: Readonly<Record<string, number>>,
): JudgedReports {
  const spec = job.spec as unknown as RunSpec;
  let alarms = alarmMemory(job.alarms);
  const events: EventData[] = [];
  for (const { step, values } of reports) {
    const judged = judge(alarms, { spec, worldSize: job.worldSize ?? 1, step, values, latest });
    alarms = judged.memory;
    events.push(...judged.changes.map((change) => alarmEvent(job, change)));
  }
  return { alarms, events };
}

/** A rank that ended since its loss was not finite says of the run what its reports could not. The caller holds the job's row. */
export async function raiseDivergence(tx: Repositories, job: JobRow, end: RankEnd): Promise<void> {
  if (!('error' in end) || end.error.code !== 'loss_not_finite') return;
  const { memory, changes } = judgeDivergence(alarmMemory(job.alarms), job.step, end.error.message);
  await tx.jobs.update(job.id, { alarms: memory });
  await tx.events.appendAll(changes.map((change) => alarmEvent(job, change)));
}

const alarmEvent = ({ id: jobId, epoch }: JobRow, change: AlarmChange): EventData => ({
  jobId,
  epoch,
  type: 'alarm',
  data: { ...change },
});
