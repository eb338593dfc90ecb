import { OPERATIONS, openApiDocument } from '@clipyard/contracts';
import type { ControlPlane } from '@clipyard/control';
import { createLogger } from '@clipyard/runtime';
import { Validator } from '@seriousme/openapi-schema-validator';
import { afterAll, expect, it } from 'vitest';
import { buildServer } from '../server.js';
import { localAdmission } from '../test-admission.js';
import { disagreements } from '../test-contract.js';

const control: Partial<ControlPlane> = {
  as: () => control as ControlPlane,
  health: async () => ({ status: 'unavailable', checks: { database: 'out of reach' } }),
};
const server = buildServer({
  // Nothing else here asks it.
  control: control as ControlPlane,
  admission: localAdmission,
  checkModel: () => {},
  logger: createLogger({ name: 'api', level: 'error' }),
  newRequestId: () => 'req-1',
});
const undocumented = disagreements(server);
afterAll(() => server.close());

it('is valid OpenAPI 3.1', async () => {
  const document = (await server.inject('/v1/openapi.json')).json();
  expect(document).toEqual(JSON.parse(JSON.stringify(openApiDocument('0.1.0'))));
  const validator = new Validator();
  expect(await validator.validate(document)).toEqual({ valid: true });
  expect(validator.version).toBe('3.1');
});

it('describes a service that is not ready', async () => {
  expect((await server.inject('/readyz')).statusCode).toBe(503);
  expect(undocumented).toEqual([]);
});

it('names every route of the server and no other', async () => {
  await server.ready();
  const served = routesOf(server.printRoutes({ commonPrefix: false })).filter((route) => !/ \/docs|^HEAD/.test(route));
  expect(served.sort()).toEqual(
    Object.values(OPERATIONS)
      .map(({ method, path }) => `${method} ${path}`)
      .sort(),
  );
});

/** `GET /v1/jobs/:id` and so on, out of the tree that Fastify prints. */
function routesOf(tree: string): string[] {
  const above: string[] = [];
  return tree.split('\n').flatMap((line) => {
    const [, indent, part, methods] = /^([│ ]*)[├└]── (\S+)(?: \(([A-Z, ]+)\))?/.exec(line) ?? [];
    if (indent === undefined) return [];
    above.length = indent.length / 4;
    above.push(part!);
    return (methods?.split(', ') ?? []).map((method) => `${method} ${above.join('')}`);
  });
}

it('has pages that need nothing from elsewhere', async () => {
  const page = await server.inject('/docs/');
  expect(page.statusCode).toBe(200);
  expect(page.headers['content-security-policy']).toContain("default-src 'self'");
  const sources = [...page.body.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, source]) => source!);
  expect(sources.length).toBeGreaterThan(3);
  for (const source of sources) {
    expect(source).not.toMatch(/^(?:https?:)?\/\//);
    const asset = await server.inject(new URL(source, 'http://x/docs/').pathname);
    expect(asset.statusCode, source).toBe(200);
  }
});
