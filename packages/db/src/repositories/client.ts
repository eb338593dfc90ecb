import type { Prisma } from '../generated/client.js';

/** Prisma's client, inside a transaction or not. */
export type Client = Prisma.TransactionClient;

/** Reads rows by a statement, within the transaction if there is one; without one past Prisma, which takes longer than Postgres. */
export type Rows = <T>(query: Prisma.Sql) => Promise<T[]>;

/** Where a list with the newest first goes on: after this row. */
export interface TimeCursor {
  readonly createdAt: Date;
  readonly id: string;
}

/**
 * A value for a JSON column; what we store has been validated, and Prisma's type does not take readonly arrays. Texts in
 * it, such as the message of an error that quotes somebody's file, are made storable.
 */
export function json(value: unknown): Prisma.InputJsonValue {
  return storable(value) as Prisma.InputJsonValue;
}

/** PostgreSQL holds neither the character NUL nor half of a surrogate pair: both are replaced. */
export function storableText(text: string): string {
  return text.replace(UNSTORABLE, '\ufffd');
}

const UNSTORABLE = /\0|\p{Surrogate}/gu;

function storable(value: unknown): unknown {
  if (typeof value === 'string') return storableText(value);
  if (Array.isArray(value)) return value.map(storable);
  if (typeof value !== 'object' || value === null || !isPlain(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [storableText(key), storable(inner)]));
}

const isPlain = (value: object): boolean => Object.getPrototypeOf(value) === Object.prototype;
