import { chmod, mkdir, mkdtemp, readdir, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, join, relative, resolve } from 'node:path';
import { ClipyardError } from '@clipyard/contracts';
import { BINDING, findTensorFlow, type Installation, MANIFEST, type Manifest } from '../installation.js';
import { type SelfTest, selfTest } from '../self-test.js';
import { cannotBuild, wrongSource } from './build-error.js';
import { compileBinding, findCompiler } from './compile-binding.js';
import { findLibrary } from './library.js';
import {
  DEFAULT_INDEX,
  downloadWheel,
  findWheel,
  type Wheel,
  type WheelQuery,
  wheelPlatform,
} from './package-index.js';
import { unpack } from './unpack.js';
import { requirementsOf } from './versions.js';

const WORK_PREFIX = '.building-';
/** Age at which the folder of a build that was killed is taken away, ms. */
const LEFTOVER_AGE_MS = 6 * 60 * 60_000;

export interface BuildOptions {
  /** Where engines lie; made if need be. */
  readonly enginesDir: string;
  /** A wheel, an archive of the C library, or a folder; unset: the newest tensorflow-cpu of the index. */
  readonly from?: string;
  /** Without `from`: the package for NVIDIA's GPUs with its CUDA libraries (5.3 GB), instead of tensorflow-cpu. */
  readonly gpu?: boolean;
  /** A package index with the simple API; default PyPI. */
  readonly indexUrl?: string;
  /** Told what happens, one line each. */
  readonly progress?: (text: string) => void;
  readonly signal?: AbortSignal;
}

/**
 * Builds the binding of TensorFlow for this machine and puts it in place whole, or not at all. A wheel or archive is
 * unpacked beside it (about 0.9 GB); a folder is used where it is, and must stay. Throws `engine_unavailable` and
 * `request_invalid` with what is missing and what to do, and `disk_full`.
 */
export async function buildTensorFlow(options: BuildOptions): Promise<Installation> {
  const { enginesDir, progress = () => {}, signal } = options;
  const machine = wheelPlatform();
  const compiler = await findCompiler(signal);
  await mkdir(enginesDir, { recursive: true });
  await removeLeftovers(enginesDir);
  const work = await mkdtemp(join(enginesDir, WORK_PREFIX));
  try {
    const source = await obtain(options, machine, work, progress);
    const library = await findLibrary(source.root, source.name);
    const isOwn = source.root.startsWith(work);
    progress(`compiling the binding with ${compiler}`);
    const within = relative(work, library.folder);
    await compileBinding(compiler, library, {
      output: join(work, BINDING),
      runPath: isOwn ? `$ORIGIN/${within}` : library.folder,
      signal,
    });
    progress('testing it');
    const { version, gpu: found, gpuProblem } = await tested(join(work, BINDING), signal);
    if (gpuProblem !== undefined) progress(`it finds no GPU: ${gpuProblem}`);
    // An image is built on a machine without the GPU that it will run on.
    const gpu = found || options.gpu === true;
    const manifest: Manifest = {
      ...{ format: 1, engine: 'tensorflow', version, platform: process.platform, arch: process.arch, gpu },
      source: source.name,
      library: isOwn ? within : library.folder,
      builtAt: new Date().toISOString(),
    };
    await writeFile(join(work, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`, { flush: true });
    const folder = join(enginesDir, `tensorflow-${version}-${process.platform}-${process.arch}${gpu ? '-gpu' : ''}`);
    await chmod(work, 0o755);
    await replace(folder, work);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC')
      throw new ClipyardError('disk_full', `The disk of ${enginesDir} is full. Free 2 GB and try again.`, {
        cause: error,
      });
    throw error;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  const built = await findTensorFlow(enginesDir);
  if (built === undefined) throw cannotBuild(`${enginesDir} lost it. Is another process cleaning there?`);
  return built;
}

async function removeLeftovers(enginesDir: string): Promise<void> {
  for (const name of await readdir(enginesDir)) {
    const path = join(enginesDir, name);
    if (name.startsWith(WORK_PREFIX) && Date.now() - (await stat(path)).mtimeMs > LEFTOVER_AGE_MS)
      await rm(path, { recursive: true, force: true });
  }
}

/** Puts `made` in the place of `folder`. What a process has open of the old one stays readable to it. */
async function replace(folder: string, made: string): Promise<void> {
  const old = `${made}-old`;
  try {
    await rename(folder, old);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  await rename(made, folder);
  await rm(old, { recursive: true, force: true });
}

interface Source {
  /** Folder that holds the library. */
  readonly root: string;
  /** For people: what was given or downloaded. */
  readonly name: string;
}

async function obtain(
  { from, gpu = false, indexUrl = DEFAULT_INDEX, signal }: BuildOptions,
  machine: string,
  work: string,
  progress: (text: string) => void,
): Promise<Source> {
  if (from === undefined) return download({ indexUrl, machine, signal }, gpu, work, progress);
  if (/\.whl$/.test(from) && !new RegExp(`manylinux\\w*_${machine}\\.whl$`).test(from))
    throw wrongSource(from, `is a wheel for another platform than Linux on ${machine}`);
  const path = resolve(from);
  if (await isFolder(path, from)) return { root: await realpath(path), name: path };
  progress(`unpacking ${basename(path)}`);
  await unpack(path, work, signal);
  return { root: work, name: basename(path) };
}

/** The newest wheel of the index, and what it wants for GPUs, unpacked side by side as pip lays them out. */
async function download(
  query: Omit<WheelQuery, 'packageName'>,
  gpu: boolean,
  work: string,
  progress: (text: string) => void,
): Promise<Source> {
  const add = async (more: Pick<WheelQuery, 'packageName' | 'accepts'>): Promise<Wheel> => {
    const wheel = await findWheel({ ...query, ...more });
    progress(`downloading ${wheel.name}`);
    const path = await downloadWheel(wheel, work, progress, query.signal);
    progress('unpacking it');
    await unpack(path, work, query.signal);
    await rm(path);
    return wheel;
  };
  const wheel = await add({ packageName: gpu ? 'tensorflow' : 'tensorflow-cpu' });
  if (gpu) {
    const metadata = await readFile(join(work, `tensorflow-${wheel.version}.dist-info`, 'METADATA'), 'utf8');
    for (const requirement of requirementsOf(metadata, 'and-cuda')) await add(requirement);
  }
  return { root: work, name: wheel.name };
}

async function isFolder(path: string, given: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    throw wrongSource(given, `cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

async function tested(binding: string, signal: AbortSignal | undefined): Promise<SelfTest> {
  try {
    return await selfTest(binding, signal);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw cannotBuild(
      `its self-test failed: ${(error as Error).message}. Build it with another TensorFlow: --from takes a wheel, an archive or a folder; 2.21 is known to work.`,
      error,
    );
  }
}
