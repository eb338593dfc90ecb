#!/usr/bin/env node
/** `npm test [-- VITEST ARGUMENTS]`: sets up what has changed, runs the tests, ends with one line of counts. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterSetup } from './entry.mjs';

afterSetup(async (root) => {
  const folder = mkdtempSync(join(tmpdir(), 'clipyard-test-'));
  const summaryFile = join(folder, 'summary.json');
  try {
    const code = await vitest(root, { ...process.env, CLIPYARD_TEST_SUMMARY: summaryFile });
    const summary = readSummary(summaryFile);
    for (const { name, reason } of summary.skips) console.log(`skipped: ${name}${reason === '' ? '' : `: ${reason}`}`);
    console.log(`${summary.passed} passed, ${summary.failed} failed, ${summary.skipped} skipped`);
    process.exitCode = code === 0 && summary.failed === 0 ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

function vitest(root, env) {
  const reporter = join(root, 'scripts', 'summary-reporter.mjs');
  const bin = join(root, 'node_modules', 'vitest', 'vitest.mjs');
  const args = [bin, 'run', '--reporter=default', `--reporter=${reporter}`, ...process.argv.slice(2)];
  const child = spawn(process.execPath, args, { cwd: root, env, stdio: 'inherit' });
  // Ctrl-C reaches vitest too, which ends by itself.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? 1));
  });
}

/** Without a summary the run broke before it could report: that is a failure. */
function readSummary(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
    return { passed: 0, failed: 1, skipped: 0, skips: [] };
  }
}
