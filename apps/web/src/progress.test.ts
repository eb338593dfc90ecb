import { expect, test } from 'vitest';
import { elapsedMs, progressOf, remainingMs } from './progress.js';

const job = { state: 'running', step: 30, totalSteps: 120, latest: { 'time/step_ms': 200 } } as const;

test('progress is the share of finished steps', () => {
  expect(progressOf(job)).toBe(0.25);
  expect(progressOf({ ...job, totalSteps: null })).toBeUndefined();
  expect(progressOf({ ...job, step: 130 })).toBe(1);
});

test('the remaining time follows from the present step time, of running jobs only', () => {
  expect(remainingMs(job)).toBe(18_000);
  expect(remainingMs({ ...job, state: 'paused' })).toBeUndefined();
  expect(remainingMs({ ...job, latest: {} })).toBeUndefined();
});

test('time runs until the end of the job', () => {
  const startedAt = '2026-01-01T00:00:00.000Z';
  const now = Date.parse('2026-01-01T00:01:00.000Z');
  expect(elapsedMs({ startedAt, finishedAt: null }, now)).toBe(60_000);
  expect(elapsedMs({ startedAt, finishedAt: '2026-01-01T00:00:10.000Z' }, now)).toBe(10_000);
  expect(elapsedMs({ startedAt: null, finishedAt: null }, now)).toBeUndefined();
});
