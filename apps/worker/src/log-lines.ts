import type { Readable } from 'node:stream';
import { LIMITS } from '@clipyard/contracts';

/** Calls back with each line of a text stream, without its end; a line longer than a log message is cut into several. */
export function onLines(stream: Readable, onLine: (line: string) => void): void {
  let rest = '';
  const take = (line: string) => {
    const text = line.trimEnd();
    if (text !== '') onLine(text);
  };
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop()!;
    for (const line of lines) take(line);
    while (rest.length >= LIMITS.logMessageChars) {
      take(rest.slice(0, LIMITS.logMessageChars));
      rest = rest.slice(LIMITS.logMessageChars);
    }
  });
  stream.on('end', () => take(rest));
}
