import { readdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { cannotBuild } from './build-error.js';
import { runChild } from './child.js';
import type { Library } from './library.js';

const PACKAGE = '@tensorflow/tfjs-node-gpu';
const COMPILERS = ['g++', 'c++', 'clang++'];
/** Time for the compiler, ms. */
const COMPILE_TIMEOUT_MS = 10 * 60_000;
const NO_COMPILER =
  'there is no C++ compiler (g++, c++ or clang++). Install one (Debian and Ubuntu: `apt-get install g++`, Fedora: `dnf install gcc-c++`) and run the command again.';

/** The first C++ compiler of this machine. Throws `engine_unavailable`. */
export async function findCompiler(signal?: AbortSignal, candidates: readonly string[] = COMPILERS): Promise<string> {
  for (const compiler of candidates) {
    if ((await runChild(compiler, ['--version'], { timeoutMs: 60_000, signal })).code === 0) return compiler;
  }
  throw cannotBuild(NO_COMPILER);
}

/** Compiles the binding of tfjs-node-gpu for Node-API 8. `runPath` is where it will find the libraries. */
export async function compileBinding(
  compiler: string,
  { folder, include, names }: Library,
  { output, runPath, signal }: { output: string; runPath: string; signal?: AbortSignal | undefined },
): Promise<void> {
  const sources = await bindingSources();
  const args = [
    ...['-O2', '-std=c++17', '-fPIC', '-shared', '-DNAPI_VERSION=8'],
    // Else the library would be unmapped with the thread that loaded it, under the feet of its own threads.
    '-Wl,-z,nodelete',
    `-I${join(packageFolder('node-api-headers'), 'include')}`,
    `-I${include}`,
    ...sources,
    ...['-o', output],
    `-L${folder}`,
    ...names.map((name) => `-l:${name}`),
    `-Wl,-rpath,${runPath}`,
  ];
  const { code, ending, stderr } = await runChild(compiler, args, { timeoutMs: COMPILE_TIMEOUT_MS, signal });
  if (code === 0) return;
  const lines = stderr.trim().split('\n');
  const first = lines.find((line) => /error/i.test(line)) ?? lines.at(-1);
  throw cannotBuild(
    `${compiler} failed (${ending ?? `exit code ${code}`}): ${first}. This TensorFlow may be too old or too new for the binding; 2.21 is known to work.`,
  );
}

/** The C++ files inside the npm package. */
async function bindingSources(): Promise<string[]> {
  const folder = join(packageFolder(PACKAGE), 'binding');
  return (await readdir(folder)).filter((name) => name.endsWith('.cc')).map((name) => join(folder, name));
}

function packageFolder(name: string): string {
  try {
    return dirname(createRequire(import.meta.url).resolve(`${name}/package.json`));
  } catch (error) {
    throw cannotBuild(
      `the npm package ${name} is not installed. Install with optional dependencies: \`npm ci\`.`,
      error,
    );
  }
}
