import { describe, expect, it } from 'vitest';
import { MessageBus, messageKey, nodeQueue } from './message-bus.js';

// What needs a server is tested in control, which has one.
describe('MessageBus', () => {
  const deps = { onError: (error: Error) => expect.unreachable(error.message) };

  it('says which store is out of reach', async () => {
    const databaseUrl = 'postgresql://clipyard@127.0.0.1:1/clipyard';
    await expect(MessageBus.open(deps, { databaseUrl })).rejects.toMatchObject({
      code: 'database_unavailable',
      message: expect.stringContaining('DATABASE_URL'),
    });
    await expect(MessageBus.open(deps, { databaseUrl, redisUrl: 'redis://127.0.0.1:1' })).rejects.toMatchObject({
      code: 'database_unavailable',
      message: expect.stringContaining('REDIS_URL'),
    });
  });
});

describe('names', () => {
  it('hold no character that BullMQ forbids', () => {
    expect(messageKey('job-01', 3, 'launch')).not.toContain(':');
    expect(nodeQueue('node-01').name).not.toContain(':');
  });

  it('tell job, epoch and action apart', () => {
    const keys = [
      messageKey('a', 1, 'stop'),
      messageKey('a', 1, 'launch'),
      messageKey('a', 11, 'stop'),
      messageKey('b', 1, 'stop'),
    ];
    expect(new Set(keys).size).toBe(4);
  });
});
