import { fieldError } from '@clipyard/contracts';
import { InvalidArgumentError } from 'commander';

/** Parsers of option values. */

export function collect(value: string, before: string[]): string[] {
  return [...before, value];
}

export function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(text);
}

export function positiveNumber(text: string): number {
  const value = wholeNumber(text);
  if (value === 0) throw new InvalidArgumentError('It must be at least 1.');
  return value;
}

/** The parts of `key=value`, a label. Throws `request_invalid`. */
export function keyAndValue(text: string): [string, string] {
  const at = text.indexOf('=');
  if (at > 0) return [text.slice(0, at), text.slice(at + 1)];
  throw fieldError('request_invalid', {
    path: '--label',
    message: 'is not key=value',
    value: text,
    remedy: 'Write it as --label team=vision.',
  });
}
