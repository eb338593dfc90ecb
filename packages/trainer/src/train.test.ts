import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  type BlobStore,
  type CheckpointRecord,
  type Duration,
  parseRunSpec,
  type RankReport,
  type RunSpecInput,
} from '@clipyard/contracts';
import { type Engine, openEngine } from '@clipyard/engine';
import { openBlobStore } from '@clipyard/storage';
import { readSafetensors, tensorFloats, tensorValues } from '@clipyard/tensor';
import { builtTensorFlow, expectBitwise, referenceGroups, relativeDifference } from '@clipyard/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { evaluateRun } from './evaluate-run.js';
import { readScalars } from './tensorboard/test-read-scalars.js';
import { testRankStart } from './test-rank-start.js';
import { train } from './train.js';

const SPEC: RunSpecInput = {
  version: 1,
  name: 'test',
  model: {
    config: {
      embed_dim: 16,
      quick_gelu: true,
      vision_cfg: { image_size: 16, layers: 1, width: 16, patch_size: 8, head_width: 8 },
      text_cfg: { context_length: 16, vocab_size: 96, width: 16, heads: 2, layers: 1 },
    },
  },
  data: {
    train: { type: 'shapes', samples: 200 },
    eval: { type: 'shapes', seed: 1, samples: 128, split: 'all' },
    evalSamples: 128,
  },
  batch: { global: 16 },
  duration: { steps: 12 },
  optimizer: { lr: 1e-3 },
  checkpoint: { everySteps: 4, keepLast: 10 },
  seed: 3,
};

interface Outcome {
  readonly reports: RankReport[];
  readonly checkpoints: CheckpointRecord[];
  readonly logs: string[];
  readonly finished: boolean;
}

describe('a run', () => {
  let engine: Engine;
  let directory: string;
  beforeAll(async () => {
    engine = await openEngine({ engine: 'onnxruntime', threads: 1 });
  });
  afterAll(() => engine.close());
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'clipyard-train-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  /** Trains on W ranks in this process, into `<directory>/<job>`. */
  async function run(
    job: string,
    {
      worldSize = 1,
      spec = {},
      resume = [],
      epoch = 1,
      teacher,
      stopAtCheckpoint,
      saveAfterStep,
      pauseAt,
      expire = () => [],
      on = engine,
    }: {
      worldSize?: number;
      spec?: Partial<RunSpecInput>;
      resume?: CheckpointRecord[];
      epoch?: number;
      /** What `loss.distill.from` names. */
      teacher?: CheckpointRecord;
      stopAtCheckpoint?: number;
      /** Told to stop with a checkpoint while the metrics of that step, or a later one, are reported. */
      saveAfterStep?: number;
      pauseAt?: Duration;
      /** What retention lets go when this checkpoint is recorded. */
      expire?: (checkpoint: CheckpointRecord) => { step: number; prefix: string }[];
      on?: Engine;
    } = {},
  ): Promise<Outcome> {
    const store = await openBlobStore(pathToFileURL(directory).href);
    const stop = new AbortController();
    const save = new AbortController();
    // Told to stop while that checkpoint is being written: the step at hand ends, and the checkpoint is completed.
    const stopping: BlobStore = {
      url: store.url,
      put: (key, body, options) => {
        if (key.includes(`/step-${stopAtCheckpoint}/`)) stop.abort();
        return store.put(key, body, options);
      },
      read: (key, options) => store.read(key, options),
      stat: (key, options) => store.stat(key, options),
      list: (prefix, options) => store.list(prefix, options),
      delete: (prefix, options) => store.delete(prefix, options),
    };
    const reports: RankReport[] = [];
    const checkpoints: CheckpointRecord[] = [];
    const logs: string[] = [];
    const results = await Promise.all(
      referenceGroups(worldSize).map((group) =>
        train(
          {
            engine: on,
            group,
            store: stopping,
            report: (report) => {
              if (group.rank === 0) reports.push(report);
              if (report.type === 'metrics' && saveAfterStep !== undefined && report.step >= saveAfterStep)
                save.abort();
            },
            recordCheckpoint: async (checkpoint) => {
              checkpoints.push(checkpoint);
              return expire(checkpoint);
            },
            log: (_level, message) => logs.push(message),
          },
          {
            signal: stop.signal,
            save: save.signal,
            start: testRankStart(
              { job, spec: { ...SPEC, ...spec }, directory, storageUrl: store.url },
              {
                rank: group.rank,
                worldSize,
                epoch,
                checkpoints: [...resume].sort((a, b) => b.step - a.step),
                ...(teacher === undefined ? {} : { teacher }),
                ...(pauseAt === undefined ? {} : { pauseAt }),
              },
            ),
          },
        ),
      ),
    );
    return { reports, checkpoints, logs, finished: results.every(({ finished }) => finished) };
  }

  const file = async (job: string, step: number, name: string): Promise<Uint8Array> =>
    new Uint8Array(await readFile(join(directory, 'runs', job, `step-${step}`, name)));

  /** The values of a safetensors file, all tensors one after another. */
  async function weights(job: string, step: number): Promise<Float32Array> {
    const bytes = await file(job, step, 'model.safetensors');
    const header = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    return new Float32Array(bytes.slice(8 + header).buffer);
  }

  it('reports its plan and metrics, and leaves checkpoints that hold what the manifest says', async () => {
    const { reports, checkpoints, finished } = await run('a', {
      spec: { evaluate: { everySteps: 6, tasks: [{ type: 'zeroshot' }, { type: 'retrieval' }] } },
    });
    expect(finished).toBe(true);
    expect(reports.find(({ type }) => type === 'plan')).toMatchObject({
      totalSteps: 12,
      startStep: 0,
      trainSamples: 200,
      engine: 'onnxruntime',
    });
    const last = reports.filter((report) => report.type === 'metrics').at(-1)!;
    expect(last.step).toBe(12);
    expect(last.values).toMatchObject({
      loss: expect.any(Number),
      'speed/samples_per_second': expect.any(Number),
      grad_norm: expect.any(Number),
    });
    const evaluations = reports.filter((report) => report.type === 'evaluation');
    expect(evaluations.map(({ step, final }) => [step, final])).toEqual([
      [6, false],
      [12, true],
    ]);
    expect(Object.keys(evaluations[1]!.values)).toEqual(
      expect.arrayContaining([
        'eval/zeroshot/top1',
        'eval/zeroshot/seen',
        'eval/zeroshot/unseen',
        'eval/retrieval/image_to_text/r1',
        'eval/retrieval/text_to_image/r10',
      ]),
    );
    expect(evaluations[1]!.samples).toHaveLength(3);
    expect(checkpoints.map(({ step, position }) => [step, position])).toEqual([
      [4, 64],
      [8, 128],
      [12, 192],
    ]);
    const names = [
      'manifest.json',
      'model.safetensors',
      'open_clip_config.json',
      'optim-0-of-1.safetensors',
      'state.json',
      'tokenizer.json',
    ];
    expect((await readdir(join(directory, 'runs', 'a', 'step-12'))).sort()).toEqual(names);
  });

  it('leaves its metrics as TensorBoard reads them, of a resumed run without the steps that it trained again', async () => {
    const spec = { health: { everySteps: 2 } };
    const read = () => readScalars(join(directory, 'runs', 'a', 'tensorboard'), 'loss');
    const first = await run('a', { spec, stopAtCheckpoint: 8 });
    const before = await read();
    const second = await run('a', { spec, resume: first.checkpoints.filter(({ step }) => step <= 4), epoch: 2 });
    const told = ({ reports }: Outcome) =>
      reports.flatMap((r) => (r.type === 'metrics' ? [[r.step, Math.fround(r.values.loss!)]] : []));
    expect(before).toEqual(told(first));
    expect(await read()).toEqual([...before.filter(([step]) => step <= 4), ...told(second)]);
  });

  it('tells the health of its batches every so many steps, the same on any number of ranks', async () => {
    const spec = { health: { everySteps: 4 }, optimizer: { lr: 1e-4 } };
    const healthOf = ({ reports }: Outcome) =>
      reports.flatMap((report) => {
        if (report.type !== 'metrics' || !('health/alignment' in report.values)) return [];
        const { 'time/health_ms': _, ...values } = report.values;
        const health = Object.entries(values).filter(([name]) => name.startsWith('health/') || name === 'grad_norm');
        return [{ step: report.step, values: Object.fromEntries(health) }];
      });
    const alone = healthOf(await run('a', { spec }));
    expect(alone.map(({ step }) => step)).toEqual([4, 8, 12]);
    for (const { values } of alone) {
      // The logit scale has a gradient too.
      const towers = Math.hypot(values['health/image/grad_norm']!, values['health/text/grad_norm']!);
      expect(towers / values.grad_norm!).toBeGreaterThan(0.9);
      expect(towers).toBeLessThanOrEqual(values.grad_norm! * (1 + 1e-6));
      expect(values['health/image_to_text/entropy']).toBeLessThan(Math.log(16));
    }
    for (const worldSize of [2, 4]) {
      const together = healthOf(await run(`w${worldSize}`, { spec, worldSize }));
      for (const [index, { values }] of together.entries())
        for (const [name, value] of Object.entries(values))
          expect(Math.abs(value - alone[index]!.values[name]!), name).toBeLessThan(1e-3 * Math.max(1, Math.abs(value)));
    }
    expect(healthOf(await run('none', { spec: { health: { everySteps: null } } }))).toEqual([]);
  });

  it('a job of type evaluate finds in a checkpoint what the run found at its end, on any number of ranks, also by its directory', async () => {
    const tasks: RunSpecInput['evaluate'] = { tasks: [{ type: 'zeroshot' }, { type: 'retrieval' }] };
    const optimizer = { lr: 1e-3, emaDecay: 0.5 };
    const { reports, checkpoints } = await run('a', { spec: { evaluate: tasks, optimizer } });
    const expected = reports.filter((report) => report.type === 'evaluation').at(-1)!;
    const store = await openBlobStore(pathToFileURL(directory).href);
    for (const [worldSize, init] of [
      [1, 'job:a@12'],
      [3, 'job:a@12'],
      [1, 'file:runs/a/step-12'],
    ] as const) {
      const spec = parseRunSpec({
        ...SPEC,
        type: 'evaluate',
        model: { init },
        data: { eval: SPEC.data.eval, evalSamples: 128 },
        evaluate: tasks,
      });
      const found: RankReport[] = [];
      await Promise.all(
        referenceGroups(worldSize).map((group) =>
          evaluateRun(
            { engine, group, store, log: () => undefined, report: (report) => found.push(report) },
            {
              jobId: 'b',
              jobName: 'b',
              epoch: 1,
              rank: group.rank,
              worldSize,
              spec,
              checkpoints: [],
              ...(init.startsWith('job:') && { init: checkpoints.at(-1)! }),
              secret: '',
              storageUrl: store.url,
              dataDir: directory,
              cacheDir: directory,
              listenHost: '127.0.0.1',
              advertiseHost: '127.0.0.1',
              threads: 1,
              slot: 0,
            },
            new AbortController().signal,
          ),
        ),
      );
      const evaluations = found.filter((report) => report.type === 'evaluation');
      expect(evaluations).toHaveLength(1);
      expect(evaluations[0]).toMatchObject({
        step: 12,
        final: true,
        results: [{ task: 'zeroshot' }, { task: 'retrieval' }],
      });
      expect(evaluations[0]!.samples).toHaveLength(3);
      for (const [name, value] of Object.entries(expected.values))
        expect(evaluations[0]!.values[name], name).toBeCloseTo(value, 5);
    }
  });

  it('counts the unusable samples of all ranks', async () => {
    const rows = Array.from({ length: 32 }, (_, i) => `p.png\t${i < 8 ? ' ' : `a caption ${i}`}\n`);
    await writeFile(join(directory, 't.tsv'), `filepath\ttitle\n${rows.join('')}`);
    const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==';
    await writeFile(join(directory, 'p.png'), Buffer.from(png, 'base64'));
    const data = { train: { type: 'csv' as const, urls: ['t.tsv'], maxBadFraction: 0.5 } };
    for (const worldSize of [1, 2]) {
      const { reports } = await run(`bad-${worldSize}`, { worldSize, spec: { data, duration: { epochs: 1 } } });
      const last = reports.filter((report) => report.type === 'metrics').at(-1)!;
      expect(last.values['data/bad_samples']).toBe(8);
    }
  });

  it('gives the same weights bitwise when it is run again', async () => {
    await run('a', { worldSize: 2 });
    await run('b', { worldSize: 2 });
    expectBitwise(await weights('a', 12), await weights('b', 12));
  });

  it('trains the same on two ranks of the tensorflow engine', async (context) => {
    const built = builtTensorFlow();
    if ('missing' in built) return context.skip(`the tensorflow engine is missing: ${built.missing}`);
    const tensorFlow = await openEngine({ engine: 'tensorflow', threads: 1, ...built });
    try {
      const { finished, reports } = await run('a', { worldSize: 2, on: tensorFlow });
      expect(finished).toBe(true);
      expect(reports.find(({ type }) => type === 'plan')).toMatchObject({ engine: 'tensorflow' });
      await run('b', { worldSize: 2 });
      expect(relativeDifference(await weights('a', 12), await weights('b', 12))).toBeLessThan(5e-5);
      const resumed = await run('c', { worldSize: 2, on: tensorFlow, stopAtCheckpoint: 4 });
      await run('c', { worldSize: 2, on: tensorFlow, resume: resumed.checkpoints });
      expectBitwise(await weights('c', 12), await weights('a', 12));
    } finally {
      await tensorFlow.close();
    }
  });

  it.each([
    {
      optimizer: { momentDtype: 'bf16', emaDecay: 0.9, layerDecay: 0.7, clipNorm: 1 },
      precision: { compute: 'fp16', textWeights: 'bf16' },
    },
    { optimizer: { momentDtype: 'fp16', emaDecay: 0.9 }, precision: { compute: 'bf16', textWeights: 'fp16' } },
  ] as const)('resumes with %j bitwise, on two ranks', async ({ optimizer, precision }) => {
    const model = { ...SPEC.model, lock: { image: true, imageUnlockedGroups: 2 } };
    const spec: Partial<RunSpecInput> = { optimizer: { lr: 1e-3, ...optimizer }, precision, model };
    await run('a', { worldSize: 2, spec });
    const { checkpoints } = await run('b', { worldSize: 2, spec, stopAtCheckpoint: 4 });
    await run('b', { worldSize: 2, spec, resume: checkpoints });
    for (const name of ['model.safetensors', 'model_ema.safetensors', 'optim-1-of-2.safetensors'])
      expectBitwise(await file('a', 12, name), await file('b', 12, name));
    const first = readSafetensors(await file('a', 4, 'model.safetensors'));
    const last = readSafetensors(await file('a', 12, 'model.safetensors'));
    const moved = (name: string) =>
      relativeDifference(
        tensorFloats(first.entries.get(name)!, first.data),
        tensorFloats(last.entries.get(name)!, last.data),
      );
    expect(moved('visual.conv1.weight')).toBe(0);
    expect(moved('visual.proj')).toBeGreaterThan(0);
    expect(moved('token_embedding.weight')).toBeGreaterThan(0);
    expect(last.entries.get('token_embedding.weight')!.dtype).toBe(precision.textWeights === 'bf16' ? 'BF16' : 'F16');
    expect(last.entries.get('ln_final.weight')!.dtype).toBe('F32');
  });

  it.each([1, 2])('resumed on %i ranks equals never stopped, bitwise, moments included', async (worldSize) => {
    const whole = await run('a', { worldSize });
    const stopped = await run('b', { worldSize, stopAtCheckpoint: 4 });
    expect(stopped.finished).toBe(false);
    expect(stopped.checkpoints.map(({ step }) => step)).toEqual([4]);
    await run('b', { worldSize, resume: stopped.checkpoints });
    expectBitwise(await weights('a', 12), await weights('b', 12));
    for (const { name, step } of whole.checkpoints.flatMap(({ files, step }) =>
      files.map(({ name }) => ({ name, step })),
    )) {
      if (name.startsWith('optim')) expectBitwise(await file('a', step, name), await file('b', step, name));
    }
  });

  it('goes on with the tokenizer of its checkpoint when the vocabulary file has changed or is gone', async () => {
    const path = join(directory, 'v.txt');
    const vocabulary = '#version: 0.2\nr e\nre d</w>\na n\nl e\nc i\no f</w>';
    const config = SPEC.model.config as { text_cfg: object };
    const model = {
      config: { ...config, text_cfg: { ...config.text_cfg, vocab_size: 520 } },
      tokenizer: 'file:v.txt',
    } as const;
    await writeFile(path, vocabulary);
    await run('a', { spec: { model } });
    const { checkpoints } = await run('b', { spec: { model }, stopAtCheckpoint: 4 });
    await writeFile(path, vocabulary.replace('r e', 'e d'));
    await run('b', { spec: { model }, resume: checkpoints.filter(({ step }) => step === 4) });
    expectBitwise(await weights('a', 12), await weights('b', 12));
    await rm(path);
    await run('b', { spec: { model }, resume: checkpoints });
    const { type, merges } = JSON.parse(new TextDecoder().decode(await file('b', 12, 'tokenizer.json')));
    expect({ type, merges }).toEqual({ type: 'bpe', merges: vocabulary.split('\n').slice(1) });
  });

  it('learns from a teacher, a checkpoint in the store or its files, and resumes bitwise', async () => {
    const teacher = (await run('teacher')).checkpoints.at(-1)!;
    const distill = (from: string) => ({ loss: { distill: { from, weight: 2, temperature: 2 } } });
    const fromFiles = { spec: distill('file:runs/teacher/step-12'), worldSize: 2 };
    const { reports, checkpoints } = await run('a', fromFiles);
    const { values } = reports.filter((report) => report.type === 'metrics').at(-1)!;
    expect(values.loss).toBeCloseTo(values['loss/contrastive']! + values['loss/distillation']!, 10);
    expect(values['loss/distillation']).toBeGreaterThan(0);
    await run('b', { ...fromFiles, resume: [checkpoints.find(({ step }) => step === 8)!] });
    expectBitwise(await weights('b', 12), await weights('a', 12));
    await run('c', { spec: distill('job:teacher@12'), worldSize: 2, teacher });
    expectBitwise(await weights('c', 12), await weights('a', 12));
    await run('alone', { worldSize: 2 });
    expect(relativeDifference(await weights('alone', 12), await weights('a', 12))).toBeGreaterThan(1e-3);
  });

  it('refuses a teacher that reads other pictures or tokens, or is gone, by name', async () => {
    await run('teacher', { spec: { duration: { steps: 1 } } });
    const { config } = SPEC.model as { config: { vision_cfg: object; text_cfg: object } };
    const loss = { distill: { from: 'file:runs/teacher/step-1' } };
    const refusal = (message: string) => ({
      code: 'checkpoint_incompatible',
      fields: [{ path: 'loss.distill.from', message: expect.stringContaining(message), remedy: expect.any(String) }],
    });
    const larger = { config: { ...config, vision_cfg: { ...config.vision_cfg, image_size: 32 } } };
    await expect(run('a', { spec: { loss, model: larger } })).rejects.toMatchObject(refusal('of 16 pixels'));
    const wordy = { config: { ...config, text_cfg: { ...config.text_cfg, vocab_size: 64 } } };
    await expect(run('a', { spec: { loss, model: wordy } })).rejects.toMatchObject(refusal('another tokenizer'));
    await expect(run('a', { spec: { loss: { distill: { from: 'file:none' } } } })).rejects.toMatchObject({
      code: 'data_not_found',
      fields: [{ path: 'loss.distill.from' }],
    });
    await expect(run('a', { spec: { loss: { distill: { from: 'job:gone@1' } } } })).rejects.toMatchObject({
      code: 'not_found',
      fields: [{ path: 'loss.distill.from', value: 'job:gone@1' }],
    });
  });

  it('keeps the bias of SigLIP in checkpoints, where open_clip looks for it, and resumes bitwise', async () => {
    const spec = { loss: { type: 'siglip', initLogitBias: -5, maskDuplicates: 'caption' } as const };
    const { reports, checkpoints } = await run('a', { worldSize: 2, spec });
    const { values } = reports.filter((report) => report.type === 'metrics').at(-1)!;
    const { entries, data } = readSafetensors(await file('a', 12, 'model.safetensors'));
    const bias = tensorFloats(entries.get('logit_bias')!, data);
    expect(values.logit_bias).toBe(bias[0]);
    expect(bias[0]).not.toBe(-5);
    expect(Math.abs(bias[0]! + 5)).toBeLessThan(12 * 1.1e-3);
    const config = JSON.parse(new TextDecoder().decode(await file('a', 12, 'open_clip_config.json')));
    expect(config.model_cfg.init_logit_bias).toBe(-5);
    await run('b', { worldSize: 2, spec, resume: [checkpoints.find(({ step }) => step === 8)!] });
    expectBitwise(await weights('a', 12), await weights('b', 12));
  });

  it.each(['local', 'global'] as const)(
    'of a ResNet with %s batch norm, resumed, equals never stopped, running statistics included',
    async (batchNorm) => {
      const config = {
        ...(SPEC.model as { config: object }).config,
        vision_cfg: { image_size: 32, layers: [1, 1, 1, 1], width: 4, patch_size: null },
      };
      const spec: Partial<RunSpecInput> = {
        model: { config, batchNorm },
        evaluate: { tasks: [{ type: 'retrieval' }] },
      };
      const whole = await run('a', { worldSize: 2, spec });
      const stopped = await run('b', { worldSize: 2, spec, stopAtCheckpoint: 4 });
      const rest = await run('b', { worldSize: 2, spec, resume: stopped.checkpoints });
      expectBitwise(await weights('b', 12), await weights('a', 12));
      const [evaluated, again] = [whole, rest].map(({ reports }) => reports.find(({ type }) => type === 'evaluation'));
      expect(again).toEqual(evaluated);
      const { entries, data } = readSafetensors(await file('b', 12, 'model.safetensors'));
      const counter = entries.get('visual.layer4.0.downsample.1.num_batches_tracked')!;
      expect([counter.dtype, counter.shape, tensorValues(counter, data)[0]]).toEqual(['I64', [], 12n]);
      const variances = tensorFloats(entries.get('visual.bn1.running_var')!, data);
      expect(variances.every((variance) => variance > 0 && variance !== 1)).toBe(true);
    },
  );

  it.each([
    [1, 2],
    [2, 1],
    [2, 4],
    [4, 2],
  ])('resumed on another number of ranks (%i, then %i) goes on with the same global batches', async (before, after) => {
    await run('a');
    const stopped = await run('b', { worldSize: before, stopAtCheckpoint: 4 });
    await run('b', { worldSize: after, resume: stopped.checkpoints });
    expect(relativeDifference(await weights('b', 12), await weights('a', 12))).toBeLessThan(5e-5);
  });

  it('passes over a damaged checkpoint, says so, and still ends as if never stopped', async () => {
    await run('a');
    const { checkpoints } = await run('b', { stopAtCheckpoint: 8 });
    expect(checkpoints.map(({ step }) => step)).toEqual([4, 8]);
    const path = join(directory, 'runs', 'b', 'step-8', 'optim-0-of-1.safetensors');
    const bytes = await readFile(path);
    bytes[bytes.length - 5]! ^= 1;
    await writeFile(path, bytes);
    const { logs } = await run('b', { resume: checkpoints });
    expect(logs).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/step 8 cannot be used.*optim-0-of-1.safetensors does not match its sha256/),
        expect.stringMatching(/Resuming from the checkpoint of step 4/),
      ]),
    );
    expectBitwise(await weights('b', 12), await weights('a', 12));
  });

  it('pauses where it is to, evaluated and with a checkpoint, and goes on as if never stopped', async () => {
    const evaluate = { tasks: [{ type: 'retrieval' as const }] };
    await run('a', { worldSize: 2, spec: { evaluate } });
    const paused = await run('b', { worldSize: 2, spec: { evaluate }, pauseAt: { samples: 81 } });
    expect(paused.finished).toBe(false);
    expect(paused.checkpoints.map(({ step }) => step)).toEqual([4, 6]);
    expect(paused.reports.find(({ type }) => type === 'plan')).toMatchObject({ totalSteps: 12, pauseStep: 6 });
    expect(paused.reports.filter(({ type }) => type === 'evaluation')).toMatchObject([{ step: 6, final: false }]);
    expect(paused.reports.filter(({ type }) => type === 'metrics').at(-1)).toMatchObject({ step: 6 });
    const again = await run('b', { worldSize: 2, resume: paused.checkpoints, pauseAt: { steps: 6 } });
    expect([again.finished, again.checkpoints]).toEqual([false, []]);
    const rest = await run('b', {
      worldSize: 2,
      spec: { evaluate },
      resume: paused.checkpoints,
      pauseAt: { steps: 12 },
    });
    expect(rest.finished).toBe(true);
    expectBitwise(await weights('b', 12), await weights('a', 12));
  });

  it('stops with a checkpoint of the step at hand when it is asked to save, and goes on as if never stopped', async () => {
    await run('a', { worldSize: 2 });
    const saved = await run('b', { worldSize: 2, saveAfterStep: 1 });
    expect(saved.finished).toBe(false);
    const at = saved.checkpoints.at(-1)!.step;
    expect(at).toBeLessThanOrEqual(3);
    await run('b', { worldSize: 2, resume: saved.checkpoints });
    expectBitwise(await weights('b', 12), await weights('a', 12));
  });

  it('fails rather than pause without its checkpoint', async () => {
    await writeFile(join(directory, 'runs'), 'no folder');
    await expect(run('a', { pauseAt: { steps: 2 } })).rejects.toMatchObject({ code: 'storage_failed' });
  });

  it('keeps a checkpoint that is on record when an older one cannot be removed', async () => {
    // A prefix that the store refuses to delete.
    const expire = ({ step }: CheckpointRecord) => (step === 8 ? [{ step: 4, prefix: '../elsewhere' }] : []);
    const { checkpoints, logs, finished } = await run('kept', { expire });
    expect(finished).toBe(true);
    expect(logs.join('\n')).toContain('Could not remove the expired checkpoint of step 4');
    for (const { prefix } of checkpoints) expect(await readdir(join(directory, prefix))).toContain('manifest.json');
  });

  it('starts again when no checkpoint is whole, and removes what a dead attempt left half-written', async () => {
    await run('a');
    const { checkpoints } = await run('b', { stopAtCheckpoint: 4 });
    await rm(join(directory, 'runs', 'b', 'step-4', 'model.safetensors'));
    await rm(join(directory, 'runs', 'a', 'step-4'), { recursive: true });
    const store = await openBlobStore(pathToFileURL(directory).href);
    await store.put('runs/b/step-6/model.safetensors', Uint8Array.of(1, 2, 3));
    const { logs } = await run('b', { resume: checkpoints });
    expect(logs).toEqual(expect.arrayContaining([expect.stringMatching(/starting again from step 0/)]));
    expectBitwise(await weights('b', 12), await weights('a', 12));
    expect(await readdir(join(directory, 'runs', 'b'))).not.toContain('step-6');
  });

  it('stops with the step named when the loss is not finite, and keeps the last good checkpoint', async () => {
    const spec = {
      optimizer: { lr: 10, weightDecay: 0 },
      checkpoint: { everySteps: 1, keepLast: 10 },
      duration: { steps: 4000 },
    };
    const store = await openBlobStore(pathToFileURL(directory).href);
    await expect(
      run('a', { spec: { ...spec, optimizer: { lr: 10, betas: [0, 0], eps: 1e-38, weightDecay: 10 } } }),
    ).rejects.toMatchObject({
      code: 'loss_not_finite',
      message: expect.stringMatching(/step \d+/),
      fields: [{ path: 'optimizer.lr', value: 10, remedy: expect.any(String) }],
    });
    const kept: string[] = [];
    for await (const { key } of store.list('runs/a/')) if (key.endsWith('manifest.json')) kept.push(key);
    expect(kept.length).toBeGreaterThan(0);
  });

  it('refuses a checkpoint of another model', async () => {
    const { checkpoints } = await run('a', { stopAtCheckpoint: 4 });
    const model = { config: { ...(SPEC.model.config as object), embed_dim: 32 } };
    await expect(run('a', { resume: checkpoints, spec: { model } })).rejects.toMatchObject({
      code: 'checkpoint_incompatible',
    });
  });
});
