import { expect, test } from 'vitest';
import { groupMetrics } from './metric-groups.js';

test('metrics come by family, training first, and those that belong together share a chart', () => {
  const groups = groupMetrics([
    'time/encode_ms',
    'eval/retrieval/text_to_image/r1',
    'loss',
    'rank/1/rss_mib',
    'eval/retrieval/image_to_text/r1',
    'rank/0/rss_mib',
    'time/step_ms',
    'time/data_ms',
    'lr',
    'own/thing',
  ]);
  expect(groups.map(({ title, charts }) => [title, charts.map(({ names }) => names)])).toEqual([
    ['Training', [['loss'], ['lr']]],
    ['Evaluation', [['eval/retrieval/image_to_text/r1', 'eval/retrieval/text_to_image/r1']]],
    ['Speed', [['time/data_ms', 'time/encode_ms'], ['time/step_ms']]],
    ['Ranks', [['rank/0/rss_mib', 'rank/1/rss_mib']]],
    ['own', [['own/thing']]],
  ]);
});
