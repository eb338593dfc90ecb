import type { Job, Node, Problem, QueueEntry } from '@clipyard/contracts';
import { createNodeControl } from '@clipyard/control';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../test-server.js';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
});

afterAll(async () => {
  await server.close();
  expect(server.undocumented, 'answers that the OpenAPI document does not describe').toEqual([]);
});

const json = async <T>(response: Promise<Response>): Promise<T> => (await (await response).json()) as T;

async function checkpointOf(jobId: string): Promise<void> {
  const record = {
    step: 3,
    position: 24,
    prefix: `runs/${jobId}/step-3`,
    bytes: 5,
    manifestSha256: 'cd',
    worldSize: 1,
  };
  await server.database.transaction((tx) =>
    tx.checkpoints.record(`ckpt-${jobId}`, jobId, 1, { ...record, metrics: {}, files: [] }),
  );
}

it('edits a job by merge patch, under either name of its type', async () => {
  const { id } = await server.submit({ labels: { team: 'vision', draft: 'yes' } });
  const patch = { labels: { draft: null, owner: 'ada' }, priority: 80, name: 'renamed' };
  const edited = await json<Job>(server.send('PATCH', `/v1/jobs/${id}`, patch));
  expect(edited).toMatchObject({ name: 'renamed', priority: 80, labels: { team: 'vision', owner: 'ada' } });
  const type = { 'content-type': 'application/merge-patch+json' };
  expect(await json<Job>(server.send('PATCH', `/v1/jobs/${id}`, { priority: 1 }, type))).toMatchObject({ priority: 1 });
  for (const [body, path] of [
    [{ priority: 101 }, 'priority'],
    [{ state: 'running' }, 'state'],
    [{ labels: { a: 3 } }, 'labels.a'],
    [[], 'body'],
    [undefined, 'body'],
  ] as const) {
    const problem = await json<Problem>(server.send('PATCH', `/v1/jobs/${id}`, body));
    expect(problem).toMatchObject({ status: 400, code: 'request_invalid', errors: [{ path }] });
  }
});

it('lists the queue with what each job waits for', async () => {
  const { id } = await server.submit({ resources: { pool: 'nowhere' } });
  const { items } = await json<{ items: QueueEntry[] }>(server.send('GET', '/v1/queue?pool=nowhere'));
  const why = 'waits for nodes: pool `nowhere` has none that are ready';
  expect(items).toMatchObject([{ jobId: id, position: 1, freeSlots: 0, why }]);
});

it('retries, forks and deletes', async () => {
  const { id } = await server.submit();
  expect((await server.send('DELETE', `/v1/jobs/${id}`)).status).toBe(409);
  expect(await json<Problem>(server.send('POST', `/v1/jobs/${id}/fork`))).toMatchObject({ status: 409 });
  await checkpointOf(id);
  const key = { 'idempotency-key': 'fork-1' };
  const fork = { step: 3, set: { 'optimizer.lr': 1e-4 } };
  const response = await server.send('POST', `/v1/jobs/${id}/fork`, fork, key);
  const forked = (await response.json()) as Job;
  expect([response.status, response.headers.get('location')]).toEqual([201, `/v1/jobs/${forked.id}`]);
  expect(forked).toMatchObject({ name: 'a-fork', spec: { model: { init: `job:${id}@3` }, optimizer: { lr: 1e-4 } } });
  const again = await server.send('POST', `/v1/jobs/${id}/fork`, fork, key);
  expect([again.headers.get('idempotency-replayed'), ((await again.json()) as Job).id]).toEqual(['true', forked.id]);
  const both = { step: 3, checkpoint: `ckpt-${id}` };
  expect(await json<Problem>(server.send('POST', `/v1/jobs/${id}/fork`, both))).toMatchObject({
    errors: [{ path: 'step' }],
  });
  const preset = { set: { 'model.preset': 'clip-huge' } };
  expect(await json<Problem>(server.send('POST', `/v1/jobs/${id}/fork`, preset))).toMatchObject({
    code: 'preset_unknown',
  });

  await server.send('POST', `/v1/jobs/${forked.id}/cancel`);
  expect(await json<Job>(server.send('POST', `/v1/jobs/${forked.id}/retry`))).toMatchObject({ state: 'queued' });
  expect((await server.send('POST', `/v1/jobs/${forked.id}/retry`)).status).toBe(409);
  await server.send('POST', `/v1/jobs/${forked.id}/cancel`);
  const gone = await server.send('DELETE', `/v1/jobs/${forked.id}`);
  expect([gone.status, await gone.text()]).toEqual([204, '']);
  expect(await json<Problem>(server.send('DELETE', `/v1/jobs/${forked.id}`))).toMatchObject({ code: 'job_not_found' });
});

it('drains a node by its name or id', async () => {
  const nodes = createNodeControl({ database: server.database, bus: server.bus });
  const registration = { name: 'host-1', pool: 'p', host: 'h', version: '1', engines: ['cpu'], slots: 2 };
  const { nodeId } = await nodes.register(registration);
  const drained = await json<Node>(server.send('POST', '/v1/nodes/host-1/drain?evict=true'));
  expect(drained).toMatchObject({ id: nodeId, state: 'draining', drained: true });
  expect(await json<Node>(server.send('GET', `/v1/nodes/${nodeId}`))).toEqual(drained);
  expect(await json<Node>(server.send('POST', `/v1/nodes/${nodeId}/undrain`))).toMatchObject({ state: 'ready' });
  expect((await server.send('POST', '/v1/nodes/none/drain')).status).toBe(404);
  expect((await server.send('POST', '/v1/nodes/host-1/drain?evict=maybe')).status).toBe(400);
});
