import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hashOf, readStamp, writeStamp } from './stamps.mjs';

export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/**
 * Installs and builds what has changed since the last time; does nothing, in well under a second, when nothing has.
 * Throws a SetupError with the whole output of what failed.
 * @param {{ root?: string, say?: (line: string) => void }} [options]
 */
export async function setup({ root = ROOT, say = (line) => console.error(line) } = {}) {
  await install(root, say);
  await build(root, say);
}

export class SetupError extends Error {}

async function install(root, say) {
  const stamp = join(root, 'node_modules', '.clipyard-install');
  const wanted = [
    hashOf(root, ['package-lock.json', '.npmrc']),
    process.platform,
    process.arch,
    process.versions.modules,
  ].join(' ');
  if (readStamp(stamp) === wanted) return;
  if (!isInstalled(root)) {
    const flags = ['--include=dev', '--no-audit', '--no-fund', '--loglevel=error'];
    await step(say, 'installing packages', () => {
      const [command, first] = npm();
      return run(command, [...first, 'ci', ...flags], root);
    });
  }
  writeStamp(stamp, wanted);
}

/** Whether what npm last installed here, as its hidden lockfile tells, is what package-lock.json asks for. */
export function isInstalled(root) {
  const hidden = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(hidden)) return false;
  const have = JSON.parse(readFileSync(hidden, 'utf8')).packages;
  const want = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  return Object.entries(want).every(([path, entry]) => {
    if (!path.includes('node_modules/')) return true;
    // What is optional may be of another platform and was rightly left out.
    if (have[path] === undefined) return entry.optional === true;
    return have[path].version === entry.version && have[path].integrity === entry.integrity;
  });
}

async function build(root, say) {
  const workspaces = workspaceFolders(root);
  const sources = workspaces.flatMap((folder) =>
    ['package.json', 'tsconfig.json', 'scripts', 'src', 'index.html', 'vite.config.ts', 'public'].map(
      (part) => `${folder}/${part}`,
    ),
  );
  const shared = [
    'package.json',
    'package-lock.json',
    'turbo.json',
    'tsconfig.base.json',
    'prisma',
    'prisma.config.ts',
  ];
  const stamp = join(root, 'node_modules', '.clipyard-build');
  const hash = hashOf(root, [...shared, ...sources]);
  const built = workspaces.every((folder) => existsSync(join(root, folder, 'dist')));
  if (built && readStamp(stamp) === hash) return;
  const turbo = join(root, 'node_modules', 'turbo', 'bin', 'turbo');
  const flags = ['--output-logs=errors-only', '--log-order=grouped', '--no-update-notifier'];
  await step(say, 'building', () => run(process.execPath, [turbo, 'run', 'build', ...flags], root));
  writeStamp(stamp, hash);
}

/** The folders of the workspaces that have something to build. */
function workspaceFolders(root) {
  return ['packages', 'apps']
    .flatMap((parent) => readdirSync(join(root, parent)).map((name) => `${parent}/${name}`))
    .filter((folder) => existsSync(join(root, folder, 'tsconfig.json')));
}

/** npm as a command and its first arguments: the npm that runs us, if one does. */
function npm() {
  const running = process.env.npm_execpath;
  if (running?.endsWith('.js')) return [process.execPath, [running]];
  return [process.platform === 'win32' ? 'npm.cmd' : 'npm', []];
}

async function step(say, what, action) {
  say(`${what} …`);
  const began = performance.now();
  await action();
  say(`${what}: done in ${((performance.now() - began) / 1000).toFixed(1)} s`);
}

/** Runs a command to its end; its output is shown only when it fails. */
function run(command, args, cwd) {
  const env = { ...process.env, TURBO_TELEMETRY_DISABLED: '1', DO_NOT_TRACK: '1' };
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        output += text;
      });
    }
    child.once('error', (error) => reject(new SetupError(`${command} could not be started: ${error.message}`)));
    child.once('close', (code, signal) => {
      if (code === 0) resolve();
      else
        reject(new SetupError(`${output}\n${command} ${args.join(' ')} ended with ${signal ?? `exit code ${code}`}`));
    });
  });
}
