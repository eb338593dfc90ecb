import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseRunSpec } from '@clipyard/contracts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { applySettings, readSpecFile } from './spec-file.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'clipyard-spec-'));
});
afterEach(() => rm(folder, { recursive: true }));

describe('a spec file', () => {
  it('is YAML or JSON', async () => {
    await writeFile(join(folder, 'a.yaml'), 'version: 1\nbatch: { global: 8 }\noptimizer: { lr: 1.5e-3 }\n');
    await writeFile(join(folder, 'a.json'), '{"version": 1, "batch": {"global": 8}, "optimizer": {"lr": 1.5e-3}}');
    const fromYaml = await readSpecFile(join(folder, 'a.yaml'));
    expect(fromYaml).toEqual({ version: 1, batch: { global: 8 }, optimizer: { lr: 0.0015 } });
    expect(await readSpecFile(join(folder, 'a.json'))).toEqual(fromYaml);
  });

  it('that is missing, a directory or broken is named with a remedy', async () => {
    await writeFile(join(folder, 'broken.yaml'), 'version: 1\nbatch: {global: 8\nname: x\n');
    for (const [name, message] of [
      ['missing.yaml', /no such file/],
      ['.', /directory/],
      ['broken.yaml', /line \d/],
    ] as const) {
      const file = join(folder, name);
      await expect(readSpecFile(file)).rejects.toMatchObject({
        code: 'spec_invalid',
        fields: [{ path: 'file', value: file, message: expect.stringMatching(message), remedy: expect.any(String) }],
      });
    }
  });

  it('of the demo is valid', async () => {
    const spec = parseRunSpec(await readSpecFile(join(import.meta.dirname, '../../../examples/shapes.yaml')));
    expect(spec.resources.world).toEqual({ min: 1, max: 2 });
    expect(spec.labels).toMatchObject({ demo: 'shapes' });
  });
});

describe('--set', () => {
  const spec = { batch: { global: 8 }, data: { train: { urls: ['a', 'b'] } } };

  it('sets nested fields, list entries and new fields, typed as YAML, in a copy', () => {
    const result = applySettings(spec, [
      'batch.global=16',
      'data.train.urls[1]=c',
      'labels.team=vision',
      'optimizer.betas=[0.9, 0.95]',
      'optimizer.clipNorm=null',
      'name=a=b',
    ]);
    expect(result).toEqual({
      batch: { global: 16 },
      data: { train: { urls: ['a', 'c'] } },
      labels: { team: 'vision' },
      optimizer: { betas: [0.9, 0.95], clipNorm: null },
      name: 'a=b',
    });
    expect(spec.batch.global).toBe(8);
  });

  it('refuses what is not path=value, and paths through a value', () => {
    for (const setting of ['batch.global', '=3', 'batch.global.deep=3']) {
      expect(() => applySettings(spec, [setting])).toThrow(
        expect.objectContaining({
          code: 'spec_invalid',
          fields: [expect.objectContaining({ path: '--set', value: setting })],
        }),
      );
    }
  });
});
