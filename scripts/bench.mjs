#!/usr/bin/env node
/** `npm run bench -- NAME [ARGUMENTS]`: sets up what has changed, then runs <package or app>/bench/NAME.bench.mjs. */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterSetup } from './entry.mjs';

const SUFFIX = '.bench.mjs';

afterSetup(async (root) => {
  const [name, ...args] = process.argv.slice(2);
  const benches = findBenches(root);
  const file = name === undefined ? undefined : benches.get(name);
  if (file === undefined) {
    const names = [...benches.keys()].sort().join(', ');
    console.error(
      `${name === undefined ? 'Which benchmark?' : `There is no benchmark ${name}.`} There are: ${names || 'none yet'}`,
    );
    process.exitCode = 2;
    return;
  }
  const child = spawn(process.execPath, [file, ...args], { cwd: root, stdio: 'inherit' });
  process.exitCode = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? 1));
  });
});

/** Benchmarks by name. */
function findBenches(root) {
  const benches = new Map();
  const workspaces = ['packages', 'apps'].flatMap((kind) =>
    readdirSync(join(root, kind)).map((entry) => join(root, kind, entry)),
  );
  for (const workspace of workspaces) {
    const folder = join(workspace, 'bench');
    if (!existsSync(folder)) continue;
    for (const file of readdirSync(folder)) {
      const name = file.endsWith(SUFFIX) ? file.slice(0, -SUFFIX.length) : undefined;
      if (name !== undefined && !benches.has(name)) benches.set(name, join(folder, file));
    }
  }
  return benches;
}
