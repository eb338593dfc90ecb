import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Engine, openEngine } from '@clipyard/engine';
import type { ModelConfig } from '@clipyard/model';
import { readSafetensors, tensorFloats } from '@clipyard/tensor';
import { expectAllClose } from '@clipyard/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, type TestContext, vi } from 'vitest';
import { type LoadedModel, openClipExport } from './export-model.js';
import { OpenClip } from './test-open-clip.js';
import { expectSameEmbeddings, loaded, trainTiny } from './test-train.js';
import { TINY, writeFiles } from './test-weights.js';

/** The real open_clip, where a Python that has it is named: see scripts/reference/setup.sh. */
const PYTHON = process.env.PYTHON;

// Python alone takes half a minute to load PyTorch where the disk or the cores are busy.
vi.setConfig({ testTimeout: 180_000 });
let engine: Engine;
let openClip: OpenClip | undefined;
let directory: string;
beforeAll(async () => {
  engine = await openEngine({ engine: 'onnxruntime', threads: 1 });
  if (PYTHON !== undefined) openClip = new OpenClip(PYTHON);
});
afterAll(async () => {
  openClip?.close();
  await engine.close();
});
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'clipyard-round-trip-'));
});
afterEach(() => rm(directory, { recursive: true }));

/** Skips, saying what is missed, unless there is a Python. */
function python({ skip }: TestContext): OpenClip {
  if (openClip === undefined)
    skip('PYTHON names no Python with open_clip (scripts/reference/setup.sh): not compared with the real open_clip');
  return openClip!;
}

/** Trains some steps and returns the directory of the last checkpoint. */
const trained = (job: string, init?: string, config: object = TINY): Promise<string> =>
  trainTiny(engine, directory, job, { model: { config, ...(init === undefined ? {} : { init }) } });

const expectSame = (there: OpenClip, path: string, model: LoadedModel): Promise<void> =>
  expectSameEmbeddings({ there, engine, directory }, path, model);

describe('with the real open_clip', () => {
  it('a model trained here is loaded there strictly, and embeds the same', async (context) => {
    const there = python(context);
    const model = await loaded(await trained('a'));
    const out = join(directory, 'exported');
    await writeFiles(out, openClipExport(model));
    await expectSame(there, out, model);
  });

  it.for<[string, ModelConfig, string[]]>([
    ['QuickGELU', TINY, []],
    ['GELU', { ...TINY, quick_gelu: false }, []],
    ['half precision', TINY, ['--half']],
  ])('a model from there (%s) embeds the same here, trains on, and goes back', async ([, config, flags], context) => {
    const there = python(context);
    const hub = join(directory, 'hub');
    await there.run('make', hub, JSON.stringify(config), ...flags);
    const model = await loaded(hub);
    await expectSame(there, hub, model);
    const tuned = await loaded(await trained('b', 'file:hub', config));
    expect(tuned.values['visual.proj']).not.toEqual(model.values['visual.proj']);
    const out = join(directory, 'exported');
    await writeFiles(out, openClipExport(tuned));
    await expectSame(there, out, tuned);
  });

  it('position embeddings are resampled as there', async (context) => {
    const there = python(context);
    const hub = join(directory, 'hub');
    await there.run('make', hub, JSON.stringify(TINY));
    const config = {
      ...TINY,
      vision_cfg: { ...TINY.vision_cfg, image_size: 56 },
      text_cfg: { ...TINY.text_cfg, context_length: 11 },
    };
    const out = join(directory, 'resized.safetensors');
    await there.run('resize', hub, JSON.stringify(config), out);
    const { entries, data } = readSafetensors(await readFile(out));
    const { values } = await loaded(hub, { config });
    for (const name of ['visual.positional_embedding', 'positional_embedding'])
      expectAllClose(values[name]!, tensorFloats(entries.get(name)!, data), { atol: 1e-6, rtol: 1e-5 });
  });
});
