import { type Job, jobSchema, parseRunSpec } from '@clipyard/contracts';
import { expect, it } from 'vitest';
import { jobTable, newLines } from './watch-jobs.js';

function job(id: string, changes: Partial<Job> = {}): Job {
  const spec = parseRunSpec({
    version: 1,
    name: 'run',
    model: { preset: 'clip-tiny' },
    data: { train: { type: 'shapes' } },
    batch: { global: 100 },
    duration: { steps: 200 },
  });
  return jobSchema.parse({
    ...{
      id,
      name: 'run',
      project: 'default',
      state: 'running',
      reason: null,
      labels: {},
      priority: 50,
      spec,
      epoch: 1,
    },
    ...{ worldSize: 2, step: 50, totalSteps: 200, pauseStep: null, restarts: { infrastructure: 0, user: 0 } },
    ...{ latest: { loss: 2.34567, 'speed/samples_per_second': 1500 }, error: null, startedAt: null, finishedAt: null },
    createdAt: new Date().toISOString(),
    ...changes,
  });
}

it('shows how far jobs are and how long they take still', () => {
  const queued = { state: 'queued', step: 0, totalSteps: null, latest: {} } as const;
  expect(jobTable([job('job-a'), job('job-b', queued)]).map((line) => line.replace(/ +\d+ s$/, ''))).toEqual([
    'JOB    NAME  STATE    PROGRESS        STEP   LOSS  SAMPLES/S  ETA   AGE',
    // 150 steps of 100 samples at 1,500 a second.
    'job-a  run   running  ███░░░░░░░░░  50/200  2.346      1,500  0:10',
    'job-b  run   queued                    0/-      -          -  -',
  ]);
  expect(jobTable([])).toEqual(['no jobs']);
});

it('without a terminal, tells of a job when its state changes, and of one that goes on now and then', () => {
  const told = new Map();
  expect(newLines([job('job-a')], told, 0)).toEqual([
    'job-a run running step 50/200 loss 2.346 samples/s 1,500 ETA 0:10',
  ]);
  expect(newLines([job('job-a', { step: 60 })], told, 1_000)).toEqual([]);
  expect(newLines([job('job-a', { step: 90 })], told, 40_000)).toHaveLength(1);
  expect(newLines([job('job-a', { state: 'paused' })], told, 41_000)).toEqual([expect.stringContaining(' paused ')]);
  expect(newLines([job('job-a', { state: 'paused' })], told, 999_000)).toEqual([]);
});
