import type { ErrorCode } from '@clipyard/contracts';
import type { RankRow } from '@clipyard/db';
import { describe, expect, it } from 'vitest';
import { backoffMs, namingError } from './attempt-end.js';

function rank(number: number, state: string, code: ErrorCode | null, endedAt: number): RankRow {
  return {
    jobId: 'job-1',
    epoch: 1,
    rank: number,
    nodeId: 'node-1',
    slot: number,
    state,
    host: null,
    port: null,
    pid: null,
    error: code === null ? null : { code, message: code, fields: [] },
    finishedAt: new Date(endedAt),
  };
}

describe('the error that names an attempt', () => {
  it('is what a rank says of itself, even when others ended before', () => {
    const ranks = [
      rank(0, 'failed', 'link_closed', 1),
      rank(1, 'lost', 'rank_lost', 2),
      rank(2, 'failed', 'disk_full', 3),
    ];
    expect(namingError(ranks)?.code).toBe('disk_full');
  });

  it('is the rank that vanished rather than the links it broke', () => {
    const ranks = [rank(0, 'failed', 'link_closed', 1), rank(1, 'lost', 'rank_lost', 2)];
    expect(namingError(ranks)?.code).toBe('rank_lost');
  });

  it('is the first of several of a kind', () => {
    const ranks = [rank(0, 'failed', 'disk_full', 2), rank(1, 'failed', 'loss_not_finite', 1)];
    expect(namingError(ranks)?.code).toBe('loss_not_finite');
  });

  it('is none when all were stopped', () => {
    expect(namingError([rank(0, 'stopped', null, 1), rank(1, 'succeeded', null, 2)])).toBeUndefined();
  });
});

describe('the backoff', () => {
  it('doubles from half a second to a minute', () => {
    expect([0, 1, 2, 3, 6, 7, 8, 1000].map(backoffMs)).toEqual([500, 1000, 2000, 4000, 32_000, 60_000, 60_000, 60_000]);
  });
});
