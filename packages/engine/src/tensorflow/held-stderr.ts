import { fstatSync, readSync, writeSync } from 'node:fs';
import { loadLibrary } from '../native-library.js';

const STDERR = 2;
/** MFD_CLOEXEC of linux/memfd.h. */
const CLOSE_ON_EXEC = 1;

/**
 * Runs `fn` while all that this process writes to stderr, C code included, is held in memory, and then writes it but for
 * the lines that `drops` says. For moments at which nothing else is to be told: a process that dies in `fn` tells nothing.
 */
export function withHeldStderr<T>(drops: (line: string) => boolean, fn: () => T): T {
  const library = loadLibrary(null);
  const duplicate = library.func('dup', 'int', ['int']);
  const replace = library.func('dup2', 'int', ['int', 'int']);
  // Node's own would warn of descriptors that it has not opened.
  const close = library.func('close', 'int', ['int']);
  const held = library.func('memfd_create', 'int', ['str', 'uint'])('stderr', CLOSE_ON_EXEC) as number;
  // Old kernels and some sandboxes have none.
  if (held === -1) return fn();
  const real = duplicate(STDERR) as number;
  replace(held, STDERR);
  try {
    return fn();
  } finally {
    replace(real, STDERR);
    close(real);
    const text = Buffer.alloc(fstatSync(held).size);
    readSync(held, text, 0, text.length, 0);
    close(held);
    const rest = text
      .toString()
      .split(/(?<=\n)/)
      .filter((line) => !drops(line))
      .join('');
    if (rest !== '') writeSync(STDERR, rest);
  }
}
