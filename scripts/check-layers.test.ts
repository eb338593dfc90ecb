import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { checkLayers } from './check-layers.mjs';

type Files = Record<string, string | object>;

const roots: string[] = [];
afterEach(() => {
  for (const root of roots.splice(0)) rmSync(root, { recursive: true, force: true });
});

function tree(files: Files): string {
  const root = mkdtempSync(join(tmpdir(), 'layers-'));
  roots.push(root);
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), typeof content === 'string' ? content : JSON.stringify(content));
  }
  return root;
}

const manifest = (
  name: string,
  layer: number,
  dependencies: string[] = [],
  devDependencies: string[] = [],
): object => ({
  name: `@clipyard/${name}`,
  clipyard: { layer },
  exports: { '.': './dist/index.js' },
  dependencies: Object.fromEntries(dependencies.map((key) => [key, '0.1.0'])),
  devDependencies: Object.fromEntries(devDependencies.map((key) => [key, '0.1.0'])),
});

/** A small tree that is in order, with one app, one package of each kind that the rules name. */
const good: Files = {
  'package.json': { devDependencies: { vitest: '4' } },
  'packages/contracts/package.json': manifest('contracts', 0, ['zod']),
  'packages/contracts/src/index.ts': "export * from './a.js';\nexport { type B, b } from './b.js';\n",
  'packages/contracts/src/a.ts': "import { z } from 'zod';\nexport const a = z;\n",
  'packages/contracts/src/b.ts':
    "import type { A } from './a.js';\nexport type B = A;\nexport const b = 'import x from \"@clipyard/db\"';\n",
  'packages/testkit/package.json': manifest('testkit', 1, ['@clipyard/contracts', 'vitest']),
  'packages/testkit/src/index.ts': "export { a } from '@clipyard/contracts';\n",
  'packages/engine/package.json': manifest(
    'engine',
    1,
    ['@clipyard/contracts', 'onnxruntime-node'],
    ['@clipyard/testkit'],
  ),
  'packages/engine/src/index.ts': "export { run } from './run.js';\n",
  'packages/engine/src/run.ts':
    "import { a } from '@clipyard/contracts';\nimport * as ort from 'onnxruntime-node';\nexport const run = [a, ort];\n",
  'packages/engine/src/run.test.ts':
    "import { a } from '@clipyard/testkit';\nimport { test } from 'vitest';\ntest(process.env.X ?? '', () => a);\n",
  'packages/db/package.json': manifest('db', 2, ['@clipyard/contracts', '@prisma/client']),
  'packages/db/src/index.ts': "export { db } from './db.js';\n",
  'packages/db/src/db.ts':
    "import '@prisma/client';\nimport { a } from '@clipyard/contracts';\n// process.env is not read here\nexport const db = a;\n",
  'packages/queue/package.json': manifest('queue', 2, ['@clipyard/contracts', 'bullmq']),
  'packages/queue/src/index.ts': "export { queue } from './queue.js';\n",
  'packages/queue/src/queue.ts':
    "import { a } from '@clipyard/contracts';\nimport 'bullmq';\nexport const queue = a;\n",
  'apps/api/package.json': manifest('api', 4, ['@clipyard/contracts', '@clipyard/db']),
  'apps/api/src/config.ts': 'export const env = process.env;\n',
  'apps/api/src/main.ts':
    "import { readFile } from 'node:fs/promises';\nimport { a } from '@clipyard/contracts';\nimport { db } from '@clipyard/db';\nexport const main = [readFile, a, db, /['\"]/.test(`${db} '`)];\n",
};

const problemsWith = (changes: Files): string[] => checkLayers(tree({ ...good, ...changes }));

test('finds nothing in a tree that is in order', () => {
  expect(problemsWith({})).toEqual([]);
});

describe('edges between packages', () => {
  test('refuses an upward dependency', () => {
    const problems = problemsWith({
      'packages/contracts/package.json': manifest('contracts', 0, ['zod', '@clipyard/db']),
      'packages/contracts/src/a.ts': "import { db } from '@clipyard/db';\nexport const a = db;\n",
    });
    expect(problems).toContain(
      'packages/contracts/src/a.ts:1: upward edge from @clipyard/contracts (layer 0) to @clipyard/db (layer 2)',
    );
    expect(problems).toContain(
      'packages/contracts/package.json: upward edge from @clipyard/contracts (layer 0) to @clipyard/db (layer 2)',
    );
    expect(problems.filter((problem) => problem.startsWith('cycle of packages'))).toHaveLength(1);
  });

  test('refuses a sideways dependency, in tests too', () => {
    const problems = problemsWith({
      'packages/db/package.json': manifest('db', 2, ['@clipyard/contracts', '@prisma/client'], ['@clipyard/queue']),
      'packages/db/src/db.test.ts': "import { queue } from '@clipyard/queue';\nexport { queue };\n",
    });
    expect(problems).toEqual([
      'packages/db/package.json: sideways edge from @clipyard/db (layer 2) to @clipyard/queue (layer 2)',
      'packages/db/src/db.test.ts:1: sideways edge from @clipyard/db (layer 2) to @clipyard/queue (layer 2)',
    ]);
  });

  test('refuses an app that imports an app', () => {
    const problems = problemsWith({
      'apps/cli/package.json': manifest('cli', 4, ['@clipyard/api']),
      'apps/cli/src/main.ts': "export * from '@clipyard/api';\n",
    });
    expect(problems).toContain(
      'apps/cli/src/main.ts:1: sideways edge from @clipyard/cli (layer 4) to @clipyard/api (layer 4)',
    );
  });

  test('names a cycle of packages and a cycle of files', () => {
    const problems = problemsWith({
      'packages/db/package.json': manifest('db', 2, ['@clipyard/contracts', '@prisma/client', '@clipyard/queue']),
      'packages/db/src/queue.ts':
        "import { queue } from '@clipyard/queue';\nimport { other } from './other.js';\nexport { other, queue };\n",
      'packages/db/src/other.ts': "import { queue } from './queue.js';\nexport const other = queue;\n",
      'packages/queue/package.json': manifest('queue', 2, ['@clipyard/contracts', 'bullmq', '@clipyard/db']),
      'packages/queue/src/more.ts': "export { db } from '@clipyard/db';\n",
    });
    expect(problems).toContain('cycle of packages: @clipyard/db -> @clipyard/queue -> @clipyard/db');
    expect(problems).toContain(
      'cycle of files: packages/db/src/other.ts -> packages/db/src/queue.ts -> packages/db/src/other.ts',
    );
  });

  test('refuses a layer that is missing or does not fit the folder', () => {
    expect(problemsWith({ 'packages/db/package.json': { name: '@clipyard/db' } })).toContain(
      'packages/db/package.json: clipyard.layer is undefined, must be 0 to 3',
    );
    expect(problemsWith({ 'apps/api/package.json': manifest('api', 3) })).toContain(
      'apps/api/package.json: clipyard.layer is 3, must be 4',
    );
  });
});

describe('imports', () => {
  const inMain = (source: string): string[] => problemsWith({ 'apps/api/src/extra.ts': source });

  test.each([
    ['statement', "import { x } from '@clipyard/db/dist/x.js';"],
    ['re-export', "export { x } from '@clipyard/db/dist/x.js';"],
    ['dynamic import', "export const x = import('@clipyard/db/dist/x.js');"],
    ['type import', "import type { X } from '@clipyard/db/dist/x.js';"],
    ['import over several lines', "import {\n  x,\n  y,\n} from '@clipyard/db/dist/x.js';"],
    ['bare import inside a template', "export const x = `${await import('@clipyard/db/dist/x.js')}`;"],
  ])('refuses a deep import: %s', (_, source) => {
    expect(inMain(source).join()).toMatch(
      /^apps\/api\/src\/extra\.ts:\d: deep import of @clipyard\/db\/dist\/x\.js; import @clipyard\/db$/,
    );
  });

  test('refuses a path that leaves the package', () => {
    expect(inMain("export * from '../../../packages/db/src/db.js';")).toEqual([
      'apps/api/src/extra.ts:1: ../../../packages/db/src/db.js leaves apps/api/src',
    ]);
  });

  test('refuses an import that package.json does not declare', () => {
    expect(inMain("import fastify from 'fastify';\nexport { fastify };")).toEqual([
      'apps/api/src/extra.ts:1: imports fastify, which is not among the dependencies of apps/api/package.json',
    ]);
    expect(inMain("export { queue } from '@clipyard/queue';")).toEqual([
      'apps/api/src/extra.ts:1: imports @clipyard/queue, which is not among the dependencies of apps/api/package.json',
    ]);
  });

  test('refuses a development dependency in code that is no test', () => {
    expect(problemsWith({ 'packages/engine/src/wrong.ts': "export { test } from 'vitest';\n" })).toEqual([
      'packages/engine/src/wrong.ts:1: imports vitest, which is not among the dependencies of packages/engine/package.json',
    ]);
  });

  test('refuses a workspace dependency that nothing imports', () => {
    expect(
      problemsWith({
        'apps/api/package.json': manifest('api', 4, ['@clipyard/contracts', '@clipyard/db', '@clipyard/queue']),
      }),
    ).toEqual(['apps/api/package.json: @clipyard/queue is declared but never imported']);
  });

  test('refuses a workspace package that does not exist', () => {
    expect(inMain("export * from '@clipyard/nowhere';")).toEqual([
      'apps/api/src/extra.ts:1: @clipyard/nowhere is not in this workspace',
    ]);
  });

  test('refuses testkit outside tests and outside devDependencies', () => {
    expect(problemsWith({ 'packages/engine/src/wrong.ts': "export { a } from '@clipyard/testkit';\n" })).toEqual([
      'packages/engine/src/wrong.ts:1: @clipyard/testkit is for tests only',
    ]);
    expect(
      problemsWith({
        'packages/engine/package.json': manifest('engine', 1, [
          '@clipyard/contracts',
          '@clipyard/testkit',
          'onnxruntime-node',
        ]),
      }),
    ).toEqual(['packages/engine/package.json: @clipyard/testkit belongs into devDependencies']);
  });

  test.each([
    ['@prisma/client', 'packages/db'],
    ['./generated/client.js', 'packages/db'],
    ['onnxruntime-node', 'packages/engine'],
    ['@tensorflow/tfjs-core', 'packages/engine'],
    ['bullmq', 'packages/queue'],
    ['ioredis', 'packages/queue'],
  ])('leaves %s to %s', (specifier, owner) => {
    const dependencies = ['@clipyard/contracts', '@clipyard/db', ...(specifier.startsWith('.') ? [] : [specifier])];
    const problems = problemsWith({
      'apps/api/package.json': manifest('api', 4, dependencies),
      'apps/api/src/extra.ts': `import '${specifier}';\n`,
    });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(new RegExp(`^apps/api/src/extra\\.ts:1: imports .* is known to ${owner} only$`));
  });
});

describe('files', () => {
  test.each([
    'export const x = process.env.HOME;',
    'export const { env } = process;',
    "export const x = process['env'];",
  ])('refuses %s outside config.ts of an app', (source) => {
    expect(problemsWith({ 'apps/api/src/extra.ts': source })).toEqual([
      "apps/api/src/extra.ts:1: reads process.env; only an app's src/config.ts may",
    ]);
    expect(problemsWith({ 'packages/db/src/config.ts': source })).toHaveLength(1);
  });

  test('refuses an index.ts that holds more than re-exports', () => {
    expect(
      problemsWith({ 'packages/db/src/index.ts': "export { db } from './db.js';\nexport const more = 1;\n" }),
    ).toEqual(['packages/db/src/index.ts:2: index.ts holds something other than re-exports']);
  });

  test('refuses a file of more than 600 lines', () => {
    expect(problemsWith({ 'apps/api/src/long.ts': '// line\n'.repeat(600) })).toEqual([]);
    expect(problemsWith({ 'apps/api/src/long.ts': '// line\n'.repeat(601) })).toEqual([
      'apps/api/src/long.ts: 601 lines; a file holds at most 600, split it',
    ]);
  });

  test('refuses an exports map that opens more than the root', () => {
    const open = {
      ...manifest('db', 2, ['@clipyard/contracts', '@prisma/client']),
      exports: { '.': './a.js', './b': './b.js' },
    };
    expect(problemsWith({ 'packages/db/package.json': open })).toEqual([
      'packages/db/package.json: exports lists more than ".": nobody imports deep',
    ]);
  });
});

describe('as a command', () => {
  const script = fileURLToPath(new URL('./check-layers.mjs', import.meta.url));

  test('exits with 0 and says so when the tree is in order', () => {
    expect(execFileSync(process.execPath, [script, tree(good)], { encoding: 'utf8' })).toBe('layers: in order\n');
  });

  test('exits with 1 and lists every problem', () => {
    const root = tree({ ...good, 'apps/api/src/extra.ts': "import 'bullmq';\nexport const x = process.env;\n" });
    const result = spawnSync(process.execPath, [script, root], { encoding: 'utf8' });
    expect(result.status).toBe(1);
    expect(result.stderr.trim().split('\n')).toHaveLength(3);
    expect(result.stdout).toBe('layers: 3 problems\n');
  });
});
