import { ClipyardError, type FieldProblem, fieldError, fieldProblems } from '@clipyard/contracts';
import type { FastifyRequest } from 'fastify';
import type { z } from 'zod';

/** The query of a request by its schema; a parameter that the schema lacks is an error. Throws `request_invalid`. */
export function parseQuery<S extends z.ZodObject>(schema: S, request: FastifyRequest): z.infer<S> {
  return parse(schema.strict(), request.query, 'query') as z.infer<S>;
}

/** The body of a request by its schema. Throws `request_invalid`. */
export function parseBody<S extends z.ZodType>(schema: S, body: unknown): z.infer<S> {
  if (body === undefined) throw invalid([{ path: 'body', message: 'is missing', remedy: 'Send JSON.' }]);
  return parse(schema, body, 'body');
}

function parse<S extends z.ZodType>(schema: S, input: unknown, root: 'query' | 'body'): z.infer<S> {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  const hint = root === 'query' ? 'Correct this query parameter.' : 'Correct this value.';
  throw invalid(
    fieldProblems(parsed.error, input, hint).map((field) =>
      field.path === '(root)' ? { ...field, path: root } : withoutSecret(field),
    ),
  );
}

const withoutSecret = (field: FieldProblem): FieldProblem =>
  field.path === 'token' ? { ...field, value: undefined } : field;

const invalid = (fields: readonly FieldProblem[]): ClipyardError =>
  new ClipyardError('request_invalid', fields.map((f) => `${f.path}: ${f.message}`).join('; '), { fields });

/** Refuses an id or a query parameter with the character NUL, which PostgreSQL cannot compare with anything. */
export function refuseNul(request: FastifyRequest): void {
  if (!/%00/.test(request.url)) return;
  throw fieldError('request_invalid', {
    path: 'url',
    message: 'holds the character NUL',
    value: request.url,
    remedy: 'Remove %00.',
  });
}

/** The Idempotency-Key of a request, if it has one: 1 to 255 visible ASCII characters. */
export function idempotencyKey(request: FastifyRequest): string | undefined {
  const key = request.headers['idempotency-key'];
  if (key === undefined) return undefined;
  if (typeof key === 'string' && /^[\x21-\x7e]{1,255}$/.test(key)) return key;
  throw fieldError('request_invalid', {
    path: 'Idempotency-Key',
    message: 'is not 1 to 255 visible ASCII characters',
    value: key,
    remedy: 'Use a UUID.',
  });
}

/** The event id to resume after: the Last-Event-ID header that browsers send, else `?after=`. */
export function resumeAfter(request: FastifyRequest, after: string | undefined): string | undefined {
  const header = request.headers['last-event-id'];
  const [path, value] = header === undefined ? ['after', after] : ['Last-Event-ID', header];
  if (value === undefined || (typeof value === 'string' && /^\d{1,19}$/.test(value))) return value;
  throw fieldError('request_invalid', {
    path,
    message: 'is not the id of an event',
    value,
    remedy: 'Send the `id` of the last event that you got, or nothing to get all.',
  });
}
