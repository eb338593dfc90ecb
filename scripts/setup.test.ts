import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NEEDED, nodeTooOld } from './node-version.mjs';
import { isInstalled } from './setup.mjs';
import { hashOf } from './stamps.mjs';

const ROOT = dirname(import.meta.dirname);
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'clipyard-setup-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function write(path: string, content: unknown): void {
  const file = join(folder, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
}

describe('the version of Node.js', () => {
  it('is refused with what was found, what is needed and what to do', () => {
    for (const old of ['14.21.3', '18.20.8', '20.18.9']) {
      const problem = nodeTooOld(old)!;
      expect(problem).toMatch(/^node_too_old/);
      expect(problem).toContain(`found:  ${old}`);
      expect(problem).toContain(`needed: ${NEEDED}`);
      expect(problem).toContain('remedy:');
    }
  });

  it('is taken from the least on', () => {
    for (const version of ['20.19.0', '20.20.2', '22.0.0', '26.1.0-nightly20260101'])
      expect(nodeTooOld(version)).toBeUndefined();
  });

  it('is the one that package.json names', () => {
    const { engines } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
    expect(NEEDED).toBe(`${engines.node.replace('>=', '')}.0`);
  });
});

describe('the hash of sources', () => {
  it('changes with content, names and new files, and not with build output', () => {
    write('a/src/x.ts', '1');
    const hashes = [hashOf(folder, ['a', 'missing'])];
    write('a/dist/x.js', 'out');
    expect(hashOf(folder, ['a', 'missing'])).toBe(hashes[0]);
    write('a/src/x.ts', '2');
    hashes.push(hashOf(folder, ['a', 'missing']));
    write('a/src/y.ts', '');
    hashes.push(hashOf(folder, ['a', 'missing']));
    write('missing', '');
    hashes.push(hashOf(folder, ['a', 'missing']));
    expect(new Set(hashes).size).toBe(4);
  });
});

describe('an installation', () => {
  const entry = { version: '1.0.0', integrity: 'sha512-a' };
  const lock = (packages: object) => ({ lockfileVersion: 3, packages: { '': { name: 'x' }, ...packages } });

  it('is taken when npm installed what the lockfile asks for', () => {
    const link = { resolved: 'packages/b', link: true };
    write(
      'package-lock.json',
      lock({ 'node_modules/a': entry, 'node_modules/b': link, 'packages/b': { version: '0.1.0' } }),
    );
    expect(isInstalled(folder)).toBe(false);
    write('node_modules/.package-lock.json', lock({ 'node_modules/a': entry, 'node_modules/b': link }));
    expect(isInstalled(folder)).toBe(true);
  });

  it('is not taken when a package is missing or of another version, unless it is optional', () => {
    write('package-lock.json', lock({ 'node_modules/a': entry }));
    write('node_modules/.package-lock.json', lock({}));
    expect(isInstalled(folder)).toBe(false);
    write('node_modules/.package-lock.json', lock({ 'node_modules/a': { version: '0.9.0', integrity: 'sha512-b' } }));
    expect(isInstalled(folder)).toBe(false);
    write('package-lock.json', lock({ 'node_modules/a': { ...entry, optional: true } }));
    write('node_modules/.package-lock.json', lock({}));
    expect(isInstalled(folder)).toBe(true);
  });
});

describe('the counts of a test run', () => {
  it('tell passed, failed, skipped with their reasons, and files that do not load', () => {
    write(
      'a.test.mjs',
      `
      import { describe, expect, it } from 'vitest';
      it('passes', () => {});
      it('fails', () => expect(1).toBe(2));
      it('skips', ({ skip }) => skip('no redis-server here'));
    `,
    );
    write('b.test.mjs', `throw new Error('does not load');`);
    const summaryFile = join(folder, 'summary.json');
    const reporter = join(ROOT, 'scripts', 'summary-reporter.mjs');
    const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');
    write('vitest.config.mjs', `export default { test: { include: ['*.test.mjs'] } };`);
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    spawnSync(process.execPath, [vitest, 'run', '--root', folder, `--reporter=${reporter}`], {
      cwd: folder,
      env: { ...process.env, CLIPYARD_TEST_SUMMARY: summaryFile },
    });
    const summary = JSON.parse(readFileSync(summaryFile, 'utf8'));
    expect(summary).toMatchObject({ passed: 1, failed: 2, skipped: 1 });
    expect(summary.skips[0]).toMatchObject({ name: expect.stringContaining('skips'), reason: 'no redis-server here' });
  });
});
