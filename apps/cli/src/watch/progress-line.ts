import { formatClock, formatCount, formatNumber, formatPercent } from '../output/format.js';
import { type Progress, remainingMs } from './progress.js';

const BAR_CELLS = 10;

/** Progress as one line, written out as far as `columns` allow; a bar only where the line updates in place. */
export function progressLine(progress: Progress, { bar, columns }: { bar: boolean; columns: number }): string {
  const { latest, step, totalSteps } = progress;
  if (totalSteps === undefined) return `${progress.state ?? 'waiting'} …`;
  const filled = Math.round((totalSteps === 0 ? 1 : step / totalSteps) * BAR_CELLS);
  const { loss, logit_scale: scale, 'speed/samples_per_second': speed } = latest;
  const { 'eval/zeroshot/seen': seen, 'eval/zeroshot/unseen': unseen } = latest;
  const eta = remainingMs(progress);
  const line = (form: 'bar' | 'full' | 'short') =>
    [
      `step ${step}/${totalSteps}`,
      form === 'bar' && '█'.repeat(filled) + '░'.repeat(BAR_CELLS - filled),
      speed !== undefined && `${formatCount(speed)}${form === 'short' ? '/s' : ' samples/s'}`,
      loss !== undefined && `loss ${loss.toFixed(3)}`,
      scale !== undefined && `scale ${formatNumber(scale)}`,
      seen !== undefined && `${form === 'short' ? '' : 'zero-shot '}seen ${formatPercent(seen)}`,
      unseen !== undefined && `unseen ${formatPercent(unseen)}`,
      eta !== undefined && `ETA ${formatClock(eta)}`,
    ]
      .filter((part) => part !== false)
      .join('  ');
  const forms = bar ? (['bar', 'full', 'short'] as const) : (['full'] as const);
  return forms.map(line).find((text) => text.length < columns) ?? line(forms.at(-1)!);
}
