import assert from 'node:assert';
import {
  type Cancellable,
  ClipyardError,
  type Group,
  type NumericArray,
  type ReduceOperation,
} from '@clipyard/contracts';

type Elements = NumericArray | Uint8Array | Uint16Array;

/** One rank's part of a call: what it reads, where its result goes. */
interface Part {
  readonly input: Elements;
  readonly output: Elements;
}

interface Meeting {
  /** What every rank must agree on. */
  readonly operation: string;
  readonly parts: (Part | undefined)[];
  readonly done: Promise<void>;
  settle(error?: unknown): void;
}

/**
 * Groups of `worldSize` ranks in one process, the plain reference of the Group port: a call waits for all ranks, then
 * one of them computes everybody's result, adding in the order of ranks. For tests that run several ranks in one process.
 */
export function referenceGroups(worldSize: number): Group[] {
  const room = new MeetingRoom(worldSize);
  return Array.from({ length: worldSize }, (_, rank) => new ReferenceGroup(rank, worldSize, room));
}

/** Combines two values as reductions do. */
export function combine(operation: ReduceOperation, a: number, b: number): number {
  switch (operation) {
    case 'sum':
      return a + b;
    case 'max':
      return Math.max(a, b);
    case 'min':
      return Math.min(a, b);
  }
}

class MeetingRoom {
  readonly #worldSize: number;
  readonly #meetings = new Map<number, Meeting>();
  #failure: unknown;

  constructor(worldSize: number) {
    this.#worldSize = worldSize;
  }

  /** Joins call number `call`; `compute` runs once all have come, for the last to come. */
  async meet(
    call: number,
    rank: number,
    operation: string,
    part: Part,
    compute: (parts: Part[]) => void,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    signal?.throwIfAborted();
    if (this.#failure !== undefined) throw this.#failure;
    const meeting = this.#meetings.get(call) ?? this.#open(call, operation);
    assert(
      meeting.operation === operation,
      `call ${call}: rank ${rank} calls ${operation}, others ${meeting.operation}`,
    );
    meeting.parts[rank] = part;
    const onAbort = () => this.fail(new ClipyardError('link_closed', `rank ${rank} gave up`));
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      if (meeting.parts.every((present) => present !== undefined)) {
        this.#meetings.delete(call);
        compute(meeting.parts as Part[]);
        meeting.settle();
      }
      await meeting.done;
    } catch (error) {
      throw signal?.aborted ? signal.reason : error;
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }

  fail(error: unknown): void {
    this.#failure ??= error;
    for (const meeting of this.#meetings.values()) meeting.settle(this.#failure);
    this.#meetings.clear();
  }

  #open(call: number, operation: string): Meeting {
    let settle: (error?: unknown) => void = () => {};
    const done = new Promise<void>((resolve, reject) => {
      settle = (error) => (error === undefined ? resolve() : reject(error));
    });
    // Every rank that came awaits it; one that leaves with its abort reason must not leave the rejection unheard.
    done.catch(() => {});
    const meeting = { operation, parts: new Array<undefined>(this.#worldSize).fill(undefined), done, settle };
    this.#meetings.set(call, meeting);
    return meeting;
  }
}

class ReferenceGroup implements Group {
  readonly rank: number;
  readonly worldSize: number;
  readonly #room: MeetingRoom;
  #calls = 0;

  constructor(rank: number, worldSize: number, room: MeetingRoom) {
    this.rank = rank;
    this.worldSize = worldSize;
    this.#room = room;
  }

  async allGather<T extends Elements>(input: T, output: T, options?: Cancellable): Promise<void> {
    assert(output.length === this.worldSize * input.length, 'output.length = W * input.length');
    await this.#meet(`allGather of ${input.length}`, { input, output }, options, (parts) => {
      const gathered = parts.map((part) => part.input.slice());
      for (const part of parts) gathered.forEach((values, rank) => void part.output.set(values, rank * input.length));
    });
  }

  async reduceScatter(input: Float32Array, output: Float32Array, options?: Cancellable): Promise<void> {
    assert(input.length === this.worldSize * output.length, 'input.length = W * output.length');
    await this.#meet(`reduceScatter to ${output.length}`, { input, output }, options, (parts) => {
      const sum = reduce(parts, 'sum');
      parts.forEach(
        (part, rank) => void part.output.set(sum.subarray(rank * output.length, (rank + 1) * output.length)),
      );
    });
  }

  async allReduce(buffer: NumericArray, operation: ReduceOperation, options?: Cancellable): Promise<void> {
    const part = { input: buffer, output: buffer };
    await this.#meet(`allReduce ${operation} of ${buffer.length}`, part, options, (parts) => {
      const result = reduce(parts, operation);
      for (const { output } of parts) output.set(result);
    });
  }

  async broadcast(buffer: NumericArray | Uint8Array, root: number, options?: Cancellable): Promise<void> {
    assert(Number.isInteger(root) && root >= 0 && root < this.worldSize, 'the root is a rank');
    const part = { input: buffer, output: buffer };
    await this.#meet(`broadcast from ${root} of ${buffer.length}`, part, options, (parts) => {
      for (const { output } of parts) output.set(parts[root]!.input);
    });
  }

  async barrier(options?: Cancellable): Promise<void> {
    const nothing = new Uint8Array(0);
    await this.#meet('barrier', { input: nothing, output: nothing }, options, () => {});
  }

  async close(): Promise<void> {
    this.#room.fail(new ClipyardError('link_closed', `rank ${this.rank} closed its group`));
  }

  #meet(operation: string, part: Part, options: Cancellable | undefined, compute: (parts: Part[]) => void) {
    return this.#room.meet(this.#calls++, this.rank, operation, part, compute, options?.signal);
  }
}

function reduce(parts: Part[], operation: ReduceOperation): Elements {
  const result = parts[0]!.input.slice();
  for (const { input } of parts.slice(1)) {
    for (let i = 0; i < result.length; i++) result[i] = combine(operation, result[i]!, input[i]!);
  }
  return result;
}
