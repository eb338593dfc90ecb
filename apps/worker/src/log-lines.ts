import type { Readable } from 'node:stream';
import { LIMITS } from '@clipyard/contracts';

/** Calls back with each line of a text stream, without its end; a line longer than a log message is cut into several. */
export function onLines(stream: Readable, onLine: (line: string) => void): void {
  const limit = LIMITS.logMessageChars;
  let rest = '';
  const take = (line: string) => {
    const text = line.trimEnd();
    for (let at = 0; at < text.length; at += limit) onLine(text.slice(at, at + limit));
  };
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop()!;
    for (const line of lines) take(line);
    // A line that never ends must not be kept without end.
    if (rest.length >= limit) {
      const whole = rest.length - (rest.length % limit);
      take(rest.slice(0, whole));
      rest = rest.slice(whole);
    }
  });
  stream.on('end', () => take(rest));
}
