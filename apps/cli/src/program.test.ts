import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseRunSpec } from '@clipyard/contracts';
import { parameterSpecs, parseModelConfig } from '@clipyard/model';
import { writeSafetensors } from '@clipyard/tensor';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from './config.js';
import type { Context } from './context.js';
import { TextTerminal } from './output/text-terminal.js';
import { runProgram } from './program.js';

let home: string;
let terminal: TextTerminal;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'clipyard-cli-'));
  terminal = new TextTerminal();
});
afterEach(() => rm(home, { recursive: true }));

function run(...argv: string[]): Promise<number> {
  const context: Context = {
    config: loadConfig({ CLIPYARD_HOME: home }),
    terminal,
    readSecret: async () => '',
    signal: new AbortController().signal,
  };
  return runProgram(argv, context);
}

describe('the command line', () => {
  it('ends with 0 for help and 2 for what it does not know', async () => {
    expect(await run('--help')).toBe(0);
    expect(terminal.text).toContain('submit');
    expect(await run('fly')).toBe(2);
    expect(await run('ps', '--state', 'asleep')).toBe(2);
    expect(await run('ps', '--limit', 'many')).toBe(2);
    expect(await run('watch')).toBe(2);
    expect(terminal.errors.join('\n')).toContain("unknown command 'fly'");
  });

  it('names an address that no server can have', async () => {
    const code = 'request_invalid';
    for (const value of ['notaurl', 'ftp://127.0.0.1'])
      await expect(run('ps', '--url', value)).rejects.toMatchObject({ code, fields: [{ path: '--url', value }] });
  });

  it('names a server that does not answer', async () => {
    await expect(run('ps', '--url', 'http://127.0.0.1:9')).rejects.toMatchObject({ code: 'server_unreachable' });
  });

  it('finds the server of a running `clipyard up` by its file', async () => {
    const server = { url: 'http://127.0.0.1:10', pids: { up: 1, api: 2, worker: 3 } };
    await writeFile(join(home, 'server.json'), JSON.stringify(server));
    await expect(run('nodes')).rejects.toMatchObject({ code: 'server_unreachable', fields: [{ value: server.url }] });
  });
});

describe('interchange', () => {
  const config = {
    embed_dim: 4,
    quick_gelu: true,
    vision_cfg: { image_size: 8, layers: 1, width: 8, patch_size: 4, head_width: 4 },
    text_cfg: { context_length: 6, vocab_size: 20, width: 8, heads: 2, layers: 1 },
  };

  it('imports weights of open_clip, and exports them for open_clip and as .onnx', async () => {
    const file = join(home, 'weights.safetensors');
    const tensors = parameterSpecs(parseModelConfig(config)).map(({ name, shape }) => {
      const data = new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(0.5);
      return { name, dtype: 'F32' as const, shape, data };
    });
    const chunks: Uint8Array[] = [];
    for await (const chunk of writeSafetensors(tensors).chunks()) chunks.push(chunk);
    await writeFile(file, Buffer.concat(chunks));
    await writeFile(join(home, 'model.json'), JSON.stringify(config));
    const [imported, exported, onnx] = [join(home, 'imported'), join(home, 'exported'), join(home, 'onnx')];

    expect(await run('import', file, '--out', imported, '--model', join(home, 'model.json'))).toBe(0);
    expect(terminal.text).toContain('model.safetensors, open_clip_config.json, state.json, manifest.json');
    expect(terminal.errors.join()).toContain('do not say whether they were made with QuickGELU');
    expect(await run('export', imported, '--out', exported, '--json')).toBe(0);
    const { path, files } = JSON.parse(terminal.lines.at(-1)!) as { path: string; files: { name: string }[] };
    expect(path).toBe(exported);
    expect(files.map(({ name }) => name)).toEqual([
      'open_clip_model.safetensors',
      'open_clip_config.json',
      'README.md',
    ]);
    expect(await run('export', exported, '--out', onnx, '--format', 'onnx', '--batch', '2')).toBe(0);
    expect((await readdir(onnx)).sort()).toEqual(['README.md', 'open_clip_config.json', 'textual.onnx', 'visual.onnx']);
  });

  it('names what cannot be read or written', async () => {
    const code = 'request_invalid';
    await expect(run('import', join(home, 'none'), '--out', join(home, 'out'))).rejects.toMatchObject({
      code: 'data_not_found',
      fields: [{ path: 'source' }],
    });
    await writeFile(join(home, 'full'), '');
    await expect(run('export', home, '--out', home)).rejects.toMatchObject({ code, fields: [{ path: '--out' }] });
    await expect(run('export', home, '--out', join(home, 'full'))).rejects.toMatchObject({ code });
    await expect(run('import', home, '--out', join(home, 'x'), '--model', 'none')).rejects.toMatchObject({
      code: 'model_config_invalid',
      fields: [{ path: '--model', value: 'none' }],
    });
    expect(await run('export', home, '--out', join(home, 'x'), '--batch', '0')).toBe(2);
  });
});

describe('presets', () => {
  it('lists them, and shows one as a run spec that only lacks data', async () => {
    expect(await run('presets', 'list')).toBe(0);
    expect(terminal.text).toMatch(/^RN50 +102\.0 M +224 x 224 +1024 +the paper's$/m);
    terminal = new TextTerminal();
    expect(await run('presets', 'show', 'RN50-quickgelu')).toBe(0);
    const spec = parseRunSpec({ ...parse(terminal.text), data: { train: { type: 'shapes' } } });
    expect(spec).toMatchObject({
      model: { preset: 'RN50-quickgelu' },
      batch: { global: 32768 },
      duration: { epochs: 32 },
      optimizer: { lr: 5e-4, betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0.2 },
    });
    await expect(run('presets', 'show', 'RN51')).rejects.toMatchObject({ code: 'preset_unknown' });
  });
});

describe('data', () => {
  it('packs a folder of pictures with captions, indexes and inspects it', async () => {
    const folder = join(home, 'pictures');
    await mkdir(join(folder, 'sub'), { recursive: true });
    for (const [name, caption] of [
      ['a', 'a red square'],
      ['sub/b.1', 'a blue square'],
      ['c', undefined],
    ] as const) {
      await sharp({ create: { width: 8, height: 8, channels: 3, background: name === 'a' ? 'red' : 'blue' } })
        .png()
        .toFile(join(folder, `${name}.png`));
      if (caption !== undefined) await writeFile(join(folder, `${name}.txt`), `${caption}\n`);
    }
    expect(await run('data', 'pack', folder, '--out', join(home, 'data', 'squares'))).toBe(0);
    expect(terminal.text).toMatch(/train: 2 samples, .*in a run spec: squares\/train-00000\.tar/);
    expect(await run('data', 'index', 'squares/train-00000.tar')).toBe(0);
    expect(terminal.lines.at(-1)).toBe('2 samples in 1 file');
    terminal.lines.length = 0;
    expect(await run('data', 'inspect', join(home, 'data', 'squares', 'train-00000.tar'), '--json')).toBe(0);
    expect(JSON.parse(terminal.text)).toMatchObject({ samples: 2, shards: 1, bad: 0, captions: { distinct: 2 } });
  });

  it('names what is missing', async () => {
    await expect(run('data', 'pack', join(home, 'none'), '--out', home)).rejects.toMatchObject({
      code: 'data_not_found',
    });
    await expect(run('data', 'inspect', 'none.tar')).rejects.toMatchObject({ code: 'data_not_found' });
    await expect(run('data', 'inspect', 'none.txt')).rejects.toMatchObject({
      code: 'request_invalid',
      fields: [{ path: 'files' }],
    });
  });
});

describe('tokenizer', () => {
  it('shows the ids that CLIP gives a caption', async () => {
    expect(await run('tokenizer', 'encode', 'A café 😀')).toBe(0);
    const rows = terminal.lines.map((line) => line.trim().split(/\s+/));
    expect(rows).toEqual([
      ['ID', 'TEXT'],
      ['49406', '<start_of_text>'],
      ['320', 'a'],
      ['15304', 'café'],
      ['7334', '😀'],
      ['49407', '<end_of_text>'],
    ]);
  });

  it('trains on lines of text, and says what is left to do', async () => {
    const captions = join(home, 'captions.txt');
    await writeFile(captions, 'a red square\n\na RED circle\r\nred\n');
    const out = join(home, 'tokens.txt');
    expect(await run('tokenizer', 'train', '--data', captions, '--vocab', '520', '--out', out)).toBe(0);
    expect(terminal.text).toMatch(/^520 tokens from 3 captions of 4 words: .*\nPut it below the data directory/);
    expect(await run('tokenizer', 'train', '--data', captions, '--out', join(home, 'data', 't.txt'))).toBe(0);
    expect(terminal.text).toMatch(/no more pairs, so it has not the 8192.*\n.*model.tokenizer: file:t.txt/);
    terminal.lines.length = 0;
    expect(await run('tokenizer', 'encode', '--tokenizer', 'file:t.txt', '--json', 'Red squares')).toBe(0);
    expect((JSON.parse(terminal.text) as { ids: number[] }).ids.length).toBeGreaterThan(4);
  });

  it.each([
    ['request_invalid', '--vocab', ['train', '--data', 'c.txt', '--out', 't.txt', '--vocab', '100']],
    ['data_not_found', '--data', ['train', '--data', 'none.txt', '--out', 't.txt']],
    ['request_invalid', '--data', ['train', '--data', 'pictures.zip', '--out', 't.txt']],
    ['request_invalid', '--tokenizer', ['encode', '--tokenizer', 'gpt', 'a']],
    ['data_not_found', '--tokenizer', ['encode', '--tokenizer', 'file:none.txt', 'a']],
    ['request_invalid', '--context', ['encode', '--context', '1', 'a']],
  ])('ends with %s that names %s', async (code, path, argv) => {
    await expect(run('tokenizer', ...argv)).rejects.toMatchObject({
      code,
      fields: [{ path, remedy: expect.any(String) }],
    });
  });
});
