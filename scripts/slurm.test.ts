import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const path = fileURLToPath(new URL('../examples/slurm/clipyard-workers.sbatch', import.meta.url));
const text = readFileSync(path, 'utf8');

// That it brings up and drains workers is seen on a host with Slurm only: docs/guides/slurm.md says how it was.
test('the Slurm script is bash, and sets variables that the worker reads', () => {
  expect(spawnSync('bash', ['-n', path], { encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' });
  const reference = readFileSync(new URL('../docs/reference/environment.md', import.meta.url), 'utf8');
  const known = new Set([...reference.matchAll(/^\| `([A-Z_]+)`/gm)].map(([, name]) => name));
  const own = ['CLIPYARD_ROOT', 'CLIPYARD_SETTINGS'];
  const named = [...new Set([...text.matchAll(/\bCLIPYARD_[A-Z_]+\b/g)].map(([name]) => name))];
  expect(named.length).toBeGreaterThan(own.length);
  expect(named.filter((name) => !known.has(name) && !own.includes(name))).toEqual([]);
});

test('the Slurm script says so when it has no settings', () => {
  const env = { PATH: process.env.PATH, HOME: '/nowhere', SLURM_SUBMIT_DIR: '/nowhere' };
  const { status, stderr } = spawnSync('bash', [path], { encoding: 'utf8', env });
  expect(status).toBe(2);
  expect(stderr).toContain('/nowhere/.config/clipyard/worker.env cannot be read');
});
