import { ClipyardError, LIMITS } from '@clipyard/contracts';
import type { LogEntry, NodeControl } from '@clipyard/control';
import { createLogger } from '@clipyard/runtime';
import { describe, expect, it } from 'vitest';
import { RankReports } from './rank-reports.js';

const KEY = { jobId: 'job-1', epoch: 2, rank: 0 };
const CHECKPOINT = {
  ...{ step: 5, position: 50, prefix: 'runs/job-1/step-5', bytes: 1, manifestSha256: 'ab', worldSize: 1 },
  ...{ metrics: {}, files: [] },
};

/** Reports to a control plane that notes its calls; `answer` may throw in its place. */
function open(answer: (call: string) => void = () => {}) {
  const calls: string[] = [];
  const logs: LogEntry[] = [];
  const events: string[] = [];
  const note = async (call: string) => {
    answer(call);
    calls.push(call);
  };
  const control: Partial<NodeControl> = {
    recordRankState: (_key, state) => note(`state ${state}`),
    recordPlan: () => note('plan'),
    recordMetrics: (_key, reports) => note(`metrics ${reports.map(({ step }) => step).join(' ')}`),
    recordEvaluation: (_key, { step }) => note(`evaluation ${step}`),
    recordLogs: async (_key, entries) => {
      logs.push(...entries);
      await note('logs');
    },
    recordCheckpoint: async (_key, { step }) => {
      await note(`checkpoint ${step}`);
      return [{ step: 1, prefix: 'runs/job-1/step-1' }];
    },
    recordRankEnd: (_key, { state }) => note(`end ${state}`),
  };
  const reports = new RankReports(
    {
      control: control as NodeControl,
      logger: createLogger({ name: 'test', level: 'silent' }),
      onStale: () => void events.push('stale'),
      onRecorded: (step, expired) => void events.push(`recorded ${step}, expired ${expired.map((one) => one.step)}`),
      onRefused: ({ code }) => void events.push(`refused ${code}`),
    },
    KEY,
  );
  const metrics = (step: number) => reports.add({ type: 'metrics', step, at: step, values: { loss: 1 } });
  const log = (message: string) => reports.add({ type: 'log', level: 'info', at: 1, message });
  return { reports, calls, logs, events, metrics, log };
}

describe('RankReports', () => {
  it('keeps the order, joins metrics that follow each other, and writes the end last', async () => {
    const { reports, calls, logs, events, metrics, log } = open();
    metrics(1);
    log('a');
    metrics(2);
    reports.add({ type: 'state', state: 'evaluating' });
    log('b');
    reports.add({ type: 'evaluation', step: 2, final: false, values: {}, results: [], samples: [] });
    metrics(3);
    reports.add({ type: 'checkpoint', checkpoint: CHECKPOINT });
    await reports.end({ state: 'succeeded' });
    expect(calls.filter((call) => call !== 'logs')).toEqual([
      'metrics 1 2',
      'state evaluating',
      'evaluation 2',
      'metrics 3',
      'checkpoint 5',
      'end succeeded',
    ]);
    expect(logs.map(({ message }) => message)).toEqual(['a', 'b']);
    expect(calls.at(-1)).toBe('end succeeded');
    expect(events).toEqual(['recorded 5, expired 1']);
  });

  it('tries again until the database answers, and loses nothing', async () => {
    let failures = 2;
    const { reports, calls, metrics } = open(() => {
      if (failures-- > 0) throw new ClipyardError('database_unavailable', 'away');
    });
    metrics(1);
    reports.add({ type: 'state', state: 'training' });
    await reports.end({ state: 'succeeded' });
    expect(calls).toEqual(['metrics 1', 'state training', 'end succeeded']);
  });

  it('keeps the newest log lines and metrics and says how many it dropped', async () => {
    const { reports, calls, logs, metrics, log } = open();
    for (let i = 0; i < LIMITS.logBacklog + 3; i++) {
      log(String(i));
      metrics(i);
    }
    await reports.end({ state: 'stopped' });
    expect(logs.find(({ level }) => level === 'info')!.message).toBe('3');
    expect(logs.filter(({ level }) => level === 'info')).toHaveLength(LIMITS.logBacklog);
    expect(logs.find(({ level }) => level === 'warn')!.message).toMatch(/^3 log lines and 3 metric reports/);
    expect(calls[0]).toMatch(/^metrics 3 4 /);
  });

  it('says once that the attempt is stale, writes no more of it, and still records the end', async () => {
    const { reports, calls, events, metrics } = open((call) => {
      if (!call.startsWith('end')) throw new ClipyardError('attempt_stale', 'over');
    });
    metrics(1);
    reports.add({ type: 'checkpoint', checkpoint: CHECKPOINT });
    await new Promise((resolve) => setTimeout(resolve, 20));
    metrics(2);
    await reports.end({ state: 'stopped' });
    expect(events).toEqual(['stale']);
    expect(calls).toEqual(['end stopped']);
  });

  it('says that a checkpoint cannot be recorded, since the rank waits for the answer', async () => {
    const { reports, events, calls } = open((call) => {
      if (call.startsWith('checkpoint')) throw new ClipyardError('internal', 'no');
    });
    reports.add({ type: 'checkpoint', checkpoint: CHECKPOINT });
    reports.add({ type: 'state', state: 'training' });
    await reports.end({ state: 'stopped' });
    expect(events).toEqual(['refused internal']);
    expect(calls).toEqual(['state training', 'end stopped']);
  });
});
