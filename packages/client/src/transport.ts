import { ClipyardError, ERRORS, type ErrorCode, problemSchema } from '@clipyard/contracts';
import { backoff, sleep } from '@clipyard/runtime';

export interface TransportOptions {
  /** Root of the server, such as `http://127.0.0.1:7070`. */
  readonly url: string;
  readonly token: string | undefined;
  /** Time for one request and its whole answer, ms. */
  readonly timeoutMs: number;
  /** How often a request that may be repeated is tried in all. */
  readonly attempts: number;
  /** Wait before the second try, ms; it doubles from try to try. */
  readonly retryDelayMs: number;
}

export type QueryValue = string | number | readonly string[];

export interface RequestOptions {
  readonly method?: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** A list is sent as one parameter for each of its items. */
  readonly query?: Readonly<Record<string, QueryValue | undefined>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** Whether doing it twice has the effect of doing it once: then it is tried again on 503 and network errors. */
  readonly repeatable?: boolean;
  /** Statuses of errors whose body is an answer all the same. */
  readonly accept?: readonly number[];
  readonly signal?: AbortSignal;
}

/** The parts of an HTTP answer that callers read. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: unknown;
}

/** Longest wait before a request is tried again, whatever the server asks for, ms. */
const MAX_RETRY_AFTER_MS = 10_000;

/** Sends JSON requests: time limits, retries, and problem+json as ClipyardError. */
export class Transport {
  readonly #fetch: typeof fetch;
  readonly #options: TransportOptions;

  constructor(deps: { fetch: typeof fetch }, options: TransportOptions) {
    this.#fetch = deps.fetch;
    this.#options = options;
  }

  get serverUrl(): string {
    return this.#options.url;
  }

  /** Throws the server's coded error, `server_unreachable`, or the signal's reason. */
  async request(path: string, options: RequestOptions = {}): Promise<Answer> {
    const delays = backoff({ initialMs: this.#options.retryDelayMs, maxMs: MAX_RETRY_AFTER_MS });
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#once(path, options);
      } catch (error) {
        options.signal?.throwIfAborted();
        if (!(error instanceof Failure)) throw error;
        const last = attempt >= this.#options.attempts;
        if (last || !error.transient || options.repeatable !== true) throw error.coded;
        await sleep(error.retryAfterMs ?? delays.next(), options);
      }
    }
  }

  /** Opens a stream; resolves once the headers are there. The caller reads or cancels the body. */
  async open(path: string, options: RequestOptions = {}): Promise<Response> {
    const response = await this.#send(path, options, options.signal);
    if (response.ok) return response;
    throw (await this.#failure(response)).coded;
  }

  /** Throws a Failure, or the caller's abort reason. */
  async #once(path: string, options: RequestOptions): Promise<Answer> {
    const limit = AbortSignal.timeout(this.#options.timeoutMs);
    const signal = options.signal === undefined ? limit : AbortSignal.any([options.signal, limit]);
    const response = await this.#send(path, options, signal).catch(transientFailure);
    if (!response.ok && options.accept?.includes(response.status) !== true)
      throw await this.#failure(response).catch(transientFailure);
    if (response.status === 204) return { status: 204, headers: response.headers, body: undefined };
    const body = parseJson(await this.#text(response).catch(transientFailure));
    if (body === undefined) throw new Failure(this.#unreachable('it answered something that is not JSON'), false);
    return { status: response.status, headers: response.headers, body };
  }

  async #send(path: string, options: RequestOptions, signal: AbortSignal | undefined): Promise<Response> {
    const url = new URL(path, this.#options.url);
    for (const [key, value] of Object.entries(options.query ?? {}))
      for (const each of [value ?? []].flat()) url.searchParams.append(key, String(each));
    const hasBody = options.body !== undefined;
    try {
      return await this.#fetch(url, {
        method: options.method ?? 'GET',
        headers: {
          accept: 'application/json',
          ...(this.#options.token === undefined ? {} : { authorization: `Bearer ${this.#options.token}` }),
          ...(hasBody ? { 'content-type': 'application/json' } : {}),
          ...options.headers,
        },
        ...(hasBody ? { body: JSON.stringify(options.body) } : {}),
        ...(signal === undefined ? {} : { signal }),
      });
    } catch (error) {
      options.signal?.throwIfAborted();
      throw this.#unreachable(reasonOf(error), error);
    }
  }

  async #failure(response: Response): Promise<Failure> {
    const problem = problemSchema.safeParse(parseJson(await this.#text(response)));
    const seconds = Number(response.headers.get('retry-after') ?? Number.NaN);
    const retryAfterMs =
      Number.isFinite(seconds) && seconds >= 0 ? Math.min(seconds * 1000, MAX_RETRY_AFTER_MS) : undefined;
    const transient = response.status === 503 || response.status === 429;
    if (problem.success) {
      const { code, detail, errors } = problem.data;
      return new Failure(new ClipyardError(code, detail, { fields: errors }), transient, retryAfterMs);
    }
    if (transient) return new Failure(this.#unreachable(`it answered ${response.status}`), true, retryAfterMs);
    const code: ErrorCode = response.status === 404 ? 'not_found' : 'internal';
    const message = `${this.#options.url} answered ${response.status} without a problem document; ${ERRORS[code].title.toLowerCase()}`;
    return new Failure(new ClipyardError(code, message), false);
  }

  async #text(response: Response): Promise<string> {
    try {
      return await response.text();
    } catch (error) {
      throw this.#unreachable(reasonOf(error), error);
    }
  }

  #unreachable(reason: string, cause?: unknown): ClipyardError {
    const url = this.#options.url;
    const problem = {
      path: 'CLIPYARD_URL',
      message: `no Clipyard server answers there: ${reason}`,
      value: url,
      remedy: 'Start one with `npm start`, or give the URL of a running one.',
    };
    return new ClipyardError('server_unreachable', `${url}: ${problem.message}. ${problem.remedy}`, {
      fields: [problem],
      cause,
    });
  }
}

/** A coded error together with whether trying again may help. */
class Failure extends Error {
  constructor(
    readonly coded: ClipyardError,
    readonly transient: boolean,
    readonly retryAfterMs?: number,
  ) {
    super(coded.message, { cause: coded });
  }
}

function transientFailure(error: unknown): never {
  throw new Failure(ClipyardError.from(error), true);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** `fetch failed` says nothing; its cause does. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return 'it did not answer in time';
  const cause = error.cause;
  if (cause instanceof AggregateError) return cause.errors.map(reasonOf).join(', ');
  return cause instanceof Error ? reasonOf(cause) : error.message;
}
