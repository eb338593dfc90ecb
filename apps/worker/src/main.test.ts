import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { freePort } from '@clipyard/runtime';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { AgentHarness, isAlive, PATIENCE_MS, type Servers, spec, startServers } from './test-agent-harness.js';

/** The worker as a process of its own, as built. */
const MAIN = fileURLToPath(new URL('../dist/main.js', import.meta.url));
const WAIT = { timeout: PATIENCE_MS, interval: 50 };

let servers: Servers;
const children: ChildProcess[] = [];
beforeAll(async () => {
  servers = await startServers();
});
afterAll(() => servers?.close());
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

const environmentOf = (name: string) => ({
  DATABASE_URL: servers.postgres.url,
  CLIPYARD_HOME: servers.home,
  CLIPYARD_SLOTS: '2',
  CLIPYARD_NODE_NAME: name,
});

function startWorker(environment: NodeJS.ProcessEnv): { child: ChildProcess; output: () => string } {
  const child = spawn(process.execPath, [MAIN], { env: environment, stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  let text = '';
  child.stdout!.on('data', (chunk) => {
    text += chunk;
  });
  return { child, output: () => text };
}

it('takes its ranks with it when it is killed, and a new one of its name goes on', {
  timeout: 2 * PATIENCE_MS,
}, async () => {
  const port = await freePort();
  const environment = { ...environmentOf('a'), CLIPYARD_HEALTH_PORT: String(port) };
  const ready = async () => (await (await fetch(`http://127.0.0.1:${port}/readyz`)).json()) as unknown;
  const harness = await AgentHarness.open(servers);
  try {
    const first = startWorker(environment);
    const { job } = await harness.plane.submitJob(spec(100_000));
    await expect.poll(async () => (await harness.plane.listCheckpoints(job.id)).length, WAIT).toBeGreaterThan(0);
    expect(await ready()).toEqual({ status: 'ok', checks: { node: 'ok' } });
    const pids = await harness.pidsOf(job.id);
    first.child.kill('SIGKILL');
    await expect.poll(() => pids.some(isAlive), WAIT).toBe(false);

    const second = startWorker(environment);
    await harness.reach(job.id, 'the next attempt', ({ epoch, state }) => epoch === 2 && state === 'running');
    const [attempt] = await harness.plane.listAttempts(job.id);
    expect(attempt!.startStep).toBeGreaterThan(0);
    second.child.kill('SIGTERM');
    const [code] = await once(second.child, 'exit');
    expect(code).toBe(0);
    expect((await harness.plane.listNodes()).map(({ name, state }) => [name, state])).toEqual([['a', 'stopped']]);
    expect((await harness.plane.listAttempts(job.id))[0]!.state).toBe('stopped');
    const { jobId, epoch } = { jobId: job.id, epoch: 2 };
    expect(second.output()).toContain(JSON.stringify({ jobId, epoch }).slice(1, -1));
    expect(second.output()).not.toContain('"secret"');
  } finally {
    await harness.close();
  }
});

it('ends with code 1 when another worker registers under its name, and its ranks with it', {
  timeout: 2 * PATIENCE_MS,
}, async () => {
  const environment = environmentOf('twin');
  const harness = await AgentHarness.open(servers);
  try {
    const first = startWorker(environment);
    const { job } = await harness.plane.submitJob(spec(100_000));
    await harness.reach(job.id, 'the first attempt', ({ state }) => state === 'running');
    const pids = await harness.pidsOf(job.id);
    const ended = once(first.child, 'exit');
    const second = startWorker(environment);
    expect((await ended)[0]).toBe(1);
    expect(first.output()).toContain('node_replaced');
    expect(pids.some(isAlive)).toBe(false);
    await harness.reach(job.id, 'the next attempt', ({ epoch, state }) => epoch === 2 && state === 'running');
    await harness.plane.cancelJob(job.id);
    second.child.kill('SIGTERM');
    expect((await once(second.child, 'exit'))[0]).toBe(0);
  } finally {
    await harness.close();
  }
});

it('ends with code 1 and names the variable that is wrong', async () => {
  const { child, output } = startWorker({ DATABASE_URL: servers.postgres.url, CLIPYARD_SLOTS: 'two' });
  const [code] = await once(child, 'exit');
  expect(code).toBe(1);
  expect(JSON.parse(output().trim())).toMatchObject({ code: 'config_invalid', fields: [{ path: 'CLIPYARD_SLOTS' }] });
});
