import koffi from 'koffi';
import type { TypedArray } from '../engine.js';
import type { ValueType } from '../graph/graph.js';
import { OrtApi } from './c-api.js';

/** Constants of onnxruntime_c_api.h. */
const LOG_ERRORS = 3;
const OPTIMIZE_ALL = 99;
const ARENA_ALLOCATOR = 1;
const DEFAULT_MEMORY = 0;
const ELEMENT_TYPE: Readonly<Record<ValueType, number>> = { float32: 1, int32: 6, bool: 9 };

let shared: OrtRuntime | undefined;

/**
 * ONNX Runtime of this process, which has one environment: one thread pool and one arena of memory for all programs.
 * The first user chooses the size of the pool; sessions of another size bring their own threads.
 */
export class OrtRuntime {
  private constructor(
    private readonly api: OrtApi,
    private readonly environment: bigint,
    private readonly poolThreads: number,
    private readonly memoryInfo: bigint,
  ) {}

  /** Throws `engine_unavailable`. */
  static open(threads: number): OrtRuntime {
    if (shared !== undefined) return shared;
    const api = OrtApi.load();
    const pool = api.make('CreateThreadingOptions');
    api.call('SetGlobalIntraOpNumThreads', pool, threads);
    api.call('SetGlobalInterOpNumThreads', pool, 1);
    const environment = api.make('CreateEnvWithGlobalThreadPools', LOG_ERRORS, 'clipyard', pool);
    const memoryInfo = api.make('CreateCpuMemoryInfo', ARENA_ALLOCATOR, DEFAULT_MEMORY);
    api.call('CreateAndRegisterAllocator', environment, memoryInfo, null);
    shared = new OrtRuntime(api, environment, threads, memoryInfo);
    return shared;
  }

  /** A session of a model, the bytes of an .onnx file. */
  async createSession(model: Uint8Array, threads: number): Promise<bigint> {
    const { api } = this;
    const options = api.make('CreateSessionOptions');
    try {
      if (threads === this.poolThreads) api.call('DisablePerSessionThreads', options);
      else {
        api.call('SetIntraOpNumThreads', options, threads);
        // Threads that wait for the next run of one session by spinning would take the cores of another's run.
        api.call('AddSessionConfigEntry', options, 'session.force_spinning_stop', '1');
      }
      api.call('AddSessionConfigEntry', options, 'session.use_env_allocators', '1');
      // Shapes are fixed, so the arena settles after the first run without a plan, which costs memory.
      api.call('DisableMemPattern', options);
      api.call('SetSessionGraphOptimizationLevel', options, OPTIMIZE_ALL);
      api.call('SetSessionLogSeverityLevel', options, LOG_ERRORS);
      const session = new BigUint64Array(1);
      const bytes = BigInt(model.length);
      await api.callAsync('CreateSessionFromArray', [this.environment, model, bytes, options, session]);
      return session[0]!;
    } finally {
      api.release('SessionOptions', options);
    }
  }

  /** ONNX Runtime's handle for an array, which it neither copies nor keeps alive. */
  createValue(array: TypedArray | Uint8Array, shape: readonly number[], dtype: ValueType): bigint {
    const extents = BigInt64Array.from(shape, BigInt);
    const [bytes, rank] = [BigInt(array.byteLength), BigInt(shape.length)];
    return this.api.make(
      'CreateTensorWithDataAsOrtValue',
      this.memoryInfo,
      array,
      bytes,
      extents,
      rank,
      ELEMENT_TYPE[dtype],
    );
  }

  /** What lets a run be ended early. */
  createRunOptions(): bigint {
    return this.api.make('CreateRunOptions');
  }

  /** Ends the runs that were given these options, with an error. */
  terminate(runOptions: bigint): void {
    this.api.call('RunOptionsSetTerminate', runOptions);
  }

  /** Runs a session on the values of arrays, in the order of its names; outputs are written in place. */
  async run(session: bigint, runOptions: bigint, inputs: Operands, outputs: Operands): Promise<void> {
    await this.api.callAsync(
      'Run',
      [
        session,
        runOptions,
        inputs.names.pointers,
        inputs.values,
        BigInt(inputs.values.length),
        outputs.names.pointers,
        BigInt(outputs.values.length),
        outputs.values,
      ],
      [...inputs.arrays, ...outputs.arrays],
    );
  }

  releaseSession(session: bigint): void {
    this.api.release('Session', session);
  }

  releaseValue(value: bigint): void {
    this.api.release('Value', value);
  }

  releaseRunOptions(runOptions: bigint): void {
    this.api.release('RunOptions', runOptions);
  }
}

/** What a run reads or writes: ONNX Runtime's values, and the arrays that they point to. */
export interface Operands {
  readonly names: CStrings;
  readonly values: BigUint64Array;
  readonly arrays: readonly ArrayBufferView[];
}

/** An array of C strings; its memory lives as long as the object. */
export class CStrings {
  readonly pointers: BigUint64Array;
  private readonly bytes: Buffer;

  constructor(texts: readonly string[]) {
    this.bytes = Buffer.from(texts.map((text) => `${text}\0`).join(''));
    const start = koffi.address(this.bytes);
    let offset = 0;
    this.pointers = BigUint64Array.from(texts, (text) => {
      const at = start + BigInt(offset);
      offset += Buffer.byteLength(text) + 1;
      return at;
    });
  }
}

const ALIGNMENT = 64;

/** Zeroed memory that begins where a cache line does. */
export function allocateAligned(bytes: number): { buffer: ArrayBuffer; byteOffset: number } {
  const buffer = new ArrayBuffer(bytes + ALIGNMENT);
  const byteOffset = Number(-koffi.address(buffer) & BigInt(ALIGNMENT - 1));
  return { buffer, byteOffset };
}
