import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

/** `cy_<id>_<secret>`: the prefix is for those who look for lost secrets, the id for the look-up; the secret has 256 bits. */
const TOKEN = /^cy_([a-z0-9]{12})_([A-Za-z0-9_-]{43})$/;
const ID_ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
const ID_CHARACTERS = 12;
const SECRET_BYTES = 32;

export interface NewSecret {
  readonly id: string;
  /** To be shown once. */
  readonly token: string;
  readonly hash: string;
}

export function newSecret(): NewSecret {
  let id = '';
  for (const byte of randomBytes(ID_CHARACTERS)) id += ID_ALPHABET[byte % 32];
  const secret = randomBytes(SECRET_BYTES).toString('base64url');
  return { id, token: `cy_${id}_${secret}`, hash: hashOf(secret) };
}

/** The parts of a token; undefined when it is none. */
export function parseToken(token: string): { id: string; secret: string } | undefined {
  const [, id, secret] = TOKEN.exec(token) ?? [];
  return id === undefined || secret === undefined ? undefined : { id, secret };
}

/** A secret of 256 random bits needs no slow hash: there is nothing to guess. */
export function hashOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

/** Whether a secret has a hash; takes the same time wherever they differ. */
export function hasHash(secret: string, hash: string): boolean {
  return timingSafeEqual(Buffer.from(hashOf(secret), 'hex'), Buffer.from(hash, 'hex'));
}
