import { fieldError } from '@clipyard/contracts';

/** Most names that one pattern may stand for. */
const MAX_NAMES = 1_000_000;

/**
 * Expands braces as a shell does: `{00000..00009}` counts with its zeros, up or down, `{a,b}` lists; braces may follow
 * each other and nest. Throws `spec_invalid` naming `path` for unbalanced braces or more than a million names.
 */
export function expandBraces(pattern: string, path: string): string[] {
  const names = expand(pattern, pattern, path);
  if (names.length > MAX_NAMES) throw tooMany(pattern, path);
  return names;
}

function expand(text: string, pattern: string, path: string): string[] {
  const open = text.indexOf('{');
  const close = text.indexOf('}');
  if (open === -1 && close === -1) return [text];
  if (open === -1 || close < open) throw unbalanced(pattern, path);
  const end = matching(text, open);
  if (end === -1) throw unbalanced(pattern, path);
  const heads = alternatives(text.slice(open + 1, end), pattern, path);
  const tails = expand(text.slice(end + 1), pattern, path);
  if (heads.length * tails.length > MAX_NAMES) throw tooMany(pattern, path);
  const prefix = text.slice(0, open);
  return heads.flatMap((head) => tails.map((tail) => prefix + head + tail));
}

/** The index of the brace that closes the one at `open`, or -1. */
function matching(text: string, open: number): number {
  let depth = 0;
  for (let i = open; i < text.length; i++) {
    if (text[i] === '{') depth++;
    if (text[i] === '}' && --depth === 0) return i;
  }
  return -1;
}

function alternatives(body: string, pattern: string, path: string): string[] {
  const range = /^(\d+)\.\.(\d+)$/.exec(body);
  if (range !== null) return count(range[1]!, range[2]!, pattern, path);
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let i = 0; i < body.length; i++) {
    if (body[i] === '{') depth++;
    if (body[i] === '}') depth--;
    if (body[i] === ',' && depth === 0) {
      parts.push(body.slice(start, i));
      start = i + 1;
    }
  }
  parts.push(body.slice(start));
  if (parts.length === 1) {
    throw fieldError('spec_invalid', {
      path,
      message: `has braces around \`${body}\`, which is neither a range nor a list`,
      value: pattern,
      remedy: 'Write a range such as `{00000..00009}` or a list such as `{a,b}`.',
    });
  }
  return parts.flatMap((part) => expand(part, pattern, path));
}

function count(from: string, to: string, pattern: string, path: string): string[] {
  const [first, last] = [Number(from), Number(to)];
  const length = Math.abs(last - first) + 1;
  if (length > MAX_NAMES) throw tooMany(pattern, path);
  // As in bash: any number with a leading zero makes all as wide as the widest.
  const padded = [from, to].some((text) => text.length > 1 && text.startsWith('0'));
  const width = padded ? Math.max(from.length, to.length) : 0;
  const step = last >= first ? 1 : -1;
  return Array.from({ length }, (_, i) => String(first + i * step).padStart(width, '0'));
}

const unbalanced = (value: string, path: string) =>
  fieldError('spec_invalid', {
    path,
    message: `has unbalanced braces in \`${value}\``,
    value,
    remedy: 'Close every brace, as in `shards/{00000..00009}.tar`.',
  });

const tooMany = (value: string, path: string) =>
  fieldError('spec_invalid', {
    path,
    message: `stands for more than ${MAX_NAMES.toLocaleString('en')} files in \`${value}\``,
    value,
    remedy: 'Use fewer, larger files.',
  });
