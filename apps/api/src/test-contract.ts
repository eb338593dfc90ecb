import { openApiDocument } from '@clipyard/contracts';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { FastifyInstance, FastifyReply } from 'fastify';

interface Documented {
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, { schema?: object }>> }>>;
}

/**
 * Holds every answer of a server against the OpenAPI document: its status, its content type and its JSON. Returns what
 * did not agree, `found`, which grows as requests are answered.
 */
export function disagreements(server: FastifyInstance, found: string[] = []): readonly string[] {
  const document = openApiDocument('0.0.0');
  const paths = document.paths as Readonly<Record<string, Readonly<Record<string, Documented>>>>;
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  ajv.addSchema({ $id: 'api', components: document.components });
  server.addHook('onSend', async (request, reply, payload) => {
    const path = request.routeOptions.url?.replace(/:(\w+)/g, '{$1}');
    const operation = path === undefined ? undefined : paths[path]?.[request.method.toLowerCase()];
    // HEAD, what is no route at all, and the pages that show the API.
    if (operation === undefined) return;
    const problem = disagreement(operation, reply, payload);
    if (problem !== undefined) found.push(`${request.method} ${request.url} ${reply.statusCode}: ${problem}`);
  });
  return found;

  function disagreement({ responses }: Documented, reply: FastifyReply, payload: unknown): string | undefined {
    const answer = responses[reply.statusCode];
    if (answer === undefined) return 'the status is not documented';
    if (answer.content === undefined) return payload ? 'has a body' : undefined;
    const type = String(reply.getHeader('content-type')).split(';')[0]!;
    const documented = answer.content[type];
    if (documented === undefined) return `${type} is not documented`;
    if (typeof payload !== 'string' || documented.schema === undefined) return undefined;
    const schema = JSON.parse(JSON.stringify(documented.schema).replaceAll('"#/', '"api#/'));
    return ajv.validate(schema, JSON.parse(payload)) ? undefined : ajv.errorsText();
  }
}
