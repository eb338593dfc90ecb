import { once } from 'node:events';
import { Client } from '@clipyard/client';
import { ClipyardError } from '@clipyard/contracts';
import type { Context } from '../context.js';
import { EXIT, exitCodeOf } from '../exit-codes.js';
import { errorText } from '../output/error-text.js';
import { runDemo } from '../up/demo.js';
import { claimHome } from '../up/home-lock.js';
import { readServerFile } from '../up/server-file.js';
import { type Stack, startStack } from '../up/stack.js';

export interface UpOptions {
  readonly demo: boolean;
}

/** Starts everything, trains the demo, stays up on a terminal (or without the demo) until a signal, then drains. */
export async function up(context: Context, options: UpOptions): Promise<number> {
  const { config, terminal, signal } = context;
  const lock = await claimHome(config.home);
  if (lock === undefined) return await alreadyUp(context);
  const began = performance.now();
  try {
    terminal.out(`Clipyard keeps everything in ${config.home}`);
    const stack = await startStack(config, (line) => terminal.out(`  ${line}`), signal);
    let code: number;
    try {
      terminal.out(`ready in ${((performance.now() - began) / 1000).toFixed(1)} s: ${stack.url}`);
      code = await Promise.race([stack.failed, serve(context, options, stack)]);
    } catch (error) {
      code = signal.aborted ? EXIT.interrupted : report(context, error);
    }
    terminal.out('draining: worker, API, database …');
    await stack.close();
    terminal.out('everything has ended');
    return code;
  } finally {
    await lock.release();
  }
}

/** The demo, then, where that is wanted, waiting for a signal. */
async function serve(context: Context, options: UpOptions, stack: Stack): Promise<number> {
  const { terminal, config, signal } = context;
  let code: number = EXIT.ok;
  if (options.demo) {
    const job = await runDemo({ client: stack.client, config, terminal, signal });
    code = job.state === 'succeeded' ? EXIT.ok : EXIT.failed;
    if (!terminal.isTty) return code;
  }
  terminal.out('');
  terminal.out(`${stack.url} stays up until Ctrl-C.`);
  if (!signal.aborted) await once(signal, 'abort');
  return code;
}

async function alreadyUp({ config, terminal, signal }: Context): Promise<number> {
  const server = await readServerFile(config.home);
  if (server === undefined) {
    terminal.err(`Another \`clipyard up\` is starting or ending in ${config.home}; try again in a moment.`);
    return EXIT.failed;
  }
  const health = await new Client({}, { url: server.url }).health({ signal });
  terminal.out(`Clipyard is already up in this home: ${server.url} (process ${server.pids.up}, ${health.status})`);
  return health.status === 'ok' ? EXIT.ok : EXIT.failed;
}

function report({ terminal }: Context, error: unknown): number {
  const coded = ClipyardError.from(error);
  terminal.err(errorText(coded));
  return exitCodeOf(coded);
}
