import { isIP } from 'node:net';
import { type ClipyardError, fieldError, includesScope, type Operation, type Scope } from '@clipyard/contracts';
import { type Authenticator, Behalf, type Caller, LOCAL } from '@clipyard/control';
import type { FastifyRequest } from 'fastify';
import { sessionToken } from './session-cookie.js';

export interface AdmissionOptions {
  /** Whether requests need a token. Without, the server must listen on loopback only. */
  readonly requireToken: boolean;
  /** Origins of other sites whose pages may ask. */
  readonly corsOrigins: readonly string[];
}

/** Who may come in, and as whom. */
export class Admission {
  readonly #authenticator: Authenticator;
  readonly #options: AdmissionOptions;

  constructor(deps: { readonly authenticator: Authenticator }, options: AdmissionOptions) {
    this.#authenticator = deps.authenticator;
    this.#options = options;
  }

  get corsOrigins(): readonly string[] {
    return this.#options.corsOrigins;
  }

  /** Throws `token_required`, `token_invalid`, `scope_insufficient` or `origin_refused`. */
  async admit(request: FastifyRequest, operation: Operation): Promise<Behalf> {
    const caller = operation.scope === 'none' ? LOCAL : await this.#caller(request);
    if (operation.scope !== 'none') assertAllowed(caller, operation.scope, operation.allProjects === true);
    return new Behalf(caller, { requestId: request.id, address: request.ip });
  }

  /** Who a token is. Throws `token_invalid`. */
  async callerOf(token: string): Promise<Caller> {
    return await this.#authenticator.authenticate(token);
  }

  /** Refuses what a page of another site makes a browser send: with a cookie, or to a server that needs no token. */
  refuseForeign(request: FastifyRequest): void {
    if (request.method === 'GET' || request.method === 'HEAD') return;
    const { origin } = request.headers;
    const site = request.headers['sec-fetch-site'];
    if (origin !== undefined && this.#options.corsOrigins.includes(origin)) return;
    const own = origin === undefined || (URL.canParse(origin) && new URL(origin).host === request.host);
    if (own && site !== 'cross-site') return;
    throw fieldError('origin_refused', {
      path: 'Origin',
      message: 'is another site than this server',
      value: origin,
      remedy: 'Send a token as `Authorization: Bearer`; CLIPYARD_CORS_ORIGINS names sites that may ask.',
    });
  }

  async #caller(request: FastifyRequest): Promise<Caller> {
    const token = bearerToken(request);
    if (token !== undefined) return await this.callerOf(token);
    const session = sessionToken(request);
    if (session !== undefined) {
      this.refuseForeign(request);
      return await this.callerOf(session);
    }
    if (this.#options.requireToken) throw noToken();
    refuseRebound(request);
    this.refuseForeign(request);
    return LOCAL;
  }
}

function bearerToken({ headers: { authorization } }: FastifyRequest): string | undefined {
  if (authorization === undefined) return undefined;
  const [, token] = /^Bearer +(\S+)$/i.exec(authorization) ?? [];
  if (token !== undefined) return token;
  throw fieldError('token_invalid', {
    path: 'Authorization',
    message: 'is not of the form `Bearer <token>`',
    remedy: 'Send the token as `clipyard token create` printed it.',
  });
}

function noToken(): ClipyardError {
  return fieldError('token_required', {
    path: 'Authorization',
    message: 'is missing',
    remedy: 'Send `Authorization: Bearer <token>`; `clipyard login` keeps one for the CLI.',
  });
}

function assertAllowed(caller: Caller, scope: Scope, allProjects: boolean): void {
  if (!includesScope(caller.scope, scope)) {
    throw fieldError('scope_insufficient', {
      path: 'Authorization',
      message: `is a token of scope \`${caller.scope}\`, and this needs \`${scope}\``,
      remedy: 'Ask an admin for another token.',
    });
  }
  if (allProjects && caller.project !== null) {
    throw fieldError('scope_insufficient', {
      path: 'Authorization',
      message: `is a token of project ${caller.project}, and this is about all projects`,
      remedy: 'Use one that was made with --all-projects.',
    });
  }
}

/** A page whose name was made to lead here (DNS rebinding) would be the same site; its name is not one of loopback. */
function refuseRebound({ hostname }: FastifyRequest): void {
  if (isLoopback(hostname)) return;
  throw fieldError('origin_refused', {
    path: 'Host',
    message: 'is no name of this machine for itself, and without a token nobody else is served',
    value: hostname,
    remedy: 'Use http://127.0.0.1 or localhost; for a proxy set CLIPYARD_AUTH=token and make tokens.',
  });
}

/** Whether a host of a URL, or an address, stays on this machine. */
export function isLoopback(host: string): boolean {
  const name = host.replace(/^\[(.*)\]$/, '$1').toLowerCase();
  if (isIP(name) === 4) return name.startsWith('127.');
  return name === '::1' || name === 'localhost' || name.endsWith('.localhost');
}
