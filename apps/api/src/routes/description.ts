import { createRequire } from 'node:module';
import { OPERATIONS, openApiDocument } from '@clipyard/contracts';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';
import { serve } from '../serve.js';

const VERSION: string = createRequire(import.meta.url)('../../package.json').version;
/** Where the API is shown and tried out in a browser. */
const DOCS = '/docs';
/** The plugin's own asks for https and allows other hosts. */
const PAGES_POLICY = [
  "default-src 'self'",
  "img-src 'self' data:",
  "style-src 'self' 'unsafe-inline'",
  "object-src 'none'",
  "base-uri 'self'",
  "frame-ancestors 'self'",
].join('; ');

/** The API as OpenAPI, as a document and as pages that need nothing from elsewhere. */
export function descriptionRoutes(server: FastifyInstance): void {
  const document = openApiDocument(VERSION);
  const text = JSON.stringify(document);
  serve(server, OPERATIONS.getOpenApi, async ({ reply }) => reply.type('application/json; charset=utf-8').send(text));
  server.register(swagger, {
    mode: 'static',
    // Its types know OpenAPI up to 3.0 only.
    specification: { document: document as never },
  });
  server.register(swaggerUi, {
    routePrefix: DOCS,
    staticCSP: PAGES_POLICY,
    uiConfig: { deepLinking: true, displayRequestDuration: true, docExpansion: 'list', validatorUrl: null },
  });
}
