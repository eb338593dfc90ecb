import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PredictionSample } from '@clipyard/contracts';
import { formatPercent } from '../output/format.js';
import type { Terminal } from '../output/terminal.js';
import { halfBlocks } from './picture.js';

const PICTURE_COLUMNS = 20;
/** Predictions shown with a picture. */
const MAX_PREDICTIONS = 3;

/** Three samples, of classes never shown in training too where there are any. */
export function chooseSamples(samples: readonly PredictionSample[], count = 3): PredictionSample[] {
  const unseen = samples.filter((sample) => sample.group === 'unseen');
  const others = samples.filter((sample) => sample.group !== 'unseen');
  const fromUnseen = unseen.slice(0, Math.max(1, count - others.length));
  return [...others.slice(0, count - fromUnseen.length), ...fromUnseen];
}

/** Shows pictures with their predictions: drawn in the terminal where it has the colours, else saved below `directory`. */
export async function showSamples(
  samples: readonly PredictionSample[],
  terminal: Terminal,
  directory: string,
): Promise<void> {
  for (const [index, sample] of samples.entries()) {
    const png = Buffer.from(sample.png, 'base64');
    if (terminal.hasTrueColor && terminal.columns >= PICTURE_COLUMNS + 30) {
      const picture = await halfBlocks(png, PICTURE_COLUMNS);
      const text = sampleText(sample);
      const top = Math.max(0, Math.floor((picture.length - text.length) / 2));
      for (const [row, line] of picture.entries()) terminal.out(`  ${line}  ${text[row - top] ?? ''}`);
      terminal.out('');
    } else {
      await mkdir(directory, { recursive: true });
      const file = join(directory, `sample-${index + 1}.png`);
      await writeFile(file, png);
      terminal.out(`  ${file}`);
      for (const line of sampleText(sample)) terminal.out(`    ${line}`);
    }
  }
}

function sampleText({ caption, truth, group, predictions }: PredictionSample): string[] {
  const lines = [`"${caption}"`];
  if (truth !== undefined) lines.push(`is: ${truth}${group === 'unseen' ? ' (never shown in training)' : ''}`);
  for (const { label, probability } of predictions.slice(0, MAX_PREDICTIONS)) {
    lines.push(`${formatPercent(probability).padStart(6)}  ${label}${label === truth ? '  ✓' : ''}`);
  }
  return lines;
}
