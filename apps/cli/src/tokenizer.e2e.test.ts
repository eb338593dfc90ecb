import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ClipyardError, Job } from '@clipyard/contracts';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { stringify } from 'yaml';
import { type Config, loadConfig } from './config.js';
import { TextTerminal } from './output/text-terminal.js';
import { runProgram } from './program.js';
import { type Stack, startStack } from './up/stack.js';

/** A vocabulary of one's own, from captions to a trained model: packs the emoji, trains the tokenizer, submits a job with it. */
const never = new AbortController().signal;
vi.setConfig({ testTimeout: 120_000 });
let home: string;
let config: Config;
let stack: Stack;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'clipyard-tokenizer-'));
  const { DATABASE_URL: _, ...environment } = process.env;
  config = loadConfig({ ...environment, CLIPYARD_HOME: home, PORT: '0', CLIPYARD_SLOTS: '1' });
  stack = await startStack(config, () => {}, never);
});

afterAll(async () => {
  await stack?.close();
  await rm(home, { recursive: true, force: true });
});

async function run(...argv: string[]): Promise<TextTerminal> {
  const terminal = new TextTerminal({ isTty: true });
  expect(await runProgram(argv, { config, terminal, signal: never }), terminal.errors.join('\n')).toBe(0);
  return terminal;
}

const emoji = (name: string) => fileURLToPath(new URL(`../../../examples/emoji/${name}`, import.meta.url));
const shards = { type: 'webdataset', urls: ['emoji/train-{00000..00008}.tar'] };
const spec = (model: Record<string, unknown>, vocabSize: number) => ({
  version: 1,
  name: 'own-tokens',
  model: {
    config: {
      embed_dim: 32,
      vision_cfg: { image_size: 32, layers: 1, width: 64, patch_size: 8 },
      text_cfg: { context_length: 24, vocab_size: vocabSize, width: 32, heads: 2, layers: 1 },
    },
    ...model,
  },
  data: { train: shards, eval: { type: 'webdataset', urls: ['emoji/heldout-00000.tar'] }, evalSamples: 64 },
  batch: { global: 32 },
  duration: { steps: 20 },
  optimizer: { lr: 1e-3 },
  evaluate: { everySteps: 20, tasks: [{ type: 'retrieval' }] },
});

it('trains a vocabulary on the captions of the emoji, and a model with it', async () => {
  await run('data', 'pack', emoji(''), '--out', join(config.up.dataDir, 'emoji'));
  const file = join(config.up.dataDir, 'emoji', 'tokens.txt');
  const trained = await run('tokenizer', 'train', '--data', emoji('spec.yaml'), '--vocab', '2048', '--out', file);
  expect(trained.text).toMatch(
    /^2,048 tokens from 1,863 captions of 4,\d+ words: .*\n.*model.tokenizer: file:emoji\/tokens.txt, .*vocab_size: 2048/,
  );
  expect(trained.statuses.some((line) => /^merging pairs: [\d,]+ of 1,534$/.test(line))).toBe(true);

  // The same from shards, and from text that says the same: the order of captions does not matter.
  await run(
    'tokenizer',
    'train',
    '--data',
    'emoji/heldout-00000.tar',
    shards.urls[0]!,
    '--vocab',
    '2048',
    '--out',
    `${file}.gz`,
  );
  const shown = await run(
    'tokenizer',
    'encode',
    '--tokenizer',
    `file:${file}.gz`,
    '--context',
    '24',
    '--json',
    'Face with TEARS of joy',
  );
  const { ids } = JSON.parse(shown.text) as { ids: number[] };
  expect(ids).toEqual([
    2046,
    expect.any(Number),
    expect.any(Number),
    expect.any(Number),
    expect.any(Number),
    expect.any(Number),
    2047,
  ]);

  const specFile = join(home, 'spec.yaml');
  await writeFile(specFile, stringify(spec({ tokenizer: 'file:emoji/tokens.txt' }, 2048)));
  const watched = await run('submit', specFile, '--watch', '--json');
  const id = /job-\w+/.exec(watched.text)![0];
  const job: Job = await stack.client.get(id);
  expect(job).toMatchObject({ state: 'succeeded', step: 20, error: null });
  expect(job.latest['eval/retrieval/text_to_image/r10']).toBeGreaterThan(0);
  const [checkpoint] = await stack.client.checkpoints(id);
  const saved = JSON.parse(await readFile(join(fileURLToPath(checkpoint!.url), 'tokenizer.json'), 'utf8'));
  expect(saved).toMatchObject({ type: 'bpe', vocabSize: 2048, contextLength: 24 });
  expect(['#version: 0.2', ...saved.merges].join('\n')).toBe(await readFile(file, 'utf8'));
});

it("trains with CLIP's tokenizer", async () => {
  const { id } = await stack.client.submit({
    ...spec({ tokenizer: 'clip' }, 49_408),
    evaluate: {},
    duration: { steps: 4 },
  });
  for await (const _ of stack.client.events(id)) void _;
  expect(await stack.client.get(id)).toMatchObject({ state: 'succeeded', step: 4 });
});

it('refuses a tokenizer that does not fit, at once where it can be known', async () => {
  const submit = (model: Record<string, unknown>, vocabSize: number) =>
    stack.client.submit(spec(model, vocabSize)).catch((error: ClipyardError) => error);
  const tokenizer = { path: 'model.tokenizer', remedy: expect.any(String) };
  expect(await submit({ tokenizer: 'clip' }, 512)).toMatchObject({ code: 'tokenizer_unfit', fields: [tokenizer] });
  expect(await submit({ tokenizer: 'sentencepiece' }, 512)).toMatchObject({
    code: 'spec_invalid',
    fields: [tokenizer],
  });
  const preset = { config: undefined, preset: 'ViT-B-32' };
  expect(await submit(preset, 0)).toMatchObject({
    code: 'tokenizer_unfit',
    message: expect.stringContaining('`clip`'),
  });
  const { id } = (await submit({ tokenizer: 'file:emoji/tokens.txt' }, 4096)) as Job;
  for await (const _ of stack.client.events(id)) void _;
  expect(await stack.client.get(id)).toMatchObject({
    state: 'failed',
    error: { code: 'tokenizer_unfit', message: expect.stringContaining('--vocab 4096') },
  });
});
