import assert from 'node:assert';
import { Worker } from 'node:worker_threads';
import { ClipyardError } from '@clipyard/contracts';
import { checkInputs, checkOutputs } from '../check-buffers.js';
import type {
  Buffers,
  CompileOptions,
  DType,
  Engine,
  Program,
  Specs,
  StagedProgram,
  TensorFunction,
  TypedArray,
} from '../engine.js';
import { installGradients } from '../gradients.js';
import { type Graph, sizeOf, type Value } from '../graph/graph.js';
import { record } from '../graph/recorder.js';
import { simplify } from '../graph/simplify.js';
import { splitGraph } from '../graph/split.js';
import { lowerToOnnx } from '../onnx/lower.js';
import { BYTES_PER_ELEMENT, type Placement, type Port, type ThreadRequest, type ThreadResponse } from './protocol.js';
import { SharedMemory } from './shared-memory.js';

export interface OnnxRuntimeOptions {
  /** Threads of one run. */
  readonly threads: number;
}

/** Sent requests, without the number that `call` adds. */
type Request =
  Extract<ThreadRequest, { call: number }> extends infer R ? (R extends unknown ? Omit<R, 'call'> : never) : never;

/** Records functions on this thread and replays them on ONNX Runtime in a thread of its own. */
export class OnnxRuntimeEngine implements Engine {
  readonly name = 'onnxruntime';
  private readonly thread: Worker;
  private readonly memory: SharedMemory;
  private readonly pending = new Map<number, { resolve: () => void; reject: (error: Error) => void; what: string }>();
  private calls = 0;
  private programs = 0;
  private failure: ClipyardError | undefined;

  constructor(private readonly options: OnnxRuntimeOptions) {
    installGradients();
    // The same file from `src` (tests) and `dist`.
    this.thread = new Worker(new URL('../../dist/onnxruntime/thread.js', import.meta.url));
    this.memory = new SharedMemory((region) =>
      this.thread.postMessage({ type: 'region', region } satisfies ThreadRequest),
    );
    this.thread.on('message', (response: ThreadResponse) => this.settle(response));
    this.thread.on('error', (error) => this.fail(`The engine's thread failed: ${error.message}`));
    this.thread.on('exit', (code) => this.fail(`The engine's thread ended (exit code ${code})`));
  }

  async compile(fn: TensorFunction, inputs: Specs, options: CompileOptions): Promise<Program> {
    const graph = simplify(record(options.name, fn, inputs));
    const session = await this.open(graph, options.name);
    const outputSpecs = specsOf(graph.outputs);
    return {
      name: options.name,
      inputs,
      outputs: outputSpecs,
      run: async (given, outputs = {}) => {
        checkInputs(options.name, inputs, given);
        checkOutputs(options.name, outputSpecs, outputs);
        return session.run(given, outputs);
      },
      dispose: () => session.dispose(),
    };
  }

  async compileStaged(
    fn: TensorFunction,
    inputs: Specs,
    late: readonly string[],
    options: CompileOptions,
  ): Promise<StagedProgram> {
    const { early, late: rest, kept } = splitGraph(simplify(record(options.name, fn, inputs)), late);
    const first = await this.open(early, `${options.name} (begin)`);
    const second = await this.open(rest, `${options.name} (finish)`);
    const keptBytes = [...kept.values()].reduce((total, value) => total + aligned(byteLength(value)), 0);
    const keptMemory = this.memory.allocate(Math.max(64, keptBytes));
    const keptBuffers: Record<string, TypedArray> = {};
    let offset = 0;
    for (const [name, value] of kept) {
      keptBuffers[name] = arrayOn(keptMemory, offset, value);
      offset += aligned(byteLength(value));
    }
    const earlyNames = [...early.outputs.keys()].filter((name) => !kept.has(name));
    const lateInputs = Object.fromEntries(late.map((name) => [name, inputs[name]!]));
    const earlyInputs = Object.fromEntries(Object.entries(inputs).filter(([name]) => !late.includes(name)));
    const earlyOutputs = Object.fromEntries(earlyNames.map((name) => [name, specOf(early.outputs.get(name)!)]));
    const lateOutputs = specsOf(rest.outputs);
    let begun: Buffers | undefined;
    return {
      name: options.name,
      inputs,
      earlyOutputs,
      lateOutputs,
      begin: async (given, outputs = {}) => {
        checkInputs(options.name, earlyInputs, given);
        checkOutputs(options.name, earlyOutputs, outputs);
        begun = given;
        const results = await first.run(given, { ...outputs, ...keptBuffers });
        return Object.fromEntries(earlyNames.map((name) => [name, results[name]!]));
      },
      finish: async (given, outputs = {}) => {
        assert(begun !== undefined, 'finish before begin');
        checkInputs(options.name, lateInputs, given);
        checkOutputs(options.name, lateOutputs, outputs);
        return second.run({ ...begun, ...keptBuffers, ...given }, outputs);
      },
      dispose: async () => {
        await first.dispose();
        await second.dispose();
        this.memory.free(keptMemory);
      },
    };
  }

  allocate<D extends DType>(dtype: D, length: number): D extends 'float32' ? Float32Array : Int32Array {
    const buffer = this.memory.allocate(Math.max(1, length) * 4);
    return (
      dtype === 'float32' ? new Float32Array(buffer, 0, length) : new Int32Array(buffer, 0, length)
    ) as D extends 'float32' ? Float32Array : Int32Array;
  }

  async close(): Promise<void> {
    this.failure ??= new ClipyardError('engine_failed', 'The engine is closed');
    await this.thread.terminate();
  }

  private async open(graph: Graph, name: string): Promise<Session> {
    const lowered = lowerToOnnx(graph);
    const program = this.programs++;
    const inputs = lowered.inputs.map((input) => portOf(input, graph.inputs.get(input)!));
    const outputs = lowered.outputs.map((output) => portOf(output, graph.outputs.get(output)!));
    await this.call(
      { type: 'open', program, model: lowered.model, inputs, outputs, threads: this.options.threads },
      `compiling \`${name}\``,
    );
    return new Session(program, name, inputs, outputs, this.memory, (request, what) => this.call(request, what));
  }

  private call(request: Request, what: string): Promise<void> {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    const call = this.calls++;
    return new Promise((resolve, reject) => {
      this.pending.set(call, { resolve, reject, what });
      this.thread.postMessage({ ...request, call });
    });
  }

  private settle({ call, error }: ThreadResponse): void {
    const waiting = this.pending.get(call)!;
    this.pending.delete(call);
    if (error === undefined) waiting.resolve();
    else waiting.reject(new ClipyardError('engine_failed', `ONNX Runtime failed while ${waiting.what}: ${error}`));
  }

  private fail(message: string): void {
    this.failure ??= new ClipyardError('engine_failed', message);
    for (const waiting of this.pending.values()) waiting.reject(this.failure);
    this.pending.clear();
  }
}

/** One ONNX session: places values, runs, and copies only what lies outside shared memory. */
class Session {
  private readonly staging = new Map<string, { buffer: ArrayBuffer; array: TypedArray }>();
  /** The end of the last run, good or bad: runs take turns, since they share what is staged. */
  private last: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly program: number,
    private readonly name: string,
    private readonly inputs: readonly Port[],
    private readonly outputs: readonly Port[],
    private readonly memory: SharedMemory,
    private readonly call: (request: Request, what: string) => Promise<void>,
  ) {}

  run(given: Buffers, wanted: Buffers): Promise<Record<string, TypedArray>> {
    const result = this.last.then(() => this.runNow(given, wanted));
    this.last = result.then(
      () => undefined,
      () => undefined,
    );
    return result;
  }

  private async runNow(given: Buffers, wanted: Buffers): Promise<Record<string, TypedArray>> {
    const inputs: Placement = this.inputs.map((port) => {
      const array = given[port.name];
      assert(array !== undefined, `no value for ${port.name}`);
      return this.placed(array) ?? this.staged(port, array);
    });
    const results: Record<string, TypedArray> = {};
    const copies: (() => void)[] = [];
    const outputs: Placement = this.outputs.map((port) => {
      const target = wanted[port.name];
      if (target !== undefined) {
        results[port.name] = target;
        const place = this.placed(target);
        if (place !== undefined) return place;
      }
      const place = this.staged(port);
      copies.push(() => {
        const { array } = this.staging.get(port.name)!;
        if (target === undefined) results[port.name] = array.slice();
        else target.set(array);
      });
      return place;
    });
    await this.call({ type: 'run', program: this.program, inputs, outputs }, `running \`${this.name}\``);
    for (const copy of copies) copy();
    return results;
  }

  async dispose(): Promise<void> {
    const regions = [...this.staging.values()].map(({ array }) => this.memory.find(array)!.id);
    await this.call({ type: 'dispose', program: this.program, regions }, `disposing of \`${this.name}\``);
    for (const { buffer } of this.staging.values()) this.memory.free(buffer);
    this.staging.clear();
  }

  private placed(array: TypedArray): readonly [number, number] | undefined {
    const region = this.memory.find(array);
    return region === undefined ? undefined : [region.id, array.byteOffset];
  }

  private staged(port: Port, values?: TypedArray): readonly [number, number] {
    let stage = this.staging.get(port.name);
    if (stage === undefined) {
      const buffer = this.memory.allocate(Math.max(1, sizeOf(port.shape)) * BYTES_PER_ELEMENT[port.dtype]);
      stage = { buffer, array: arrayOn(buffer, 0, port) };
      this.staging.set(port.name, stage);
    }
    if (values !== undefined) stage.array.set(values);
    return [this.memory.find(stage.array)!.id, 0];
  }
}

const portOf = (name: string, { shape, dtype }: Pick<Value, 'shape' | 'dtype'>): Port => ({ name, shape, dtype });
const specOf = ({ shape, dtype }: Value) => ({ shape, dtype: dtype as DType });
const specsOf = (values: ReadonlyMap<string, Value>): Specs =>
  Object.fromEntries([...values].map(([name, value]) => [name, specOf(value)]));
const byteLength = ({ shape, dtype }: Pick<Value, 'shape' | 'dtype'>): number =>
  sizeOf(shape) * BYTES_PER_ELEMENT[dtype];
const aligned = (bytes: number): number => Math.ceil(bytes / 64) * 64;

function arrayOn(
  buffer: ArrayBuffer,
  byteOffset: number,
  { shape, dtype }: Pick<Value, 'shape' | 'dtype'>,
): TypedArray {
  const length = sizeOf(shape);
  if (dtype === 'float32') return new Float32Array(buffer, byteOffset, length);
  if (dtype === 'int32') return new Int32Array(buffer, byteOffset, length);
  return new Uint8Array(buffer, byteOffset, length) as unknown as Int32Array;
}
