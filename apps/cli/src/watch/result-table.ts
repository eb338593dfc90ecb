import { fileURLToPath } from 'node:url';
import type { Checkpoint, Job } from '@clipyard/contracts';
import { formatBytes, formatDuration, formatNumber, formatPercent } from '../output/format.js';

/** The results of a job as names and values, in the order people ask for them. */
export function resultPairs(job: Job, checkpoint: Checkpoint | undefined): [string, string][] {
  const { latest } = job;
  const pairs: [string, string][] = [
    ['job', `${job.id} (${job.name})`],
    ['state', job.state],
    [
      'steps',
      `${job.step}${job.totalSteps === null ? '' : ` of ${job.totalSteps}`}, global batch ${job.spec.batch.global}, ${job.worldSize ?? '-'} ${job.worldSize === 1 ? 'rank' : 'ranks'}`,
    ],
  ];
  if (job.startedAt !== null && job.finishedAt !== null) {
    const took = Date.parse(job.finishedAt) - Date.parse(job.startedAt);
    const mean =
      took > 0 ? ` (${Math.round((job.step * job.spec.batch.global) / (took / 1000))} samples/s with everything)` : '';
    pairs.push(['time', formatDuration(took) + mean]);
  }
  const restarts = job.restarts.infrastructure + job.restarts.user;
  if (restarts > 0) pairs.push(['restarts', String(restarts)]);
  const add = (name: string, key: string, format: (value: number) => string) => {
    const value = latest[key];
    if (value !== undefined) pairs.push([name, format(value)]);
  };
  add('loss', 'loss', formatNumber);
  add('logit scale', 'logit_scale', formatNumber);
  add('zero-shot, seen in training', 'eval/zeroshot/seen', formatPercent);
  add('zero-shot, never seen', 'eval/zeroshot/unseen', formatPercent);
  add('zero-shot, all classes', 'eval/zeroshot/top1', formatPercent);
  for (const [name, direction] of [
    ['image to text', 'image_to_text'],
    ['text to image', 'text_to_image'],
  ] as const) {
    const recalls = [1, 5, 10].map((k) => latest[`eval/retrieval/${direction}/r${k}`]);
    if (recalls.every((value) => value !== undefined)) {
      pairs.push([`${name} R@1 / 5 / 10`, recalls.map((value) => formatPercent(value!)).join(' / ')]);
    }
  }
  const memory = Object.entries(latest).flatMap(([name, value]) =>
    /^rank\/(\d+\/)?rss_mib$/.test(name) ? [value] : [],
  );
  if (memory.length > 0) pairs.push(['peak memory of a rank', `${Math.round(Math.max(...memory))} MiB`]);
  add('unusable samples', 'data/bad_samples', formatNumber);
  if (checkpoint !== undefined)
    pairs.push(['weights', `${weightsLocation(checkpoint)} (checkpoint of ${formatBytes(checkpoint.bytes)})`]);
  return pairs;
}

function weightsLocation({ url }: Checkpoint): string {
  const folder = url.startsWith('file://') ? fileURLToPath(url) : url;
  return `${folder.replace(/\/$/, '')}/model.safetensors`;
}
