#!/usr/bin/env node
/** `npm start`: sets up what has changed, then runs `clipyard up` in this process. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterSetup } from './entry.mjs';

afterSetup(async (root) => {
  const cli = join(root, 'apps', 'cli', 'dist', 'main.js');
  // In this process rather than in a child: one process fewer that a signal has to reach.
  process.argv = [process.argv[0], cli, 'up', ...process.argv.slice(2)];
  await import(pathToFileURL(cli).href);
});
