import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

interface LockedPackage {
  resolved?: string;
  link?: boolean;
  optionalDependencies?: Record<string, string>;
}

const path = fileURLToPath(new URL('../package-lock.json', import.meta.url));
const packages = JSON.parse(readFileSync(path, 'utf8')).packages as Record<string, LockedPackage>;

/** Whether `name` is found from `from` as Node finds it: in its own node_modules, then in those above. */
function isLocked(from: string, name: string): boolean {
  for (let at = from; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/')))) {
    if (packages[`${at === '' ? '' : `${at}/`}node_modules/${name}`] !== undefined) return true;
    if (at === '') return false;
  }
}

describe('package-lock.json', () => {
  // `npm ci` refuses a lock file that lacks the package of another platform, also where that platform is not this one.
  test('holds every optional dependency, for every platform', () => {
    const missing = Object.entries(packages).flatMap(([from, entry]) =>
      Object.entries(entry.optionalDependencies ?? {})
        .filter(([name]) => !isLocked(from, name))
        .map(([name, version]) => `${name}@${version} of ${from}`),
    );
    expect(missing).toEqual([]);
  });

  test('names no registry', () => {
    const resolved = Object.values(packages).flatMap((entry) =>
      entry.resolved && !entry.link ? [entry.resolved] : [],
    );
    expect(resolved).toEqual([]);
  });
});
