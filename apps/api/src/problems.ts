import { ClipyardError, fieldError, LIMITS, OPERATIONS, toProblem } from '@clipyard/contracts';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

/**
 * Makes every error of the server, its own and the framework's, an application/problem+json answer (RFC 9457), but for
 * paths that `page` answers.
 */
export function installProblems(
  server: FastifyInstance,
  page: (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply> | undefined = () => undefined,
): void {
  server.setErrorHandler((error: FastifyError | ClipyardError, request, reply) => {
    const coded = toCoded(error, request);
    const log = coded.status >= 500 ? request.log.error : request.log.info;
    log.call(request.log, { code: coded.code, err: coded.status >= 500 ? error : undefined }, coded.message);
    return sendProblem(reply, request, coded);
  });
  server.setNotFoundHandler((request, reply) => {
    const methods = methodsOf(request.url);
    if (methods.length === 0)
      return page(request, reply) ?? sendProblem(reply, request, notFound(request.method, request.url));
    return sendProblem(reply.header('allow', methods.join(', ')), request, notAllowed(request.method, methods));
  });
}

/** Methods of the operations with the path of this URL. */
function methodsOf(url: string): string[] {
  const path = url.split('?', 1)[0]!;
  return Object.values(OPERATIONS)
    .filter((operation) => new RegExp(`^${operation.path.replace(/:\w+/g, '[^/]+')}$`).test(path))
    .map(({ method }) => method);
}

function notAllowed(method: string, allowed: readonly string[]): ClipyardError {
  return fieldError('method_not_allowed', {
    path: 'method',
    message: `is not one of ${allowed.join(', ')}`,
    value: method,
    remedy: `Use ${allowed.join(' or ')}.`,
  });
}

export function badUrl(path: string): ClipyardError {
  return fieldError('request_invalid', {
    path: 'url',
    message: 'is not a valid URL',
    value: path,
    remedy: 'Percent-encode it.',
  });
}

export function sendProblem(reply: FastifyReply, request: FastifyRequest, error: ClipyardError): FastifyReply {
  if (error.retryable && error.status === 503) reply.header('retry-after', '1');
  if (error.status === 401) reply.header('www-authenticate', challenge(error));
  // Framework errors come before any hook.
  reply.header('x-request-id', request.id);
  return reply.code(error.status).type('application/problem+json').send(toProblem(error, request.id));
}

/** As RFC 6750 has it. */
function challenge({ code }: ClipyardError): string {
  return `Bearer realm="clipyard"${code === 'token_invalid' ? ', error="invalid_token"' : ''}`;
}

function notFound(method: string, url: string): ClipyardError {
  return fieldError('not_found', {
    path: 'url',
    message: `there is no route ${method} ${url.split('?', 1)[0]}`,
    value: url,
    remedy: 'The REST reference lists the routes; they begin with /v1.',
  });
}

function toCoded(error: FastifyError | ClipyardError, request: FastifyRequest): ClipyardError {
  if (error instanceof ClipyardError) return error.code === 'internal' ? internal(error) : error;
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return fieldError('payload_too_large', {
        path: 'body',
        message: `is larger than ${LIMITS.requestBodyBytes} bytes`,
        value: Number(request.headers['content-length'] ?? Number.NaN) || undefined,
        remedy: 'Send a smaller body.',
      });
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
    case 'FST_ERR_CTP_EMPTY_TYPE':
      return fieldError('request_invalid', {
        path: 'content-type',
        message: 'is not supported',
        value: request.headers['content-type'],
        remedy: 'Send JSON, as application/json.',
      });
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
      return fieldError('request_invalid', {
        path: 'body',
        message: 'is empty',
        remedy: 'Send JSON, or no content-type.',
      });
  }
  if (error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500) {
    return fieldError('request_invalid', { path: 'body', message: error.message, remedy: 'Send valid JSON.' });
  }
  return internal(error);
}

/** What went wrong inside is for the log, not for the client. */
function internal(cause: unknown): ClipyardError {
  return new ClipyardError('internal', 'An unexpected error; the log of the server has it under this request id', {
    cause,
  });
}
