import { type BlobStore, fieldError, LIMITS, type RunSpec } from '@clipyard/contracts';
import type { ControlPlane, Scheduler } from '@clipyard/control';
import compress from '@fastify/compress';
import Fastify, { type FastifyBaseLogger, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Admission } from './admission.js';
import { installEntityTags } from './conditional.js';
import { closeConnectionsOnDrain } from './connections.js';
import { serveDashboard } from './dashboard.js';
import type { InspectorHost } from './inspector/inspector-host.js';
import { badUrl, installProblems, sendProblem } from './problems.js';
import { followTls, installHeaders, readTls, type TlsFiles } from './protection.js';
import { installRateLimits } from './rate-limits.js';
import { refuseNul } from './request-input.js';
import { accessRoutes } from './routes/access.js';
import { checkpointRoutes } from './routes/checkpoints.js';
import { descriptionRoutes } from './routes/description.js';
import { eventRoutes } from './routes/events.js';
import { healthRoutes } from './routes/health.js';
import { inspectionRoutes } from './routes/inspection.js';
import { jobRoutes } from './routes/jobs.js';
import { nodeRoutes } from './routes/nodes.js';
import { prometheusRoutes } from './routes/prometheus.js';
import { sweepRoutes } from './routes/sweeps.js';
import { webhookRoutes } from './routes/webhooks.js';

export interface ServerDeps {
  readonly control: ControlPlane;
  /** Who may come in. */
  readonly admission: Admission;
  readonly checkModel: (model: RunSpec['model']) => void;
  /** Where checkpoints lie; undefined: their files cannot be had here. */
  readonly store?: BlobStore;
  /** Looks into checkpoints; undefined: it cannot be done here. */
  readonly inspector?: InspectorHost;
  /** Directory of the built dashboard; undefined: it is not served. */
  readonly dashboard?: string;
  /** That of this process, for `/metrics`. */
  readonly scheduler?: Pick<Scheduler, 'leads' | 'rounds'> | undefined;
  readonly logger: FastifyBaseLogger;
  readonly newRequestId: () => string;
}

export interface ServerOptions {
  /** `health`: nothing but the health routes and `/metrics`, for a process that is no API. */
  readonly routes?: 'all' | 'health';
  /** Time between comments on a silent event stream, ms; default 15 s. */
  readonly heartbeatMs?: number;
  /** Requests of a token in a minute; default: any number. */
  readonly rateLimit?: number;
  /** Tokens that are not valid, from one address in a minute. */
  readonly refusedLimit?: number;
  /** Certificate and key, which are followed when they are renewed; without, it speaks HTTP. */
  readonly tls?: TlsFiles;
  /** Proxies whose word on the client's address, host and protocol is taken. */
  readonly trustedProxies?: readonly string[];
}

/** Texts, but for event streams: their frames shall not wait for each other. */
const COMPRESSIBLE = /^text\/(?!event-stream)|[+/](?:json|javascript|xml)(?:;|$)/;
/** Lists shrink nearly as much as at the highest level, in a fraction of its time. */
const GZIP_LEVEL = 4;

/** The REST API over a control plane, not yet listening. `close()` ends event streams, finishes requests, then closes. */
export function buildServer(deps: ServerDeps, options: ServerOptions = {}): FastifyInstance {
  const draining = new AbortController();
  const server = Fastify({
    loggerInstance: deps.logger,
    bodyLimit: LIMITS.requestBodyBytes,
    genReqId: deps.newRequestId,
    requestIdHeader: false,
    requestTimeout: LIMITS.requestTimeoutMs,
    trustProxy: options.trustedProxies === undefined ? false : [...options.trustedProxies],
    https: options.tls === undefined ? null : readTls(options.tls),
    // While it drains it still answers on the connections it has; new ones go elsewhere.
    return503OnClosing: false,
    frameworkErrors: (error, request, reply) => {
      request.log.info({ code: error.code }, error.message);
      sendProblem(reply as FastifyReply, request as FastifyRequest, badUrl(request.url));
    },
  });
  server.decorate('admission', deps.admission);
  server.decorate('control', deps.control);
  const { rateLimit: requests = Number.MAX_SAFE_INTEGER, refusedLimit: refused = LIMITS.refusedTokensPerMinute } =
    options;
  server.decorate('limits', installRateLimits(server, { requests, refused }));
  server.decorateRequest('behalf', null);
  installHeaders(server, { tls: options.tls !== undefined, corsOrigins: deps.admission.corsOrigins });
  if (options.tls !== undefined) server.addHook('onClose', followTls(server, options.tls));
  server.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id);
    refuseNul(request);
  });
  // What PATCH takes is a merge patch, whichever of the two it is called.
  const asJson = server.getDefaultJsonParser('error', 'error');
  server.addContentTypeParser('application/merge-patch+json', { parseAs: 'string' }, asJson);
  installEntityTags(server);
  server.register(compress, {
    // Less is not worth its headers.
    threshold: 1024,
    customTypes: COMPRESSIBLE,
    encodings: ['br', 'gzip', 'deflate'],
    zlibOptions: { level: GZIP_LEVEL },
    globalDecompression: false,
  });
  server.addHook('preClose', async () => draining.abort());
  closeConnectionsOnDrain(server.server, draining.signal);
  const { dashboard } = deps;
  const page = options.routes !== 'health' && dashboard !== undefined ? serveDashboard(server, dashboard) : undefined;
  if (dashboard !== undefined && page === undefined && options.routes !== 'health')
    server.log.warn({ directory: dashboard }, 'the dashboard is not built, so it is not served');
  installProblems(server, page);
  healthRoutes(server, { draining: draining.signal });
  if (options.routes !== 'health') {
    // Plugins see the routes of what is registered after them.
    server.register(async (api) => {
      jobRoutes(api, deps);
      checkpointRoutes(api, { store: deps.store });
      inspectionRoutes(api, { inspector: deps.inspector });
      nodeRoutes(api);
      sweepRoutes(api, deps);
      accessRoutes(api);
      webhookRoutes(api);
      descriptionRoutes(api);
      prometheusRoutes(api, deps);
      eventRoutes(api, { draining: draining.signal }, { heartbeatMs: options.heartbeatMs ?? 15_000 });
    });
  } else {
    prometheusRoutes(server, deps);
  }
  return server;
}

/** Listens and resolves with the URL. Throws `port_taken` or `config_invalid`, naming PORT or HOST. */
export async function listen(server: FastifyInstance, { host, port }: { host: string; port: number }): Promise<string> {
  try {
    return await server.listen({ host, port });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE') {
      const remedy = 'Stop the program that uses it, or set PORT to another port; PORT=0 picks a free one.';
      throw fieldError('port_taken', { path: 'PORT', message: `is in use on ${host}`, value: port, remedy });
    }
    if (code === 'EACCES') {
      throw fieldError('config_invalid', {
        path: 'PORT',
        message: 'may not be used by this user',
        value: port,
        remedy: 'Use a port from 1024 on.',
      });
    }
    if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
      throw fieldError('config_invalid', {
        path: 'HOST',
        message: 'is no address of this machine',
        value: host,
        remedy: 'Use 127.0.0.1 or 0.0.0.0.',
      });
    }
    throw error;
  }
}
