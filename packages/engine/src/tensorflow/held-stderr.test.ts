import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { builtTensorFlow } from '@clipyard/testkit';
import { afterEach, beforeEach, expect, it } from 'vitest';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'clipyard-stderr-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** A process of its own: stderr is the whole process's. */
function stderrOf(script: string, env: Record<string, string> = {}): string {
  const file = join(folder, 'script.mjs');
  writeFileSync(file, script);
  const { stderr, status } = spawnSync(process.execPath, [file], { encoding: 'utf8', env: { ...process.env, ...env } });
  expect(status, stderr).toBe(0);
  return stderr;
}

const built = (path: string): string => JSON.stringify(new URL(`../../dist/${path}`, import.meta.url).href);

it('hands on what was written meanwhile, but for the lines that are dropped, also when it throws', () => {
  const stderr = stderrOf(`
    import { writeSync } from 'node:fs';
    import { withHeldStderr } from ${built('tensorflow/held-stderr.js')};
    const held = (fn) => withHeldStderr((line) => line.startsWith('noise'), fn);
    writeSync(2, 'before\\n');
    const value = held(() => { writeSync(2, 'noise 1\\nnews\\nno newline'); return 7; });
    writeSync(2, \` \${value}\\n\`);
    try {
      held(() => { writeSync(2, 'noise 2\\nreason\\n'); throw new Error('failed'); });
    } catch ({ message }) {
      writeSync(2, message);
    }`);
  expect(stderr).toBe('before\nnews\nno newline 7\nreason\nfailed');
});

const tensorflow = builtTensorFlow();
it.skipIf('missing' in tensorflow)('TensorFlow prints no INFO while it loads, unless its log level asks for it', () => {
  const script = `
    import { openEngine } from ${built('index.js')};
    const engine = await openEngine({ engine: 'tensorflow', ...${JSON.stringify(tensorflow)} });
    await engine.close();`;
  const info = /^I\d{4} |InitializeLog/m;
  expect(stderrOf(script)).not.toMatch(info);
  expect(stderrOf(script, { TF_CPP_MIN_LOG_LEVEL: '0' })).toMatch(info);
});
