import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { reachablePackages } from './production-modules.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string): string => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');
const IMAGES = {
  'clipyard-api': 'apps/api/Dockerfile',
  'clipyard-worker': 'apps/worker/Dockerfile',
  'clipyard-worker-gpu': 'apps/worker/Dockerfile.gpu',
};
/** The stages that install and build, after what the image is. */
const stages = (text: string): string => text.slice(text.indexOf('\n# All stages'), text.indexOf('/out\n'));
/** What the last stage copies, and the user that it runs as. */
const files = (text: string): string => text.slice(text.indexOf('\nFROM base\n'), text.indexOf('USER node'));

describe('Dockerfiles', () => {
  test('install and build in the same way, and copy the same', () => {
    const [api, worker, gpu] = Object.values(IMAGES).map(read) as [string, string, string];
    expect(stages(api)).toContain('AS install');
    expect([stages(worker), stages(gpu)]).toEqual([stages(api), stages(api)]);
    expect(files(api)).toContain('COPY --from=build');
    expect(files(worker)).toBe(files(api));
    expect(files(gpu).replace(/^COPY --from=engine .*\n/m, '')).toBe(files(api));
  });

  test.each(Object.entries(IMAGES))('of %s: a pinned base, no privileges, labels, a health check', (image, path) => {
    const text = read(path);
    expect([...text.matchAll(/^USER (.+)$/gm)].map(([, user]) => user)).toEqual(['node']);
    const bases = [...text.matchAll(/^FROM (\S+)(?: AS (\S+))?$/gm)].map(([, from, name]) => ({ from, name }));
    const outside = bases.filter(({ from }) => !bases.some(({ name }) => name === from)).map(({ from }) => from);
    expect(outside).toEqual([expect.stringMatching(/^node:\d+\.\d+\.\d+-bookworm-slim(@sha256:[0-9a-f]{64})?$/)]);
    expect(text).toContain(`org.opencontainers.image.title="${image}"`);
    expect(text).toMatch(/^HEALTHCHECK /m);
  });

  test('copy the packages that API and worker run with, and none that only builds or tests need', () => {
    const packages = reachablePackages(root, ['apps/api', 'apps/worker']);
    const names = new Set(packages.map((path) => path.split('node_modules/').at(-1)));
    const needed = [
      'fastify',
      'bullmq',
      'ioredis',
      'pg',
      '@prisma/client',
      'onnxruntime-node',
      'koffi',
      'sharp',
      'pino',
    ];
    expect(needed.filter((name) => !names.has(name))).toEqual([]);
    const tools = [
      'vitest',
      'vite',
      'typescript',
      'turbo',
      'prisma',
      'testcontainers',
      '@clipyard/testkit',
      'react-dom',
    ];
    expect(tools.filter((name) => names.has(name))).toEqual([]);
  });
});

interface Service {
  readonly image: string;
  readonly build?: object;
  readonly read_only: boolean;
  readonly cap_drop: string[];
  readonly security_opt: string[];
  readonly healthcheck?: object;
  readonly environment: Record<string, string>;
}

describe('docker-compose.yml', () => {
  const { parse } = createRequire(`${root}/apps/cli/package.json`)('yaml') as {
    parse(text: string, options: { merge: boolean }): { services: Record<string, Service> };
  };
  const text = read('docker-compose.yml');
  const { services } = parse(text, { merge: true });

  test.each(Object.entries(services))('%s is hardened and has a health check', (_, service) => {
    expect(service).toMatchObject({ read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] });
    // Ours have theirs in the image.
    if (!service.image.startsWith('clipyard-')) expect(service.healthcheck).toBeDefined();
  });

  test('.env.example explains every setting, and gives no password', () => {
    const settings = [...new Set([...text.matchAll(/\$\{([A-Z0-9_]+)[:}]/g)].map(([, name]) => name))].sort();
    const example = read('.env.example');
    const given = [...example.matchAll(/^([A-Z0-9_]+)=(.*)$/gm)];
    expect(given.map(([, name]) => name).sort()).toEqual(settings);
    for (const [, name, value] of given) if (/PASSWORD|SECRET|TOKEN/.test(name!)) expect(value).toBe('');
    // Each has a comment above it, or above the one before it.
    expect(example.replace(/^#.*$/gm, '#').match(/(?<!#\n|=.*\n)^[A-Z0-9_]+=.*$/gm)).toBeNull();
  });

  test('every password is asked for, and none has a default', () => {
    const used = [...text.matchAll(/\$\{([A-Z0-9_]*(?:PASSWORD|SECRET|TOKEN)[A-Z0-9_]*)(.)(.)/g)];
    expect(used.length).toBeGreaterThan(0);
    for (const [, , colon, mark] of used) expect(`${colon}${mark}`).toBe(':?');
  });

  test('our services get variables that they read', () => {
    // The table has ours, the text below it those of the AWS SDK.
    const known = new Set(
      [...read('docs/reference/environment.md').matchAll(/`([A-Z0-9_]+)`/g)].map(([, name]) => name),
    );
    const given = Object.values(services)
      .filter(({ image }) => image.startsWith('clipyard-'))
      .flatMap(({ environment }) => Object.keys(environment));
    expect(given.length).toBeGreaterThan(0);
    expect(given.filter((name) => !known.has(name))).toEqual([]);
  });
});
