import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openEngine } from './open-engine.js';

// In a file of its own: koffi, by which both engines reach C, takes its settings once in a process.
it('auto falls back to onnxruntime after it has tried an engine for GPUs that cannot be opened', async () => {
  const enginesDir = await mkdtemp(join(tmpdir(), 'clipyard-engines-'));
  try {
    const folder = join(enginesDir, 'tensorflow-0-gpu');
    await mkdir(folder);
    const manifest = {
      ...{ format: 1, engine: 'tensorflow', version: '0', platform: process.platform, arch: process.arch, gpu: true },
      ...{ source: 'a test', library: 'tensorflow', builtAt: '2026-01-01T00:00:00.000Z' },
    };
    await writeFile(join(folder, 'engine.json'), JSON.stringify(manifest));
    await writeFile(join(folder, 'tfjs_binding.node'), 'no library');
    const engine = await openEngine({ engine: 'auto', enginesDir });
    expect(engine.name).toBe('onnxruntime');
    await engine.close();
  } finally {
    await rm(enginesDir, { recursive: true });
  }
});
