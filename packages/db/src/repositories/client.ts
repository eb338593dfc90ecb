import type { Prisma } from '../generated/client.js';

/** Prisma's client, inside a transaction or not. */
export type Client = Prisma.TransactionClient;

/** A value for a JSON column; what we store has been validated, and Prisma's type does not take readonly arrays. */
export function json(value: unknown): Prisma.InputJsonValue {
  return value as Prisma.InputJsonValue;
}
