import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import {
  type Checkpoint,
  checkpointSchema,
  type Job,
  jobSchema,
  nodeSchema,
  type RunSpecInput,
} from '@clipyard/contracts';
import { freePort, Lifecycle, sleep } from '@clipyard/runtime';
import {
  DockerComposeEnvironment,
  GenericContainer,
  getContainerRuntimeClient,
  Network,
  type StartedTestContainer,
  Wait,
} from 'testcontainers';
import { beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { buildImages, buildS3Image, IMAGE_TAG, ROOT, whyNoImages } from './test-images.js';

/** The product as it is deployed: its images, Postgres and Redis, each in a container. */
const HOME = '/var/lib/clipyard';
const PATIENCE_MS = 120_000;
const SPEC: RunSpecInput = {
  version: 1,
  name: 'containers',
  model: { preset: 'clip-tiny' },
  data: { train: { type: 'shapes', samples: 1000 } },
  batch: { global: 32 },
  duration: { steps: 40 },
  resources: { world: { min: 2, max: 2 } },
  optimizer: { lr: 1e-3 },
  schedule: { warmupSteps: 10 },
  checkpoint: { everySteps: 10, keepLast: 5 },
};

/** The first token, an admin's. */
const TOKEN = 'c0ffee'.repeat(8);

const missing = await whyNoImages();

describe.skipIf(missing !== undefined)(`images${missing === undefined ? '' : ` (no Docker here: ${missing})`}`, () => {
  beforeAll(buildImages, 300_000);

  test('a job whose worker is killed ends with the weights of one that nothing happened to', {
    timeout: 2 * PATIENCE_MS,
  }, async ({ onTestFailed }) => {
    await using stack = await startStack();
    onTestFailed(async () => console.error(await stack.logs()));
    const { server } = stack;

    const undisturbed = await server.submit(SPEC);
    const disturbed = await server.submit({ ...SPEC, name: 'disturbed' });
    const reference = await server.until(undisturbed, 'success', ({ state }) => state === 'succeeded');
    expect(reference).toMatchObject({ error: null, step: 40, worldSize: 2, epoch: 1 });

    await server.until(disturbed, 'a checkpoint in the middle', ({ step }) => step !== null && step > 10);
    await stack.kill('worker-2');
    await server.until(disturbed, 'the loss of the node', ({ state }) => state === 'recovering');
    const nodes = { 'worker-1': 'ready', 'worker-2': 'lost' };
    await expect.poll(() => server.nodes(), { timeout: PATIENCE_MS, interval: 500 }).toEqual(nodes);
    await stack.start('worker-2');
    const recovered = await server.until(disturbed, 'success', ({ state }) => state === 'succeeded');
    expect(recovered).toMatchObject({ error: null, step: 40, worldSize: 2, epoch: 2, restarts: { infrastructure: 1 } });
    const attempts = await server.get(
      `/v1/jobs/${disturbed}/attempts`,
      z.object({ items: z.array(z.looseObject({})) }),
    );
    expect(attempts.items.find(({ epoch }) => epoch === 2)?.startStep).toBeGreaterThanOrEqual(10);

    const [expected, got] = [await server.lastCheckpoint(undisturbed), await server.lastCheckpoint(disturbed)];
    const hashes = ({ files }: Checkpoint) =>
      files.filter(({ name }) => name.endsWith('.safetensors')).map(({ name, sha256 }) => [name, sha256]);
    expect(hashes(expected).map(([name]) => name)).toEqual(expect.arrayContaining(['model.safetensors']));
    expect(hashes(got)).toEqual(hashes(expected));
    const weights = await server.bytes(`/v1/checkpoints/${got.id}/files/model.safetensors`);
    expect(hashes(got)).toContainEqual(['model.safetensors', createHash('sha256').update(weights).digest('hex')]);

    for (const name of stack.ours) {
      expect(await stack.exec(name, ['id', '-u']), `user of ${name}`).toBe('1000');
      await expect.poll(() => stack.health(name), { timeout: PATIENCE_MS, interval: 500 }).toBe('healthy');
    }
    // The messages went through Redis, not through Postgres.
    expect(await stack.exec('redis', ['redis-cli', '--scan', '--pattern', '*scheduler*'])).not.toBe('');
    const psql = ['psql', '-U', 'clipyard', '-tAc', "SELECT to_regnamespace('bullmq') IS NULL"];
    expect(await stack.exec('postgres', psql)).toBe('t');
  });

  test('docker-compose.yml: every service becomes healthy, and a job runs on both workers', {
    timeout: 2 * PATIENCE_MS,
  }, async () => {
    await using lifecycle = new Lifecycle();
    const [port, s3Image] = await Promise.all([freePort(), buildS3Image()]);
    const compose = await new DockerComposeEnvironment(ROOT, 'docker-compose.yml')
      .withEnvironment({
        ...(process.env as Record<string, string>),
        POSTGRES_PASSWORD: 'a1b2c3',
        REDIS_PASSWORD: 'd4e5f6',
        CLIPYARD_BOOTSTRAP_TOKEN: TOKEN,
        S3_PASSWORD: 'e7f8a9',
        ...(s3Image === undefined ? {} : { S3_IMAGE: s3Image }),
        CLIPYARD_VERSION: IMAGE_TAG,
        PORT: String(port),
      })
      .withDefaultWaitStrategy(Wait.forHealthCheck())
      .withClientOptions(await composeOptions())
      .up();
    lifecycle.add('compose', async () => void (await compose.down({ removeVolumes: true, timeout: 0 })));
    const server = new Server(`http://127.0.0.1:${port}`);
    expect(await server.nodes()).toEqual({ 'worker-1': 'ready', 'worker-2': 'ready' });
    const id = await server.submit({ ...SPEC, duration: { steps: 5 } });
    const job = await server.until(id, 'success', ({ state }) => state === 'succeeded');
    expect(job).toMatchObject({ error: null, step: 5, worldSize: 2, epoch: 1 });
    const checkpoint = await server.lastCheckpoint(id);
    expect(checkpoint).toMatchObject({ step: 5, url: `s3://clipyard/storage/runs/${id}/step-5` });
    const { name, sha256 } = checkpoint.files.find((file) => file.name === 'model.safetensors')!;
    const weights = await server.bytes(`/v1/checkpoints/${checkpoint.id}/files/${name}`);
    expect(createHash('sha256').update(weights).digest('hex')).toBe(sha256);
  });
});

/** Compose is a plugin of Docker's command line; its first version, which Debian has, is a command of its own. */
async function composeOptions() {
  const plugin = await promisify(execFile)('docker', ['compose', 'version']).then(
    () => true,
    () => false,
  );
  return plugin ? {} : { executable: { standalone: true } as const };
}

/** The little of REST that the tests use. */
class Server {
  readonly #url: string;
  constructor(url: string) {
    this.#url = url;
  }

  async get<S extends z.ZodType>(path: string, schema: S): Promise<z.infer<S>> {
    return schema.parse(JSON.parse((await this.bytes(path)).toString()));
  }

  async bytes(path: string, init: RequestInit = {}): Promise<Buffer> {
    const headers = { authorization: `Bearer ${TOKEN}`, ...init.headers };
    const response = await fetch(`${this.#url}${path}`, { ...init, headers });
    const body = Buffer.from(await response.arrayBuffer());
    if (!response.ok) throw new Error(`${path}: ${response.status} ${body}`);
    return body;
  }

  async submit(spec: RunSpecInput): Promise<string> {
    const headers = { 'content-type': 'application/json' };
    const answer = await this.bytes('/v1/jobs', { method: 'POST', headers, body: JSON.stringify(spec) });
    return jobSchema.parse(JSON.parse(answer.toString())).id;
  }

  async until(id: string, what: string, fits: (job: Job) => boolean): Promise<Job> {
    for (const limit = Date.now() + PATIENCE_MS; ; await sleep(100)) {
      const job = await this.get(`/v1/jobs/${id}`, jobSchema);
      if (fits(job)) return job;
      if (Date.now() > limit || job.state === 'failed') throw new Error(`no ${what}: ${JSON.stringify(job)}`);
    }
  }

  async nodes(): Promise<Record<string, string>> {
    const { items } = await this.get('/v1/nodes', z.object({ items: z.array(nodeSchema) }));
    return Object.fromEntries(items.map(({ name, state }) => [name, state]));
  }

  async lastCheckpoint(id: string): Promise<Checkpoint> {
    const { items } = await this.get(`/v1/jobs/${id}/checkpoints`, z.object({ items: z.array(checkpointSchema) }));
    return items.reduce((last, next) => (next.step > last.step ? next : last));
  }
}

interface Stack extends AsyncDisposable {
  readonly server: Server;
  /** Those of our images. */
  readonly ours: readonly string[];
  kill(name: string): Promise<void>;
  start(name: string): Promise<void>;
  exec(name: string, command: string[]): Promise<string>;
  health(name: string): Promise<string | undefined>;
  logs(): Promise<string>;
}

async function startStack(): Promise<Stack> {
  const lifecycle = new Lifecycle();
  const containers = new Map<string, StartedTestContainer>();
  const client = await getContainerRuntimeClient();
  const { dockerode } = client.container;
  try {
    const network = await new Network().start();
    lifecycle.add('network', async () => void (await network.stop()));
    const volume = `clipyard-test-${network.getId().slice(0, 12)}`;
    lifecycle.add('volume', () => dockerode.getVolume(volume).remove());
    const start = async (name: string, container: GenericContainer) => {
      const started = await container.withNetwork(network).withNetworkAliases(name).start();
      containers.set(name, started);
      lifecycle.add(name, async () => void (await started.stop({ timeout: 0 })));
    };
    await Promise.all([start('postgres', postgres()), start('redis', redis())]);
    const ours = (app: string, environment: Record<string, string> = {}) =>
      new GenericContainer(`clipyard-${app}:${IMAGE_TAG}`)
        .withEnvironment({
          DATABASE_URL: 'postgresql://clipyard:secret@postgres:5432/clipyard',
          REDIS_URL: 'redis://redis:6379',
          CLIPYARD_BOOTSTRAP_TOKEN: TOKEN,
          ...environment,
        })
        .withBindMounts([{ source: volume, target: HOME }])
        .withDroppedCapabilities('ALL')
        .withSecurityOpt('no-new-privileges:true');
    const api = (role: string) => ['node', 'apps/api/dist/main.js', '--role', role, '--migrate'];
    const worker = (name: string) =>
      ours('worker', { CLIPYARD_THREADS: '1', CLIPYARD_NODE_NAME: name, CLIPYARD_ADVERTISE_HOST: name })
        .withExposedPorts(7071)
        .withWaitStrategy(Wait.forHttp('/readyz', 7071));
    const served = (container: GenericContainer) =>
      container.withExposedPorts(7070).withWaitStrategy(Wait.forHttp('/readyz', 7070));
    await Promise.all([
      start('api', served(ours('api').withCommand(api('api')))),
      start('scheduler', served(ours('api').withCommand(api('scheduler')))),
      start('worker-1', worker('worker-1')),
      start('worker-2', worker('worker-2')),
    ]);
  } catch (error) {
    await lifecycle.close();
    throw error;
  }
  const byId = (name: string) => client.container.getById(containers.get(name)!.getId());
  const address = containers.get('api')!;
  return {
    server: new Server(`http://${address.getHost()}:${address.getMappedPort(7070)}`),
    ours: ['api', 'scheduler', 'worker-1', 'worker-2'],
    kill: async (name) => void (await byId(name).kill()),
    start: async (name) => void (await byId(name).start()),
    exec: async (name, command) => (await containers.get(name)!.exec(command)).output.trim(),
    health: async (name) => (await byId(name).inspect()).State.Health?.Status,
    logs: async () => {
      const texts = [...containers.keys()].map(async (name) => {
        const text = await byId(name).logs({ stdout: true, stderr: true, tail: 30 });
        return `${name}:\n${text.toString()}`;
      });
      return (await Promise.all(texts)).join('\n');
    },
    [Symbol.asyncDispose]: () => lifecycle.close(),
  };
}

function postgres(): GenericContainer {
  return (
    new GenericContainer('postgres:17')
      .withEnvironment({ POSTGRES_USER: 'clipyard', POSTGRES_PASSWORD: 'secret', POSTGRES_DB: 'clipyard' })
      // Over TCP, where the server that initialises the data directory does not listen.
      .withWaitStrategy(Wait.forSuccessfulCommand('pg_isready -h 127.0.0.1 -U clipyard'))
  );
}

function redis(): GenericContainer {
  return new GenericContainer('redis:7').withWaitStrategy(Wait.forSuccessfulCommand('redis-cli ping'));
}
