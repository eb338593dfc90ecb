import { ClipyardError } from '@clipyard/contracts';
import type { OnCompile } from '../compile-report.js';
import { compiledProgram, type Runnable, selectSpecs, specsOf, stagedProgram } from '../compiled-program.js';
import type {
  Buffers,
  CompileOptions,
  DType,
  Engine,
  Program,
  Specs,
  StagedOptions,
  StagedProgram,
  TensorFunction,
  TypedArray,
} from '../engine.js';
import { installGradients } from '../gradients.js';
import { costOf, type GraphCost } from '../graph/cost.js';
import type { Graph } from '../graph/graph.js';
import { checkInPlace, checkInPlaceStages } from '../graph/in-place.js';
import { type KeptValue, splitGraph } from '../graph/split.js';
import { graphToLower } from '../graph/trace.js';
import { checkMemory, isOutOfMemory, outOfMemory } from '../memory-limit.js';
import { lowerToTensorFlow } from './lower.js';
import type { TapeUse } from './protocol.js';
import { TensorFlowThread, type ThreadOptions } from './thread.js';

export interface TensorFlowOptions extends ThreadOptions {
  /** Whether graphs are simplified before they are lowered; default true. */
  readonly simplify?: boolean | undefined;
  readonly onCompile?: OnCompile | undefined;
}

let programs = 0;

/** A program in TensorFlow's thread. */
interface Loaded extends Runnable {
  readonly id: number;
  run(given: Buffers, outputs: Buffers, tape?: number): Promise<Record<string, TypedArray>>;
}

/** Records functions on this thread and evaluates their graphs on TensorFlow's, so that the event loop never waits. */
export class TensorFlowEngine implements Engine {
  readonly name = 'tensorflow';
  private readonly loaded = new Set<Loaded>();
  private readonly stop = new Int32Array(new SharedArrayBuffer(4));
  private closed = false;

  private constructor(
    private readonly thread: TensorFlowThread,
    private readonly options: Pick<TensorFlowOptions, 'simplify' | 'onCompile'>,
  ) {
    installGradients();
  }

  /** Loads the binding. Throws `engine_unavailable`. */
  static async open({ simplify, onCompile, ...options }: TensorFlowOptions): Promise<TensorFlowEngine> {
    return new TensorFlowEngine(await TensorFlowThread.open(options), { simplify, onCompile });
  }

  get version(): string {
    return this.thread.version;
  }

  get device(): 'cpu' | 'gpu' {
    return this.thread.gpu ? 'gpu' : 'cpu';
  }

  async compile(fn: TensorFunction, inputs: Specs, options: CompileOptions): Promise<Program> {
    const graph = this.graphOf(fn, inputs, options);
    checkInPlace(graph, options.inPlace ?? {});
    const program = await this.load(graph, options.name, { keep: [], forget: [], first: undefined });
    return compiledProgram({ name: options.name, inputs }, specsOf(graph.outputs), program);
  }

  async compileStaged(
    fn: TensorFunction,
    inputs: Specs,
    late: readonly (readonly string[])[],
    { tapes = 1, inPlace = {}, ...options }: StagedOptions,
  ): Promise<StagedProgram> {
    const graph = this.graphOf(fn, inputs, options);
    const { stages, kept } = splitGraph(graph, late);
    checkInPlaceStages(graph, stages, inPlace);
    const programs: Loaded[] = [];
    for (const [stage, part] of stages.entries()) {
      const those = (wanted: (value: KeptValue) => boolean): string[] =>
        [...kept].filter(([, value]) => wanted(value)).map(([name]) => name);
      const tape = {
        keep: those(({ madeIn }) => madeIn === stage),
        // The last stage may run again.
        forget: those(({ lastReadIn }) => lastReadIn === stage && stage < late.length),
        first: programs[0]?.id,
      };
      programs.push(await this.load(part, `${options.name} (${stage + 1} of ${stages.length})`, tape));
    }
    const outputs = stages.map((part) => selectSpecs(specsOf(part.outputs), (name) => !kept.has(name)));
    return stagedProgram({ name: options.name, inputs, late, tapes }, outputs, {
      run: (stage, given, targets, tape) => programs[stage]!.run(given, targets, tape),
      dispose: async () => {
        for (const program of programs.reverse()) await program.dispose();
      },
    });
  }

  private graphOf(fn: TensorFunction, inputs: Specs, { name, compute }: CompileOptions): Graph {
    return graphToLower(name, fn, inputs, { ...this.options, ...(compute && { compute }) });
  }

  /** Memory that both threads see. */
  allocate<D extends DType>(dtype: D, length: number): D extends 'float32' ? Float32Array : Int32Array {
    const memory = new SharedArrayBuffer(4 * length);
    return (dtype === 'float32' ? new Float32Array(memory) : new Int32Array(memory)) as unknown as D extends 'float32'
      ? Float32Array
      : Int32Array;
  }

  /** Ends a run that is under way after its present operation. */
  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    Atomics.store(this.stop, 0, 1);
    await Promise.all([...this.loaded].map((program) => program.dispose()));
  }

  private async load(graph: Graph, name: string, tape: TapeUse): Promise<Loaded> {
    const id = programs++;
    const start = performance.now();
    const cost = costOf(graph);
    // A GPU has memory of its own, whose size the binding does not tell.
    if (this.device === 'cpu') checkMemory(name, cost);
    const program = lowerToTensorFlow(graph);
    await this.ask(name, cost, { type: 'load', id, program, tape, stop: this.stop });
    this.options.onCompile?.({ program: name, cost, seconds: (performance.now() - start) / 1000, reused: false });
    const read = [...program.inputs.keys()];
    const loaded: Loaded = {
      id,
      run: async (given, outputs, tape = 0) => {
        const inputs = Object.fromEntries(
          read.flatMap((key) => (given[key] === undefined ? [] : [[key, visible(given[key])]])),
        );
        const written = Object.fromEntries(Object.entries(outputs).filter(([, array]) => isShared(array)));
        const results = await this.ask(name, cost, { type: 'run', id, inputs, outputs: written, tape });
        for (const [key, target] of Object.entries(outputs)) {
          if (!isShared(target)) target.set(results[key]!);
          results[key] = target;
        }
        return results;
      },
      dispose: async () => {
        if (this.loaded.delete(loaded)) await this.thread.call({ type: 'dispose', id });
      },
    };
    this.loaded.add(loaded);
    return loaded;
  }

  /** Throws `engine_failed` or `engine_out_of_memory` with the program and what TensorFlow says, and when closed. */
  private async ask(
    name: string,
    cost: GraphCost,
    request: Parameters<TensorFlowThread['call']>[0],
  ): Promise<Record<string, TypedArray>> {
    if (this.closed) throw new ClipyardError('engine_failed', `The engine is closed (\`${name}\`)`);
    try {
      return await this.thread.call(request);
    } catch (error) {
      const { message } = error as Error;
      if (isOutOfMemory(message)) throw outOfMemory(name, cost, message, error);
      const reason = this.closed ? 'The engine was closed' : `TensorFlow failed: ${message}`;
      throw new ClipyardError('engine_failed', `${reason} (\`${name}\`)`, { cause: error });
    }
  }
}

const isShared = (array: TypedArray): boolean => array.buffer instanceof SharedArrayBuffer;

/** The same values for the other thread; copied unless shared, as a message would copy the whole buffer of a view. */
const visible = (array: TypedArray): TypedArray => (isShared(array) ? array : array.slice());
