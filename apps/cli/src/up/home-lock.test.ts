import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { claimHome } from './home-lock.js';

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'clipyard-home-'));
});
afterEach(() => rm(home, { recursive: true }));

it('lets one process at a time have a home', async () => {
  const first = await claimHome(home);
  expect(first).toBeDefined();
  expect(await claimHome(home)).toBeUndefined();
  await first!.release();
  const second = await claimHome(home);
  expect(second).toBeDefined();
  await second!.release();
});

it('takes over what a killed process left, also when its process id is in use again', async () => {
  const file = join(home, 'up.lock');
  const dead = spawnSync(process.execPath, ['-e', '0']).pid;
  for (const left of [`${dead} 123`, `${process.pid} 1`, '']) {
    await writeFile(file, left);
    const lock = await claimHome(home);
    expect(lock, left).toBeDefined();
    expect(await readFile(file, 'utf8')).toMatch(new RegExp(`^${process.pid} \\d*$`));
    await lock!.release();
  }
});
