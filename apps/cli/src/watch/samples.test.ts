import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PredictionSample } from '@clipyard/contracts';
import sharp from 'sharp';
import { expect, it } from 'vitest';
import { TextTerminal } from '../output/text-terminal.js';
import { halfBlocks } from './picture.js';
import { chooseSamples, showSamples } from './samples.js';

/** Upper half red, lower half blue. */
async function picture(): Promise<Buffer> {
  const blue = await sharp({ create: { width: 32, height: 16, channels: 3, background: '#0000ff' } })
    .png()
    .toBuffer();
  const base = sharp({ create: { width: 32, height: 32, channels: 3, background: '#ff0000' } });
  return base
    .composite([{ input: blue, top: 16, left: 0 }])
    .png()
    .toBuffer();
}

const sample = (group: string, png = ''): PredictionSample => ({
  png,
  caption: `a ${group} shape`,
  truth: 'red star',
  group,
  predictions: [
    { label: 'red star', probability: 0.75 },
    { label: 'red heart', probability: 0.125 },
  ],
});

it('draws two pixels a character in 24-bit colour', async () => {
  const lines = await halfBlocks(await picture(), 8);
  expect(lines).toHaveLength(4);
  expect(lines[0]).toBe(`${'\u001b[38;2;255;0;0m\u001b[48;2;255;0;0m▀'.repeat(8)}\u001b[0m`);
  expect(lines[3]).toContain('38;2;0;0;255m');
});

it('chooses unseen classes too', () => {
  const groups = (samples: PredictionSample[]) => chooseSamples(samples).map((s) => s.group);
  expect(groups([sample('seen'), sample('seen'), sample('seen'), sample('unseen')])).toEqual([
    'seen',
    'seen',
    'unseen',
  ]);
  expect(groups([sample('unseen'), sample('unseen'), sample('seen')])).toEqual(['seen', 'unseen', 'unseen']);
  expect(groups([sample('seen')])).toEqual(['seen']);
});

it('saves pictures where the terminal has no colours, draws them where it has', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'clipyard-samples-'));
  try {
    const png = await picture();
    const plain = new TextTerminal();
    await showSamples([sample('unseen', png.toString('base64'))], plain, folder);
    expect(await readFile(join(folder, 'sample-1.png'))).toEqual(png);
    expect(plain.text).toContain('is: red star (never shown in training)');
    expect(plain.text).toContain(' 75.0%  red star  ✓');
    const colourful = new TextTerminal({ hasTrueColor: true });
    await showSamples([sample('seen', png.toString('base64'))], colourful, join(folder, 'none'));
    expect(colourful.text).toContain('▀');
    await expect(readFile(join(folder, 'none', 'sample-1.png'))).rejects.toThrow('ENOENT');
  } finally {
    await rm(folder, { recursive: true });
  }
});
