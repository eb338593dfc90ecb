import { formatCount, formatDuration, formatNumber, formatPercent } from '../output/format.js';
import { type Progress, remainingMs } from './progress.js';

const BAR_CELLS = 10;

/** Progress as one line; with a bar where it updates in place. */
export function progressLine(progress: Progress, { bar }: { bar: boolean }): string {
  const { latest, step, totalSteps } = progress;
  if (totalSteps === undefined) return `${progress.state ?? 'waiting'} …`;
  const share = totalSteps === 0 ? 1 : step / totalSteps;
  const filled = Math.round(share * BAR_CELLS);
  const parts = [`step ${step}/${totalSteps}`];
  if (bar) parts.push('█'.repeat(filled) + '░'.repeat(BAR_CELLS - filled));
  add(parts, latest['speed/samples_per_second'], (value) => `${formatCount(value)} samples/s`);
  add(parts, latest.loss, (value) => `loss ${value.toFixed(3)}`);
  add(parts, latest.logit_scale, (value) => `scale ${formatNumber(value)}`);
  const { 'eval/zeroshot/seen': seen, 'eval/zeroshot/unseen': unseen } = latest;
  const accuracies = [
    seen === undefined ? [] : [`seen ${formatPercent(seen)}`],
    unseen === undefined ? [] : [`unseen ${formatPercent(unseen)}`],
  ].flat();
  if (accuracies.length > 0) parts.push(`zero-shot ${accuracies.join(', ')}`);
  add(parts, remainingMs(progress), (value) => `ETA ${formatDuration(value)}`);
  return parts.join('  ');
}

function add(parts: string[], value: number | undefined, format: (value: number) => string): void {
  if (value !== undefined) parts.push(format(value));
}
