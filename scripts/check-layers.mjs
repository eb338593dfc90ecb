#!/usr/bin/env node
/**
 * Checks that the tree keeps to its layers: every import and every workspace dependency points strictly downward, and
 * what one package owns (Prisma, the compute back ends, BullMQ, the environment) is named nowhere else.
 * Usage: node scripts/check-layers.mjs [ROOT]. Prints one line a problem and exits with 1 when there are any.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findCycles } from './graph-cycles.mjs';
import { importsOf, lineAt, maskSource } from './source-scan.mjs';

const SCOPE = '@clipyard/';
const TESTKIT = '@clipyard/testkit';
const APP_LAYER = 4;
const MAX_LINES = 600;
const SOURCE = /\.(?:ts|mts|tsx|mjs|js)$/;
const SKIPPED_FOLDERS = new Set(['node_modules', 'dist', 'generated', 'fixtures']);

/** Modules that only one package may name. */
const OWNED = [
  { what: /^@prisma\/|(?:^|\/)generated\//, owner: 'packages/db', name: 'Prisma and its generated client' },
  { what: /^onnxruntime|^@tensorflow\//, owner: 'packages/engine', name: 'A compute back end' },
  { what: /^(?:bullmq|ioredis)(?:\/|$)/, owner: 'packages/queue', name: 'The queue library' },
];

/**
 * @param {string} root the folder that holds packages/ and apps/
 * @returns {string[]} the problems, in a stable order; empty when there are none
 */
export function checkLayers(root) {
  const packages = ['packages', 'apps'].flatMap((folder) => readPackages(root, folder));
  const byName = new Map(packages.map((entry) => [entry.name, entry]));
  const rootManifest = readManifest(join(root, 'package.json'));
  const rootDependencies = new Set(Object.keys(rootManifest?.devDependencies ?? {}));
  const problems = packages.flatMap((entry) => [
    ...checkManifest(entry, byName),
    ...checkSources(root, entry, byName, rootDependencies),
  ]);
  const edges = new Map(packages.map((entry) => [entry.name, [...entry.workspaceDependencies]]));
  for (const cycle of findCycles(edges)) problems.push(`cycle of packages: ${cycle.join(' -> ')}`);
  return problems;
}

function readManifest(path) {
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined;
}

function readPackages(root, folder) {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder))
    .sort()
    .flatMap((name) => {
      const dir = `${folder}/${name}`;
      const manifest = readManifest(join(root, dir, 'package.json'));
      if (manifest === undefined) return [];
      const runtime = Object.keys({
        ...manifest.dependencies,
        ...manifest.optionalDependencies,
        ...manifest.peerDependencies,
      });
      const development = Object.keys(manifest.devDependencies ?? {});
      const workspaceDependencies = new Set([...runtime, ...development].filter((name) => name.startsWith(SCOPE)));
      return [
        {
          dir,
          name: manifest.name,
          isApp: folder === 'apps',
          layer: manifest.clipyard?.layer,
          exports: manifest.exports,
          runtime: new Set(runtime),
          development: new Set(development),
          workspaceDependencies,
        },
      ];
    });
}

function checkManifest(entry, byName) {
  const at = `${entry.dir}/package.json`;
  const problems = [];
  const { layer } = entry;
  if (!Number.isInteger(layer) || layer < 0 || layer > APP_LAYER || entry.isApp !== (layer === APP_LAYER)) {
    const wanted = entry.isApp ? String(APP_LAYER) : '0 to 3';
    problems.push(`${at}: clipyard.layer is ${JSON.stringify(layer)}, must be ${wanted}`);
    return problems;
  }
  if (Object.keys(entry.exports ?? { '.': '' }).join() !== '.') {
    problems.push(`${at}: exports lists more than ".": nobody imports deep`);
  }
  for (const name of entry.workspaceDependencies) {
    const target = byName.get(name);
    if (target === undefined) problems.push(`${at}: ${name} is not in this workspace`);
    else if (name === TESTKIT) {
      if (entry.runtime.has(name)) problems.push(`${at}: ${name} belongs into devDependencies`);
      if (layer < target.layer) problems.push(edgeProblem(at, entry, target));
    } else if (target.layer >= layer) problems.push(edgeProblem(at, entry, target));
  }
  return problems;
}

function edgeProblem(at, from, to) {
  const direction = to.layer > from.layer ? 'upward' : 'sideways';
  return `${at}: ${direction} edge from ${from.name} (layer ${from.layer}) to ${to.name} (layer ${to.layer})`;
}

function checkSources(root, entry, byName, rootDependencies) {
  const problems = [];
  const used = new Set();
  /** @type {Map<string, string[]>} */
  const fileEdges = new Map();
  for (const folder of ['src', 'bench', 'scripts']) {
    for (const file of sourceFiles(join(root, entry.dir, folder))) {
      const path = relative(root, file).split(sep).join('/');
      const source = readFileSync(file, 'utf8');
      const isDevelopment = folder !== 'src' || /\.test\.\w+$|(?:^|\/)test-[^/]*$/.test(file);
      const context = { root, entry, byName, rootDependencies, path, file, folder, isDevelopment };
      fileEdges.set(path, []);
      for (const found of importsOf(source)) {
        const at = `${path}:${found.line}`;
        problems.push(...checkImport(context, at, found.specifier));
        if (found.specifier.startsWith(SCOPE)) used.add(packageOf(found.specifier));
        if (found.specifier.startsWith('.') && !found.typeOnly) {
          fileEdges.get(path).push(targetOf(root, file, found.specifier));
        }
      }
      problems.push(...checkText(entry, path, source, folder, isDevelopment));
    }
  }
  for (const name of entry.workspaceDependencies) {
    if (!used.has(name)) problems.push(`${entry.dir}/package.json: ${name} is declared but never imported`);
  }
  for (const cycle of findCycles(fileEdges)) problems.push(`cycle of files: ${cycle.join(' -> ')}`);
  return problems;
}

function* sourceFiles(folder) {
  if (!existsSync(folder)) return;
  for (const item of readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, item.name);
    if (item.isDirectory()) {
      if (!SKIPPED_FOLDERS.has(item.name)) yield* sourceFiles(path);
    } else if (SOURCE.test(item.name)) yield path;
  }
}

/** The package that a bare specifier names: its first segment, or two when it is scoped. */
function packageOf(specifier) {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

function targetOf(root, file, specifier) {
  const path = resolve(dirname(file), specifier);
  const source = existsSync(path) ? path : path.replace(/\.(m?)js$/, '.$1ts');
  return relative(root, source).split(sep).join('/');
}

function checkImport({ root, entry, byName, rootDependencies, path, file, folder, isDevelopment }, at, specifier) {
  const problems = OWNED.filter(({ what, owner }) => what.test(specifier) && entry.dir !== owner).map(
    ({ owner, name }) => `${at}: imports ${specifier}. ${name} is known to ${owner} only`,
  );
  if (specifier.startsWith('.')) {
    const inside = `${join(root, entry.dir, folder)}${sep}`;
    const target = resolve(dirname(file), specifier);
    if (!target.startsWith(inside) && folder === 'src') problems.push(`${at}: ${specifier} leaves ${entry.dir}/src`);
    return problems;
  }
  if (isBuiltin(specifier)) return problems;
  const name = packageOf(specifier);
  if (!name.startsWith(SCOPE)) {
    const declared = isDevelopment
      ? entry.runtime.has(name) || entry.development.has(name) || rootDependencies.has(name)
      : entry.runtime.has(name);
    if (!declared) problems.push(undeclared(at, entry, name, isDevelopment));
    return problems;
  }
  if (specifier !== name) problems.push(`${at}: deep import of ${specifier}; import ${name}`);
  if (name === entry.name) {
    if (!isDevelopment) problems.push(`${at}: ${path} imports its own package by name; use a relative path`);
    return problems;
  }
  const target = byName.get(name);
  if (target === undefined) return [...problems, `${at}: ${name} is not in this workspace`];
  if (name === TESTKIT && !isDevelopment) problems.push(`${at}: ${name} is for tests only`);
  if (name === TESTKIT ? target.layer > entry.layer : target.layer >= entry.layer) {
    problems.push(edgeProblem(at, entry, target));
  }
  const declared = isDevelopment ? entry.workspaceDependencies.has(name) : entry.runtime.has(name);
  if (!declared && !(name === TESTKIT && entry.development.has(name))) {
    problems.push(undeclared(at, entry, name, isDevelopment));
  }
  return problems;
}

function undeclared(at, entry, name, isDevelopment) {
  const where = isDevelopment ? 'dependencies or devDependencies' : 'dependencies';
  return `${at}: imports ${name}, which is not among the ${where} of ${entry.dir}/package.json`;
}

/** What is wrong with a file apart from its imports. */
function checkText(entry, path, source, folder, isDevelopment) {
  const problems = [];
  const lines = source.split('\n').length - (source.endsWith('\n') ? 1 : 0);
  if (lines > MAX_LINES) problems.push(`${path}: ${lines} lines; a file holds at most ${MAX_LINES}, split it`);
  if (folder !== 'src') return problems;
  const { code } = maskSource(source);
  const isConfig = entry.isApp && path === `${entry.dir}/src/config.ts`;
  const environment = /\bprocess\s*(?:\?\.|\.)\s*env\b|\bprocess\s*\[|\{[^{}]*\benv\b[^{}]*\}\s*=\s*process\b/.exec(
    code,
  );
  if (environment !== null && !isConfig && !isDevelopment) {
    problems.push(`${path}:${lineAt(code, environment.index)}: reads process.env; only an app's src/config.ts may`);
  }
  if (path === `${entry.dir}/src/index.ts`) {
    const rest = code
      .replace(/\bexport\s+(?:type\s+)?(?:\*(?:\s+as\s+[\w$]+)?|\{[^{}]*\})\s*from\s*(['"])\s*\1\s*;?/g, '')
      .replace(/\bexport\s*\{\s*\}\s*;?/g, '')
      .trim();
    if (rest !== '') {
      const offset = code.indexOf(rest.split('\n')[0]);
      problems.push(`${path}:${lineAt(code, Math.max(0, offset))}: index.ts holds something other than re-exports`);
    }
  }
  return problems;
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const root = resolve(process.argv[2] ?? join(dirname(fileURLToPath(import.meta.url)), '..'));
  const problems = checkLayers(root);
  for (const problem of problems) console.error(problem);
  console.log(problems.length === 0 ? 'layers: in order' : `layers: ${problems.length} problems`);
  process.exitCode = problems.length === 0 ? 0 : 1;
}
