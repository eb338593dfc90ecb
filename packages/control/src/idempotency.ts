import { createHash } from 'node:crypto';
import { fieldError } from '@clipyard/contracts';
import type { Repositories } from '@clipyard/db';

/**
 * Takes an idempotency key of a project for what is about to be created, and returns the id of whoever has it: `id`, or the one that
 * the same request created before. Throws `idempotency_key_reused` when it was another request.
 */
export async function claimKey(
  tx: Repositories,
  { project, key }: { readonly project: string; readonly key: string },
  request: unknown,
  id: string,
): Promise<string> {
  // A request that was validated has its fields in the order of the schema, so equal ones have equal texts.
  const hash = createHash('sha256').update(JSON.stringify(request)).digest('hex');
  const known = await tx.idempotency.claim(`${project} ${key}`, hash, id);
  if (known.requestHash === hash) return known.jobId;
  throw fieldError('idempotency_key_reused', {
    path: 'Idempotency-Key',
    message: 'was used with another request',
    value: key,
    remedy: 'Use a new key.',
  });
}
