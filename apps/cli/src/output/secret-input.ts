import type { ReadStream } from 'node:tty';
import { ClipyardError } from '@clipyard/contracts';

const [ENTER, LINE_FEED, CTRL_C, CTRL_D, DELETE, BACKSPACE] = ['\r', '\n', '\u0003', '\u0004', '\u007f', '\b'];

/** A secret from a pipe, or typed on a terminal, which does not show it. */
export async function readSecret(
  input: NodeJS.ReadStream,
  prompt: (text: string) => void,
  signal: AbortSignal,
): Promise<string> {
  const text = input.isTTY ? await typed(input, prompt, signal) : await piped(input);
  const secret = text.trim();
  if (secret === '') throw new ClipyardError('request_invalid', 'No token was given: type it, or pipe it in.');
  return secret;
}

async function piped(input: NodeJS.ReadStream): Promise<string> {
  let text = '';
  for await (const chunk of input.setEncoding('utf8')) text += chunk;
  return text;
}

async function typed(input: ReadStream, prompt: (text: string) => void, signal: AbortSignal): Promise<string> {
  prompt('Token: ');
  input.setRawMode(true).setEncoding('utf8').resume();
  let text = '';
  try {
    return await new Promise((resolve, reject) => {
      const read = (chunk: string) => {
        for (const character of chunk) {
          if (character === ENTER || character === LINE_FEED || character === CTRL_D) return resolve(text);
          if (character === CTRL_C) return reject(new ClipyardError('cancelled', 'ended by Ctrl-C'));
          text = character === DELETE || character === BACKSPACE ? text.slice(0, -1) : text + character;
        }
      };
      input.on('data', read);
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
  } finally {
    input.removeAllListeners('data').setRawMode(false).pause();
    prompt('\n');
  }
}
