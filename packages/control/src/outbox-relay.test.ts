import { type SchedulerMessage, schedulerQueue } from '@clipyard/queue';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { OutboxRelay } from './outbox-relay.js';
import { BACKENDS } from './test-backends.js';
import { Harness, type Servers, spec, startServers } from './test-harness.js';

const WAIT = { timeout: 15_000, interval: 20 };

describe.each(BACKENDS)('the outbox, $name', ({ kind, skip }) => {
  let servers: Servers;
  let harness: Harness;

  beforeAll(async () => {
    if (!skip) servers = await startServers(kind);
  });
  afterAll(() => servers?.close());
  beforeEach(async () => {
    if (skip) return;
    await servers.database.reset();
    harness = await Harness.open(servers);
  });
  afterEach(async () => {
    if (!skip) await harness.close();
  });

  it.skipIf(skip)('delivers what was committed by a process that ended before it was published', async () => {
    const other = await Harness.open(servers);
    const { job } = await other.plane.submitJob(spec());
    await other.close();
    const received: SchedulerMessage[] = [];
    await harness.bus.consume(schedulerQueue, async (message) => void received.push(message));
    expect(await harness.database.read((db) => db.outbox.hasUnsent())).toBe(true);
    const relay = new OutboxRelay({ ...harness, onError: (error) => expect.unreachable(error.message) });
    await relay.start();
    await expect.poll(() => received, WAIT).toEqual([{ type: 'job.submitted', id: job.id }]);
    await expect.poll(() => harness.database.read((db) => db.outbox.hasUnsent()), WAIT).toBe(false);
    await relay.close();
  });

  it.skipIf(skip)('handles a message once that a relay published and did not come to mark', async () => {
    const received: SchedulerMessage[] = [];
    await harness.bus.consume(schedulerQueue, async (message) => void received.push(message));
    const { job } = await harness.plane.submitJob(spec());
    const errors: string[] = [];
    let broken = true;
    // Dies, as far as the database can tell, between publishing and the end of its transaction.
    const bus: Pick<typeof harness.bus, 'publish'> = {
      publish: async (queue, key, payload) => {
        await harness.bus.publish(queue, key, payload);
        if (broken) {
          broken = false;
          throw new Error('the relay died');
        }
      },
    };
    const relay = new OutboxRelay({ database: harness.database, bus, onError: (error) => errors.push(error.message) });
    await relay.start();
    await expect.poll(() => harness.database.read((db) => db.outbox.hasUnsent()), WAIT).toBe(false);
    await relay.close();
    expect(errors).toEqual(['the relay died']);
    expect(received).toEqual([{ type: 'job.submitted', id: job.id }]);
  });

  it.skipIf(skip)('is emptied once by several relays', async () => {
    const received: string[] = [];
    await harness.bus.consume(schedulerQueue, async ({ id }) => void received.push(id));
    const ids = await Promise.all(
      Array.from({ length: 20 }, async () => (await harness.plane.submitJob(spec())).job.id),
    );
    const relays = [1, 2].map(
      () => new OutboxRelay({ ...harness, onError: (error) => expect.unreachable(error.message) }),
    );
    for (const relay of relays) await relay.start();
    await expect.poll(() => received.length, WAIT).toBe(20);
    for (const relay of relays) await relay.close();
    expect(received.sort()).toEqual(ids.sort());
  });
});
