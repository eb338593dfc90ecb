import type { z } from 'zod';
import type { Scope } from '../access.js';
import type { ErrorCode } from '../errors.js';

/** One route of the REST API: the server, the reference and the OpenAPI document are made from these. */
export interface Operation {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** With parameters as `:name`, each a string. */
  readonly path: string;
  readonly tag: 'Jobs' | 'Queue' | 'Checkpoints' | 'Sweeps' | 'Nodes' | 'Webhooks' | 'Access' | 'Service';
  /** What a token must allow; `none`: it needs none. */
  readonly scope: Scope | 'none';
  /** Only with a token of all projects: what it tells or changes is not one project's. */
  readonly allProjects?: true;
  /** What it does, in Markdown as the reference shows it. */
  readonly does: string;
  readonly query?: z.ZodObject;
  readonly body?: z.ZodType;
  /** Whether it takes an `Idempotency-Key`. */
  readonly idempotent?: true;
  readonly answer: Answer;
  /** Codes of its own, beside those that every route may answer with. */
  readonly errors: readonly ErrorCode[];
}

export type Answer =
  /** `or`: another status with the same body. */
  | { readonly type: 'one'; readonly status: 200 | 201; readonly schema: z.ZodType; readonly or?: 503 }
  /** A page: `{items, nextCursor}`. */
  | { readonly type: 'list'; readonly schema: z.ZodType }
  /** 204, without a body. */
  | { readonly type: 'nothing' }
  | { readonly type: 'file' }
  /** A PNG. */
  | { readonly type: 'picture' }
  | { readonly type: 'events' }
  | { readonly type: 'json' }
  | { readonly type: 'text' };

export const one = <S extends z.ZodType>(schema: S) => ({ type: 'one', status: 200, schema }) as const;
export const created = <S extends z.ZodType>(schema: S) => ({ type: 'one', status: 201, schema }) as const;
export const list = <S extends z.ZodType>(schema: S) => ({ type: 'list', schema }) as const;

/** Whether its answers have an `ETag`, with which clients that poll are answered 304. */
export function isTagged({ method, tag, answer }: Operation): boolean {
  if (answer.type === 'json') return true;
  return (
    (method === 'GET' || method === 'PATCH') && tag !== 'Service' && (answer.type === 'one' || answer.type === 'list')
  );
}

/** Names and types of the parameters of a path. */
export type PathParameters<P extends string> = P extends `${string}:${infer Name}/${infer Rest}`
  ? Readonly<Record<Name, string>> & PathParameters<`/${Rest}`>
  : P extends `${string}:${infer Name}`
    ? Readonly<Record<Name, string>>
    : unknown;

/** What `query` of an operation is after parsing: no parameters where it names none. */
export type QueryOf<O extends Operation> = O extends { readonly query: infer Q extends z.ZodType }
  ? z.output<Q>
  : object;
