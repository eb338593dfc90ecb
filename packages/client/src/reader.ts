import { ClipyardError, type Page } from '@clipyard/contracts';
import type { QueryValue, Transport } from './transport.js';

export interface Call {
  readonly signal?: AbortSignal;
}

export interface Schema<T> {
  safeParse(value: unknown): { success: true; data: T } | { success: false; error: Error };
}

type Query = Readonly<Record<string, QueryValue | undefined>>;

/** Requests whose answers are read by a schema. */
export class Reader {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  async get<T>(schema: Schema<T>, path: string, query: Query, options: Call & { accept?: number[] }): Promise<T> {
    const answer = await this.#transport.request(path, { query, repeatable: true, ...options });
    return this.#read(schema, answer.body);
  }

  async page<T>(schema: Schema<T>, path: string, query: Query, options: Call): Promise<Page<T>> {
    const answer = await this.#transport.request(path, { query, repeatable: true, ...options });
    const { items, nextCursor } = answer.body as { items?: unknown; nextCursor?: unknown };
    if (!Array.isArray(items)) throw this.#foreign(`${path} has no items`);
    return {
      items: items.map((item) => this.#read(schema, item)),
      nextCursor: typeof nextCursor === 'string' ? nextCursor : null,
    };
  }

  async items<T>(schema: Schema<T>, path: string, query: Query, options: Call): Promise<readonly T[]> {
    return (await this.page(schema, path, query, options)).items;
  }

  /** Creates something, once for one key. */
  async create<T>(
    schema: Schema<T>,
    path: string,
    body: unknown,
    { idempotencyKey, signal }: Call & { idempotencyKey: string },
  ): Promise<T> {
    const headers = { 'idempotency-key': idempotencyKey };
    const answer = await this.#transport.request(path, { method: 'POST', body, headers, repeatable: true, signal });
    return this.#read(schema, answer.body);
  }

  /** Asks for something that is not to be asked for twice. */
  async act<T>(schema: Schema<T>, path: string, options: Call & { query?: Query; body?: unknown }): Promise<T> {
    const answer = await this.#transport.request(path, { method: 'POST', ...options });
    return this.#read(schema, answer.body);
  }

  /** Changes something as a merge patch says; once or twice is the same. */
  async patch<T>(schema: Schema<T>, path: string, body: unknown, options: Call): Promise<T> {
    const answer = await this.#transport.request(path, { method: 'PATCH', body, repeatable: true, ...options });
    return this.#read(schema, answer.body);
  }

  /** Not repeated on a failure: the second call would find nothing. */
  async remove(path: string, options: Call): Promise<void> {
    await this.#transport.request(path, { method: 'DELETE', ...options });
  }

  /** Ends something that is still told of; once or twice is the same. */
  async revoke<T>(schema: Schema<T>, path: string, options: Call): Promise<T> {
    const answer = await this.#transport.request(path, { method: 'DELETE', repeatable: true, ...options });
    return this.#read(schema, answer.body);
  }

  #read<T>(schema: Schema<T>, body: unknown): T {
    const parsed = schema.safeParse(body);
    if (!parsed.success) throw this.#foreign(parsed.error.message);
    return parsed.data;
  }

  /** Another program, or a server of another version, answers at the URL. */
  #foreign(detail: string): ClipyardError {
    const { serverUrl } = this.#transport;
    return new ClipyardError('server_unreachable', `${serverUrl} does not answer as this client expects: ${detail}`);
  }
}
