import { hasRedis } from './test-harness.js';

/** The queue's back ends that the tests run on: Redis where `redis-server` is installed. */
export const BACKENDS = [
  { kind: 'postgres', name: 'BullMQ on Postgres', skip: false },
  {
    kind: 'redis',
    name: hasRedis ? 'BullMQ on Redis' : 'BullMQ on Redis (skipped: no redis-server on PATH)',
    skip: !hasRedis,
  },
] as const;
