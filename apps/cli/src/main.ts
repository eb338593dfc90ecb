#!/usr/bin/env node
import { ClipyardError } from '@clipyard/contracts';
import { loadConfig } from './config.js';
import { EXIT, exitCodeOf } from './exit-codes.js';
import { errorText } from './output/error-text.js';
import { readSecret } from './output/secret-input.js';
import { processTerminal } from './output/terminal.js';
import { runProgram } from './program.js';

const terminal = processTerminal(process.stdout, process.stderr);
const interrupted = new AbortController();
let signals = 0;
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(name, () => {
    // The second one does not wait for a drain; children notice that we are gone and drain by themselves.
    if (signals++ > 0) process.exit(EXIT.interrupted);
    interrupted.abort(new ClipyardError('cancelled', `ended by ${name}`));
  });
}
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // The reader of a pipe has had enough.
  if (error.code !== 'EPIPE') throw error;
  process.exit(EXIT.ok);
});

try {
  process.exitCode = await runProgram(process.argv.slice(2), {
    config: loadConfig(),
    terminal,
    readSecret: () => readSecret(process.stdin, (text) => void process.stderr.write(text), interrupted.signal),
    signal: interrupted.signal,
  });
} catch (error) {
  if (interrupted.signal.aborted) process.exitCode = EXIT.interrupted;
  else {
    const coded = ClipyardError.from(error);
    terminal.err(errorText(coded));
    // A bug: whoever looks for it needs the stack.
    if (coded.code === 'internal' && error instanceof Error && error.stack !== undefined) terminal.err(error.stack);
    process.exitCode = exitCodeOf(coded);
  }
}
