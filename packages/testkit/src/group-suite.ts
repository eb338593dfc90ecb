import { ClipyardError, type Group, type NumericArray, type ReduceOperation } from '@clipyard/contracts';
import { afterEach, describe, expect, it } from 'vitest';
import { expectBitwise } from './bitwise.js';
import { combine } from './reference-group.js';
import { sampleBytes, sampleFloats } from './sample-values.js';

export interface GroupSet {
  /** One a rank, in the order of ranks. */
  readonly groups: readonly Group[];
  /** The process of this rank vanishes. */
  kill(rank: number): void | Promise<void>;
  close(): Promise<void>;
}

const LENGTHS = [0, 1, 3, 1000, 100_003];
const WORLD_SIZES = [1, 2, 3, 4];

/** What every Group must do, for W = 1 to 4. */
export function groupSuite(name: string, makeGroups: (worldSize: number) => Promise<GroupSet>): void {
  describe.each(WORLD_SIZES)(`Group: ${name}, W = %i`, (worldSize) => {
    let set: GroupSet | undefined;
    const open = async (): Promise<readonly Group[]> => {
      set = await makeGroups(worldSize);
      expect(set.groups.map(({ rank }) => rank)).toEqual(Array.from({ length: worldSize }, (_, rank) => rank));
      return set.groups;
    };
    afterEach(async () => {
      await set?.close();
      set = undefined;
    });
    const onAll = <T>(groups: readonly Group[], call: (group: Group, rank: number) => Promise<T>): Promise<T[]> =>
      Promise.all(groups.map(call));

    it.each(LENGTHS)('gathers %i elements of every type', async (length) => {
      const groups = await open();
      for (const make of [
        (rank: number): NumericArray | Uint8Array | Uint16Array => sampleFloats(length, rank),
        (rank: number) => Float64Array.from(sampleFloats(length, rank)),
        (rank: number) => Int32Array.from({ length }, (_, i) => i - rank),
        (rank: number) => Uint16Array.from({ length }, (_, i) => i + rank),
        (rank: number) => sampleBytes(length, rank),
      ]) {
        const expected = concatenate(groups.map((_, rank) => make(rank)));
        await onAll(groups, async (group, rank) => {
          const gathered = expected.slice().fill(0);
          await group.allGather(make(rank), gathered);
          expectBitwise(gathered, expected);
        });
      }
    });

    it('gathers in place, the input being its own slice of the output', async () => {
      const groups = await open();
      const length = 40_000;
      const expected = concatenate(groups.map((_, rank) => sampleFloats(length, rank)));
      await onAll(groups, async (group, rank) => {
        const output = new Float32Array(length * worldSize);
        output.set(sampleFloats(length, rank), rank * length);
        await group.allGather(output.subarray(rank * length, (rank + 1) * length), output);
        expectBitwise(output, expected);
      });
    });

    it.each(LENGTHS)('reduces and scatters %i elements a rank in the order of ranks, bit for bit', async (length) => {
      const groups = await open();
      const inputs = groups.map((_, rank) => sampleFloats(length * worldSize, rank + 10));
      const expected = reduceInOrder(inputs, 'sum');
      await onAll(groups, async (group, rank) => {
        const output = new Float32Array(length);
        const input = inputs[rank]!.slice();
        await group.reduceScatter(input, output);
        expectBitwise(output, expected.slice(rank * length, (rank + 1) * length));
        expectBitwise(input, inputs[rank]!);
      });
    });

    it('reduces and scatters in place, the output being its own slice of the input', async () => {
      const groups = await open();
      const length = 40_000;
      const inputs = groups.map((_, rank) => sampleFloats(length * worldSize, rank + 20));
      const expected = reduceInOrder(inputs, 'sum');
      await onAll(groups, async (group, rank) => {
        const input = inputs[rank]!.slice();
        const output = input.subarray(rank * length, (rank + 1) * length);
        await group.reduceScatter(input, output);
        expectBitwise(output, expected.slice(rank * length, (rank + 1) * length));
      });
    });

    describe.each(['sum', 'max', 'min'] as const)('all-reduce %s', (operation) => {
      it.each(LENGTHS)('combines %i elements of every type in the order of ranks, bit for bit', async (length) => {
        const groups = await open();
        for (const make of [
          (rank: number): NumericArray => sampleFloats(length, rank + 30),
          (rank: number): NumericArray => Float64Array.from(sampleFloats(length, rank + 40)),
          (rank: number): NumericArray => Int32Array.from({ length }, (_, i) => (i % 100) * (rank - 1)),
        ]) {
          const expected = reduceInOrder(
            groups.map((_, rank) => make(rank)),
            operation,
          );
          await onAll(groups, async (group, rank) => {
            const buffer = make(rank);
            await group.allReduce(buffer, operation);
            expectBitwise(buffer, expected);
          });
        }
      });
    });

    it('lets NaN through every reduction', async () => {
      const groups = await open();
      for (const operation of ['sum', 'max', 'min'] as const) {
        await onAll(groups, async (group, rank) => {
          const buffer = Float32Array.of(rank, rank === worldSize - 1 ? Number.NaN : 1);
          await group.allReduce(buffer, operation);
          expect(buffer[1]).toBeNaN();
        });
      }
    });

    it('broadcasts from every root', async () => {
      const groups = await open();
      for (let root = 0; root < worldSize; root++) {
        for (const length of LENGTHS) {
          await onAll(groups, async (group, rank) => {
            const buffer = rank === root ? sampleFloats(length, root) : new Float32Array(length);
            await group.broadcast(buffer, root);
            expectBitwise(buffer, sampleFloats(length, root));
          });
        }
      }
    });

    it('lets no rank leave a barrier before all have entered', async () => {
      const groups = await open();
      let entered = 0;
      await onAll(groups, async (group, rank) => {
        await new Promise((resolve) => setTimeout(resolve, rank * 15));
        entered++;
        await group.barrier();
        expect(entered).toBe(worldSize);
      });
    });

    it('lets calls overlap', async () => {
      const groups = await open();
      const large = 60_001;
      const inputs = groups.map((_, rank) => sampleFloats(large * worldSize, rank));
      const sums = reduceInOrder(inputs, 'sum');
      await onAll(groups, async (group, rank) => {
        const gathered = new Float32Array(worldSize * large);
        const scattered = new Float32Array(large);
        const reduced = Float32Array.of(rank, 1);
        const flag = rank === 0 ? Uint8Array.of(7) : new Uint8Array(1);
        const all = inputs[rank]!.slice();
        await Promise.all([
          group.allGather(inputs[rank]!.subarray(0, large), gathered),
          group.allReduce(reduced, 'sum'),
          group.reduceScatter(inputs[rank]!, scattered),
          group.broadcast(flag, 0),
          group.allReduce(all, 'sum'),
          group.barrier(),
        ]);
        expectBitwise(gathered, concatenate(inputs.map((input) => input.subarray(0, large))));
        expectBitwise(scattered, sums.slice(rank * large, (rank + 1) * large));
        expect([...reduced]).toEqual([(worldSize * (worldSize - 1)) / 2, worldSize]);
        expect(flag[0]).toBe(7);
        expectBitwise(all, sums);
      });
    });

    it('refuses lengths that do not fit, and a root that is no rank', async () => {
      const [group] = await open();
      await expect(group!.allGather(new Float32Array(2), new Float32Array(2 * worldSize + 1))).rejects.toThrow();
      await expect(group!.reduceScatter(new Float32Array(2 * worldSize + 1), new Float32Array(2))).rejects.toThrow();
      await expect(group!.broadcast(new Float32Array(2), worldSize)).rejects.toThrow();
    });

    it('lets a rank that is done leave while the others finish', async () => {
      const groups = await open();
      await onAll(groups, async (group, rank) => {
        await new Promise((resolve) => setTimeout(resolve, rank * 20));
        const buffer = rank === 0 ? sampleFloats(100_000, 1) : new Float32Array(100_000);
        await group.broadcast(buffer, 0);
        await group.close();
        expectBitwise(buffer, sampleFloats(100_000, 1));
      });
    });

    it('refuses calls after it was closed', async () => {
      const groups = await open();
      await onAll(groups, (group) => group.barrier());
      await onAll(groups, (group) => group.close());
      await expect(groups[0]!.barrier()).rejects.toMatchObject({ code: 'link_closed' });
    });

    // A group of one has nobody to wait for.
    if (worldSize === 1) return;

    it('rejects an aborted call with its reason, and that of the others with link_closed', async () => {
      const groups = await open();
      const controller = new AbortController();
      const reason = new Error('enough');
      const calls = groups.slice(0, -1).map((group, rank) => {
        const signal = rank === 0 ? controller.signal : undefined;
        return group.allReduce(new Float32Array(10), 'sum', { signal }).catch((error) => error);
      });
      setTimeout(() => controller.abort(reason), 10);
      const [first, ...others] = await Promise.all(calls);
      expect(first).toBe(reason);
      for (const error of others) expect(error).toMatchObject({ code: 'link_closed' });
      await expect(groups.at(-1)!.barrier()).rejects.toMatchObject({ code: 'link_closed' });
    });

    it('rejects what waits on all ranks when one of them dies', async () => {
      const groups = await open();
      await onAll(groups, (group) => group.barrier());
      const calls = groups.slice(0, -1).flatMap((group) => {
        const large = new Float32Array(worldSize * 50_000);
        return [group.barrier(), group.allReduce(large, 'sum'), group.allGather(large.subarray(0, 50_000), large)];
      });
      const errors = Promise.all(
        calls.map((call) =>
          call.then(
            () => undefined,
            (error: unknown) => error,
          ),
        ),
      );
      await new Promise((resolve) => setTimeout(resolve, 20));
      await set!.kill(worldSize - 1);
      for (const error of await errors) {
        expect(error).toBeInstanceOf(ClipyardError);
        expect(error).toMatchObject({ code: 'link_closed' });
      }
    });
  });
}

function reduceInOrder<T extends NumericArray>(inputs: readonly T[], operation: ReduceOperation): T {
  const result = inputs[0]!.slice() as T;
  for (const input of inputs.slice(1)) {
    for (let i = 0; i < result.length; i++) result[i] = combine(operation, result[i]!, input[i]!);
  }
  return result;
}

function concatenate<T extends NumericArray | Uint8Array | Uint16Array>(parts: readonly T[]): T {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const whole = new (parts[0]!.constructor as new (length: number) => T)(length);
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}
