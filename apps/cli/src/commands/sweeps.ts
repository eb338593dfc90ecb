import type { SweepState } from '@clipyard/contracts';
import { type Context, clientOf, type ServerOptions } from '../context.js';
import { EXIT } from '../exit-codes.js';
import { csvLines, parallelCoordinates } from '../sweeps/sweep-export.js';
import { readSweepFile } from '../sweeps/sweep-file.js';
import { sweepLines, sweepListLines } from '../sweeps/sweep-tables.js';
import { watchSweep } from '../sweeps/watch-sweep.js';

export async function submitSweep(
  context: Context,
  file: string,
  options: ServerOptions & { watch?: boolean; set: string[] },
): Promise<number> {
  const { terminal, signal } = context;
  const spec = await readSweepFile(file, options.set);
  const client = await clientOf(context, options);
  const sweep = await client.sweeps.submit(spec, { signal });
  terminal.id(sweep.id);
  if (options.watch === true) {
    if (options.json !== true) terminal.out(`submitted ${sweep.id}`);
    return await watchOne(context, sweep.id, options);
  }
  const text = `submitted ${sweep.id}; watch it with: clipyard sweep watch ${sweep.id}`;
  terminal.out(options.json === true ? JSON.stringify(sweep) : text);
  return EXIT.ok;
}

export async function listSweeps(
  context: Context,
  options: ServerOptions & { state?: SweepState; limit: number },
): Promise<number> {
  const { terminal, signal } = context;
  const { state, limit } = options;
  const client = await clientOf(context, options);
  const page = await client.sweeps.list({ limit, ...(state === undefined ? {} : { state }) }, { signal });
  for (const { id } of page.items) terminal.id(id);
  if (options.json === true) terminal.out(JSON.stringify(page));
  else if (page.items.length === 0) terminal.out('no sweeps');
  else {
    for (const line of sweepListLines(page.items)) terminal.out(line);
    if (page.nextCursor !== null) terminal.out(`the newest ${page.items.length}; --limit shows more`);
  }
  return EXIT.ok;
}

export async function showSweep(context: Context, sweepId: string, options: ServerOptions): Promise<number> {
  const { terminal, signal } = context;
  const client = await clientOf(context, options);
  const sweep = await client.sweeps.get(sweepId, { signal });
  const trials = await client.sweeps.trials(sweepId, { signal });
  if (options.json === true) terminal.out(JSON.stringify({ ...sweep, trials }));
  else for (const line of sweepLines(sweep, trials)) terminal.out(line);
  return EXIT.ok;
}

/** Exit code 1 when the sweep failed or was cancelled. */
export async function watchOne(context: Context, sweepId: string, options: ServerOptions): Promise<number> {
  const { terminal, signal } = context;
  const client = await clientOf(context, options);
  const sweep = await watchSweep(client, sweepId, terminal, { signal, json: options.json === true });
  if (options.json !== true) {
    terminal.out('');
    for (const line of sweepLines(sweep, await client.sweeps.trials(sweepId, { signal }))) terminal.out(line);
  }
  return sweep.state === 'succeeded' ? EXIT.ok : EXIT.failed;
}

/** Asks for it and prints the state that the sweep is in then. */
export async function actOnSweep(
  action: 'pause' | 'resume' | 'cancel',
  context: Context,
  sweepId: string,
  options: ServerOptions,
): Promise<number> {
  const client = await clientOf(context, options);
  const sweep = await client.sweeps.act(sweepId, action, { signal: context.signal });
  context.terminal.out(options.json === true ? JSON.stringify(sweep) : `${sweep.id} ${sweep.state}`);
  return EXIT.ok;
}

export async function exportSweep(
  context: Context,
  sweepId: string,
  options: ServerOptions & { format: 'csv' | 'json' },
): Promise<number> {
  const { terminal, signal } = context;
  const client = await clientOf(context, options);
  const sweep = await client.sweeps.get(sweepId, { signal });
  const data = parallelCoordinates(sweep, await client.sweeps.trials(sweepId, { signal }));
  if (options.format === 'json') terminal.out(JSON.stringify(data, undefined, 2));
  else for (const line of csvLines(data)) terminal.out(line);
  return EXIT.ok;
}
