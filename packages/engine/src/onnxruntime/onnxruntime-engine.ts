import { createHash } from 'node:crypto';
import { ClipyardError } from '@clipyard/contracts';
import type { OnCompile } from '../compile-report.js';
import { compiledProgram, selectSpecs, specsOf, stagedProgram } from '../compiled-program.js';
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
import type { Graph, Value } from '../graph/graph.js';
import { checkInPlace, checkInPlaceStages } from '../graph/in-place.js';
import { splitGraph } from '../graph/split.js';
import { planTape } from '../graph/tape-memory.js';
import { graphToLower } from '../graph/trace.js';
import { checkMemory, isOutOfMemory, outOfMemory } from '../memory-limit.js';
import { lowerToOnnx } from '../onnx/lower.js';
import type { LoweredProgram } from '../onnx/lowered-program.js';
import { madeAt } from '../onnx/made-at.js';
import { OrtRuntime } from './runtime.js';
import { newArray, newTape, Session } from './session.js';

export interface OnnxRuntimeOptions {
  /** Threads of one run. */
  readonly threads: number;
  /** Whether graphs are simplified before they are lowered; default true. */
  readonly simplify?: boolean;
  readonly onCompile?: OnCompile;
}

/** What errors tell of a program. */
interface ProgramFacts {
  readonly name: string;
  readonly cost: GraphCost;
  readonly sources: LoweredProgram['sources'];
}

/** One program's use of a session; `run` as the session's. */
interface SessionUse {
  run(given: readonly Buffers[], wanted: readonly Buffers[]): Promise<Record<string, TypedArray>>;
  dispose(): Promise<void>;
}

/** A session and how many programs use it. */
interface SharedSession {
  readonly session: Session;
  users: number;
}

/** Records functions on this thread and replays them on ONNX Runtime's, so that the event loop never waits. */
export class OnnxRuntimeEngine implements Engine {
  readonly name = 'onnxruntime';
  readonly device = 'cpu';
  private readonly runtime: OrtRuntime;
  private readonly runOptions: bigint;
  /** By their model: programs of the same structure share one. */
  private readonly sessions = new Map<string, SharedSession>();
  /** The end of the last call, good or bad: calls take turns, since they share the thread pool. */
  private last: Promise<unknown> = Promise.resolve();
  private closed = false;

  constructor(private readonly options: OnnxRuntimeOptions) {
    installGradients();
    this.runtime = OrtRuntime.open(options.threads);
    this.runOptions = this.runtime.createRunOptions();
  }

  async compile(fn: TensorFunction, inputs: Specs, options: CompileOptions): Promise<Program> {
    const start = performance.now();
    const graph = this.graphOf(fn, inputs, options);
    checkInPlace(graph, options.inPlace ?? {});
    const session = await this.open(graph, options.name, start);
    return compiledProgram({ name: options.name, inputs }, specsOf(graph.outputs), {
      run: (given, outputs) => session.run([given], [outputs]),
      dispose: () => session.dispose(),
    });
  }

  async compileStaged(
    fn: TensorFunction,
    inputs: Specs,
    late: readonly (readonly string[])[],
    { tapes: tapeCount = 1, inPlace = {}, ...options }: StagedOptions,
  ): Promise<StagedProgram> {
    let start = performance.now();
    const graph = this.graphOf(fn, inputs, options);
    const { stages, kept } = splitGraph(graph, late);
    checkInPlaceStages(graph, stages, inPlace);
    const sessions: (SessionUse | undefined)[] = [];
    for (const [stage, part] of stages.entries()) {
      const about = `${options.name} (${stage + 1} of ${stages.length})`;
      sessions.push(part.outputs.size === 0 ? undefined : await this.open(part, about, start));
      start = performance.now();
    }
    const plan = planTape(kept);
    const tapes = Array.from({ length: tapeCount }, () => newTape(kept, plan));
    const outputs = stages.map((part) => selectSpecs(specsOf(part.outputs), (name) => !kept.has(name)));
    return stagedProgram({ name: options.name, inputs, late, tapes: tapeCount }, outputs, {
      run: async (stage, given, targets, tape) => {
        const results = await sessions[stage]?.run([given, tapes[tape]!], [targets, tapes[tape]!]);
        return Object.fromEntries(Object.keys(outputs[stage]!).map((name) => [name, results![name]!]));
      },
      dispose: async () => {
        for (const session of sessions) await session?.dispose();
      },
    });
  }

  private graphOf(fn: TensorFunction, inputs: Specs, { name, compute }: CompileOptions): Graph {
    return graphToLower(name, fn, inputs, { ...this.options, ...(compute && { compute }) });
  }

  allocate<D extends DType>(dtype: D, length: number): D extends 'float32' ? Float32Array : Int32Array {
    return newArray({ shape: [length], dtype }) as D extends 'float32' ? Float32Array : Int32Array;
  }

  /** Ends a run that is under way. */
  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    this.runtime.terminate(this.runOptions);
    await this.last;
    for (const { session } of this.sessions.values()) session.release();
    this.sessions.clear();
    this.runtime.releaseRunOptions(this.runOptions);
  }

  /** One program's use of a session. `start`: when compiling began, by `performance.now`. */
  private async open(graph: Graph, name: string, start: number): Promise<SessionUse> {
    const cost = costOf(graph);
    checkMemory(name, cost);
    const { model, inputs, outputs, sources } = lowerToOnnx(graph);
    const about: ProgramFacts = { name, cost, sources };
    const key = createHash('sha256').update(model).digest('hex');
    let seconds = (performance.now() - start) / 1000;
    const { shared, reused } = await this.inTurn(about, 'compiling', async () => {
      const known = this.sessions.get(key);
      if (known !== undefined) {
        known.users++;
        return { shared: known, reused: true };
      }
      const start = performance.now();
      const handle = await this.runtime.createSession(model, this.options.threads);
      seconds += (performance.now() - start) / 1000;
      const ports = (names: readonly string[], values: ReadonlyMap<string, Value>) =>
        names.map((port) => ({ name: port, shape: values.get(port)!.shape, dtype: values.get(port)!.dtype }));
      const session = new Session(this.runtime, handle, ports(inputs, graph.inputs), ports(outputs, graph.outputs));
      const opened = { session, users: 1 };
      this.sessions.set(key, opened);
      return { shared: opened, reused: false };
    });
    this.options.onCompile?.({ program: name, cost, seconds, reused });
    let disposed = false;
    return {
      run: (given, wanted) =>
        this.inTurn(about, 'running', () => {
          if (disposed) throw new ClipyardError('engine_failed', `\`${name}\` has been disposed of`);
          return shared.session.run(given, wanted, this.runOptions);
        }),
      dispose: () =>
        this.inTurn(about, 'disposing of', async () => {
          if (disposed) return;
          disposed = true;
          if (--shared.users > 0) return;
          this.sessions.delete(key);
          shared.session.release();
        }),
    };
  }

  /** Runs `work` after all calls before it. Throws `engine_failed` or `engine_out_of_memory` for what ONNX Runtime says. */
  private inTurn<T>({ name, cost, sources }: ProgramFacts, what: string, work: () => T | Promise<T>): Promise<T> {
    const result = this.last.then(async () => {
      if (this.closed) throw new ClipyardError('engine_failed', 'The engine is closed');
      try {
        return await work();
      } catch (error) {
        if (error instanceof ClipyardError) throw error;
        const { message } = error as Error;
        if (isOutOfMemory(message)) throw outOfMemory(name, cost, message, error);
        const reason = this.closed
          ? 'The engine was closed'
          : `ONNX Runtime failed: ${message}${madeAt(message, sources)}`;
        throw new ClipyardError('engine_failed', `${reason} (${what} \`${name}\`)`, { cause: error });
      }
    });
    this.last = result.catch(() => {});
    return result;
  }
}
