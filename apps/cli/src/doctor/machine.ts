import { execFile } from 'node:child_process';
import { access, constants, mkdir, readdir, statfs } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { listEngines } from '@clipyard/engine';
import { formatBytes } from '../output/format.js';
import { type Finding, fail, found, ok, warn } from './finding.js';

/** Oldest Node.js that the packages run on, as package.json's `engines` says. */
const MIN_NODE = [20, 19] as const;
/** Memory below which ranks are likely to be killed, and below which only small models fit, bytes. */
const LITTLE_MEMORY_BYTES = 2 ** 30;
const FAIR_MEMORY_BYTES = 4 * 2 ** 30;
/** Free disk below which nothing is to be started, and below which checkpoints soon fill it, bytes. */
const LITTLE_DISK_BYTES = 2 ** 30;
const FAIR_DISK_BYTES = 10 * 2 ** 30;
/** Longest wait for nvidia-smi, ms: a broken driver may let it hang. */
const NVIDIA_SMI_LIMIT_MS = 10_000;

export function checkNode(version = process.versions.node): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const remedy = `Install Node.js 22 or 24 (at least ${MIN_NODE.join('.')}).`;
  const old = major < MIN_NODE[0] || (major === MIN_NODE[0] && minor < MIN_NODE[1]);
  return old ? fail('Node.js', `${version} is too old`, remedy) : ok('Node.js', `${version}, ${process.arch}`);
}

export function checkMemory(bytes = process.availableMemory()): Finding {
  const detail = `${formatBytes(bytes)} free, ${availableParallelism()} cores`;
  const remedy = 'Close other programs, raise the limit of the container, or lower batch.micro and the slots.';
  if (bytes < LITTLE_MEMORY_BYTES) return fail('memory', detail, remedy);
  return bytes < FAIR_MEMORY_BYTES ? warn('memory', detail, remedy) : ok('memory', detail);
}

/** Whether `home` can be written, and what its disk has left. */
export function checkDisk(home: string): Promise<Finding> {
  const remedy = 'Set CLIPYARD_HOME to a directory that you can write.';
  return found('disk', remedy, async () => {
    const folder = await existing(home);
    await access(folder, constants.W_OK);
    const { bavail, bsize } = await statfs(folder);
    return diskFinding(home, bavail * bsize);
  });
}

export function diskFinding(home: string, bytes: number): Finding {
  const detail = `${formatBytes(bytes)} free for ${home}`;
  const remedy = 'Free some, remove jobs with `clipyard rm`, or set CLIPYARD_HOME to another disk.';
  if (bytes < LITTLE_DISK_BYTES) return fail('disk', detail, remedy);
  return bytes < FAIR_DISK_BYTES ? warn('disk', detail, remedy) : ok('disk', detail);
}

/** The folder itself, or the nearest above it. */
async function existing(path: string): Promise<string> {
  try {
    await access(path);
    return path;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || path === dirname(path)) throw error;
    return existing(dirname(path));
  }
}

/** Every engine opened and tried, and whether the GPUs of this machine are put to use. */
export async function checkEngines(enginesDir: string, signal: AbortSignal): Promise<Finding[]> {
  await mkdir(dirname(enginesDir), { recursive: true });
  const engines = await listEngines({ enginesDir, signal });
  const tensorflow = engines.find(({ name }) => name === 'tensorflow');
  const findings = engines
    .filter(({ name, version }) => name !== 'tensorflow' || version !== undefined)
    .map(({ name, usable, version, device, note }) =>
      usable
        ? ok(`engine ${name}`, `${version ?? ''} on ${device}`)
        : fail(`engine ${name}`, note, name === 'tensorflow' ? 'Build it again.' : 'Install again with `npm ci`.'),
    );
  return [...findings, await checkGpu(tensorflow?.device === 'gpu')];
}

async function checkGpu(used: boolean): Promise<Finding> {
  const query = ['--query-gpu=name,driver_version,memory.total', '--format=csv,noheader'];
  try {
    const { stdout } = await promisify(execFile)('nvidia-smi', query, { timeout: NVIDIA_SMI_LIMIT_MS });
    const gpus = stdout.trim().replaceAll('\n', '; ');
    const remedy = 'Build the engine that does: `clipyard engines build tensorflow --gpu`.';
    return used ? ok('GPU', gpus) : warn('GPU', `${gpus}; no engine computes on it`, remedy);
  } catch (error) {
    const devices = (await readdir('/dev').catch(() => [])).filter((name) => /^nvidia\d+$/.test(name));
    if (devices.length === 0) return ok('GPU', 'none from NVIDIA here; ranks compute on the CPU');
    const detail = `${devices.join(', ')} is there, but nvidia-smi fails: ${(error as Error).message.split('\n')[0]}`;
    return warn('GPU', detail, "Install NVIDIA's driver, or restart the machine after its update.");
  }
}
