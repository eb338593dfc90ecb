import { expect, test } from 'vitest';
import { eventText } from './event-text.js';

const at = { epoch: 2 } as const;

test('a failure says why', () => {
  const data = { to: 'failed', error: { code: 'rank_lost', message: 'rank 1 ended with SIGKILL' } };
  expect(eventText({ ...at, type: 'attempt.state', data })).toEqual({
    title: 'Attempt 2 failed',
    detail: 'rank 1 ended with SIGKILL (rank_lost)',
    tone: 'bad',
  });
});

test('an evaluation tells its first figures', () => {
  const values = { 'eval/zeroshot/top1': 0.5, 'eval/zeroshot/top5': 0.9, 'eval/retrieval/image_to_text/r1': 0.25 };
  const text = eventText({ ...at, type: 'evaluation', data: { step: 1200, values } });
  expect(text).toMatchObject({
    title: 'Evaluation after step 1,200',
    detail: 'zeroshot/top1 50.0%, retrieval/image_to_text/r1 25.0%',
  });
});

test('a warning comes with its remedy where it has one', () => {
  const data = { message: 'The scale is at its clamp', remedy: 'Lower the learning rate.' };
  expect(eventText({ ...at, type: 'warning', data })).toEqual({
    title: data.message,
    detail: data.remedy,
    tone: 'warn',
  });
});

test('an alarm has its title, its figures and what to do', () => {
  const data = { state: 'raised', code: 'plateau', severity: 'warning', message: 'loss 4.1', remedy: 'Look at it.' };
  expect(eventText({ ...at, type: 'alarm', data })).toEqual({
    title: 'The loss stays where guessing would be',
    detail: 'loss 4.1 Look at it.',
    tone: 'warn',
  });
  expect(eventText({ ...at, type: 'alarm', data: { ...data, state: 'cleared' } }).tone).toBe('good');
});
