import { cp, mkdtemp, readdir, readlink, realpath, rm, stat, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { copyBinaries, hydrateSymlinks, locateBinaries } from './binaries.js';

let directory: string;
beforeEach(async () => {
  directory = await realpath(await mkdtemp(join(tmpdir(), 'clipyard-binaries-')));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

/** The links among the libraries of `root`, by name. */
async function links(root: string): Promise<Map<string, string>> {
  const found = (await readdir(join(root, 'lib'), { withFileTypes: true })).filter((entry) => entry.isSymbolicLink());
  return new Map(
    await Promise.all(found.map(async ({ name }) => [name, await readlink(join(root, 'lib', name))] as const)),
  );
}

describe('copyBinaries', () => {
  it('makes a copy that stands alone, and mends one whose links lead into a folder that is gone', async () => {
    const installed = await locateBinaries();
    // The links of this folder's copy lead back into the folder, unlike those of a package.
    const gone = join(directory, 'gone', 'native');
    await cp(installed.root, gone, { recursive: true, verbatimSymlinks: true });
    await hydrateSymlinks(gone);
    const absolute = join(directory, 'absolute', 'native');
    await cp(gone, absolute, { recursive: true });
    await rm(gone, { recursive: true });

    const copied = await copyBinaries({ ...installed, root: absolute }, join(directory, 'shared'));
    const made = await links(copied.root);
    for (const [name, target] of made) {
      expect(target).toBe(basename(target));
      await stat(join(copied.root, 'lib', name));
    }

    for (const name of made.keys()) {
      await rm(join(copied.root, 'lib', name));
      await symlink(join(gone, 'lib', name), join(copied.root, 'lib', name));
    }
    expect(await copyBinaries(installed, join(directory, 'shared'))).toEqual(copied);
    expect(await links(copied.root)).toEqual(made);
  });
});
