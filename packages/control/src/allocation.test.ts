import { describe, expect, it } from 'vitest';
import { pack } from './allocation.js';

const slots = (nodes: Record<string, number>) =>
  Object.entries(nodes).flatMap(([nodeId, count]) => Array.from({ length: count }, (_, index) => ({ nodeId, index })));
const nodesOf = (nodes: Record<string, number>, count: number): string =>
  pack(slots(nodes), count)
    .map((slot) => slot.nodeId)
    .join('');

describe('pack', () => {
  it('takes the smallest node that holds all', () => {
    expect(nodesOf({ a: 4, b: 2, c: 8 }, 2)).toBe('bb');
  });

  it('spans as few nodes as it can, ranks of one node side by side', () => {
    expect(nodesOf({ a: 1, b: 2, c: 4 }, 5)).toBe('cccca');
    expect(nodesOf({ a: 2, b: 2, c: 2 }, 6)).toBe('aabbcc');
  });
});
