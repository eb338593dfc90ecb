import type { JobEvent } from '@clipyard/contracts';
import { describe, expect, it } from 'vitest';
import { advance, NO_PROGRESS, remainingMs } from './progress.js';
import { progressLine } from './progress-line.js';

const START = Date.parse('2026-01-01T00:00:00.000Z');
let id = 0;

function event(type: JobEvent['type'], data: Record<string, unknown>, { atMs = 0, epoch = 1 } = {}): JobEvent {
  return { id: String(++id), jobId: 'job-1', type, at: new Date(START + atMs).toISOString(), epoch, data };
}

const plan = (startStep: number) => ({
  totalSteps: 100,
  startStep,
  parameters: 1000,
  trainSamples: 500,
  engine: 'cpu',
});

describe('progress', () => {
  it('adds up plan, metrics and evaluations to one line', () => {
    const progress = [
      event('job.state', { from: 'starting', to: 'running', reason: null }),
      event('plan', plan(0)),
      event(
        'metrics',
        { step: 10, values: { loss: 4.5, logit_scale: 14.3, 'speed/samples_per_second': 1500.4 } },
        { atMs: 1000 },
      ),
      event(
        'evaluation',
        { step: 10, final: false, values: { 'eval/zeroshot/seen': 0.5, 'eval/zeroshot/unseen': 0.125 }, samples: [] },
        { atMs: 1500 },
      ),
      event('metrics', { step: 20, values: { loss: 3.25 } }, { atMs: 3000 }),
    ].reduce(advance, NO_PROGRESS);
    expect(progress).toMatchObject({ state: 'running', step: 20, totalSteps: 100, stepMs: 200 });
    expect(remainingMs(progress)).toBe(80 * 200);
    const full = '1,500 samples/s  loss 3.250  scale 14.3  zero-shot seen 50.0%  unseen 12.5%  ETA 0:16';
    expect(progressLine(progress, { bar: true, columns: 120 })).toBe(`step 20/100  ██░░░░░░░░  ${full}`);
    expect(progressLine(progress, { bar: true, columns: 104 })).toBe(`step 20/100  ${full}`);
    expect(progressLine(progress, { bar: true, columns: 80 })).toBe(
      'step 20/100  1,500/s  loss 3.250  scale 14.3  seen 50.0%  unseen 12.5%  ETA 0:16',
    );
    expect(progressLine(progress, { bar: false, columns: 80 })).toBe(`step 20/100  ${full}`);
  });

  it('goes back to the checkpoint when an attempt resumes, and takes no step time across the gap', () => {
    const progress = [
      event('plan', plan(0)),
      event('metrics', { step: 10, values: {} }, { atMs: 1000 }),
      event('metrics', { step: 50, values: {} }, { atMs: 5000 }),
      event('attempt.state', { from: 'starting', to: 'running', worldSize: 2 }, { epoch: 2, atMs: 60_000 }),
      event('plan', plan(40), { epoch: 2, atMs: 61_000 }),
      event('metrics', { step: 42, values: {} }, { epoch: 2, atMs: 62_000 }),
    ].reduce(advance, NO_PROGRESS);
    expect(progress).toMatchObject({ step: 42, epoch: 2, worldSize: 2, stepMs: undefined });
  });

  it('is not set back by reports of other ranks or by events that it does not know', () => {
    const progress = [
      event('metrics', { step: 10, values: { loss: 1 } }),
      event('metrics', { step: 10, values: { 'rank/rss_mib': 300 } }),
      event('metrics', { nonsense: true }),
    ].reduce(advance, NO_PROGRESS);
    expect(progress).toMatchObject({ step: 10, latest: { loss: 1, 'rank/rss_mib': 300 } });
  });
});
