import { randomBytes } from 'node:crypto';

/** Crockford's base 32 in lower case: no i, l, o, u; its order is that of the characters. */
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
const TIME_CHARACTERS = 10;
const RANDOM_CHARACTERS = 10;

/** A new id, `<prefix>-` and 20 characters: 50 bits of the time in ms, then 50 random bits. Ids sort by time. */
export function newId(prefix: string, now: number = Date.now()): string {
  let time = '';
  for (let rest = now, i = 0; i < TIME_CHARACTERS; i++, rest = Math.floor(rest / 32)) time = ALPHABET[rest % 32] + time;
  let random = '';
  for (const byte of randomBytes(RANDOM_CHARACTERS)) random += ALPHABET[byte % 32];
  return `${prefix}-${time}${random}`;
}
