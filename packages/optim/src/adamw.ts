import assert from 'node:assert';
import { type Engine, type Program, type Specs, type Tensor, tf } from '@clipyard/engine';
import { CounterRandom, type StoredFloats } from '@clipyard/tensor';

/** AdamW (Loshchilov and Hutter, arXiv 1711.05101), in the form and order of operations of torch.optim.AdamW. */
export interface AdamWOptions {
  /** Decay of the first and second moment. */
  readonly betas: readonly [number, number];
  /** Added to the root of the bias-corrected second moment. */
  readonly eps: number;
  /** Decoupled: parameters shrink by lr · weightDecay a step, where the mask is 1. */
  readonly weightDecay: number;
}

/** Tensors of one flat slice [n], float32. */
export interface AdamWTensors {
  readonly param: Tensor;
  readonly grad: Tensor;
  readonly m: Tensor;
  readonly v: Tensor;
}

/** What differs from step to step, as scalars of shape [1]. */
export interface AdamWScalars<T> {
  /** (1 - beta1) · gradScale */
  readonly gradFactor: T;
  /** (1 - beta2) · gradScale² */
  readonly squareFactor: T;
  /** 1 - lr · weightDecay */
  readonly shrink: T;
  /** lr / (1 - beta1^step) · √(1 - beta2^step) */
  readonly stepSize: T;
  /** eps · √(1 - beta2^step) */
  readonly eps: T;
}

export interface AdamWState {
  readonly m: Tensor;
  readonly v: Tensor;
}

/** The optimizer as pure functions of tensors, the bias corrections in the scalars: fewer passes over memory. */
export function adamw({ betas: [beta1, beta2] }: Pick<AdamWOptions, 'betas'>) {
  return {
    init: (param: Tensor): AdamWState => ({ m: tf.zerosLike(param), v: tf.zerosLike(param) }),
    update: (tensors: AdamWTensors, scalars: AdamWScalars<Tensor>): AdamWState & { param: Tensor } => {
      const { param, grad } = tensors;
      const m = tf.add(tf.mul(tensors.m, beta1), tf.mul(grad, scalars.gradFactor));
      const v = tf.add(tf.mul(tensors.v, beta2), tf.mul(tf.mul(grad, scalars.squareFactor), grad));
      const step = tf.div(tf.mul(m, scalars.stepSize), tf.add(tf.sqrt(v), scalars.eps));
      return { param: tf.sub(tf.mul(param, scalars.shrink), step), m, v };
    },
  };
}

/** The scalars of step `step`, counted from 1. */
export function adamwScalars(
  { betas: [beta1, beta2], eps, weightDecay }: AdamWOptions,
  { lr, step, gradScale = 1 }: { lr: number; step: number; gradScale?: number },
): AdamWScalars<number> {
  assert(Number.isInteger(step) && step >= 1, `steps count from 1, not ${step}`);
  const rootCorrection = Math.sqrt(1 - beta2 ** step);
  return {
    gradFactor: (1 - beta1) * gradScale,
    squareFactor: (1 - beta2) * gradScale ** 2,
    shrink: 1 - lr * weightDecay,
    stepSize: (lr / (1 - beta1 ** step)) * rootCorrection,
    eps: eps * rootCorrection,
  };
}

export interface AdamWStep {
  /** All of the compiled length; `param` is updated in place. */
  readonly param: Float32Array;
  readonly grad: Float32Array;
  /** Its moments, updated in place: as many elements from `from` on. */
  readonly moments: Moments;
  readonly from: number;
  /** The average of the weights, where one was compiled, which keeps this part of itself. */
  readonly average?: { readonly values: Float32Array; readonly decay: number } | undefined;
  readonly lr: number;
  /** Of this update, counted from 1. */
  readonly step: number;
  /** The gradient is multiplied by it first (`clipScale`); default 1. */
  readonly gradScale?: number;
}

/** The moments of a whole slice. */
export interface Moments {
  readonly m: StoredFloats;
  readonly v: StoredFloats;
  /** Rounds them where they have 16 bits; element i of the slice draws number i + `offset` of a stream that the step names. */
  readonly seed: number;
  readonly offset: number;
}

export interface AdamW {
  /** One update; an element's result depends on nothing but that element, so slices equal the whole bitwise. */
  step(step: AdamWStep): Promise<void>;
  dispose(): Promise<void>;
}

const SCALARS = ['gradFactor', 'squareFactor', 'shrink', 'stepSize', 'eps'] as const;
/** What of a new weight goes into the average. */
const AVERAGE_PART = 'averagePart';

/** Elements of one run: a longer slice is updated in pieces, so that what lies between stays in the cache. */
const PIECE = 1 << 18;

/**
 * Every so many updates moments below FADED become 0. Without gradients, as for tokens that captions rarely use, they fade
 * into subnormal numbers, where rounding holds them for ever and arithmetic is many times slower. Between two such updates
 * moments of 0.9 lose 7/8; a moment of FADED changes no weight.
 */
const FADE_STEPS = 16;
const FADED = 2 ** -116;

/** Streams of random numbers, apart from those of initial weights: of each step and moment. */
const streamOf = (moment: 1 | 2, step: number): number => moment * 2 ** 45 + step;

/**
 * Compiles the update of a flat slice of `length` parameters, all with the same decay; `averages`: with an average of the
 * weights. Throws what the engine throws.
 */
export async function compileAdamW(
  engine: Engine,
  options: AdamWOptions & { readonly length: number; readonly averages?: boolean },
): Promise<AdamW> {
  const lengths = new Set([Math.min(options.length, PIECE), options.length % PIECE]);
  lengths.delete(0);
  const programs = new Map<number, Program>();
  for (const length of lengths) programs.set(length, await compilePiece(engine, options, length));
  return new CompiledAdamW(programs, engine, options);
}

function compilePiece(
  engine: Engine,
  options: AdamWOptions & { readonly averages?: boolean },
  length: number,
): Promise<Program> {
  const flat = { shape: [length] };
  const scalar = { shape: [1] };
  const specs: Specs = {
    param: flat,
    grad: flat,
    m: flat,
    v: flat,
    ...Object.fromEntries(SCALARS.map((name) => [name, scalar])),
    ...(options.averages === true && { average: flat, [AVERAGE_PART]: scalar }),
  };
  const inPlace = {
    newParam: 'param',
    newM: 'm',
    newV: 'v',
    ...(options.averages === true && { newAverage: 'average' }),
  };
  const { update } = adamw(options);
  return engine.compile(
    (inputs): Record<string, Tensor> => {
      const { param, m, v } = update(inputs as unknown as AdamWTensors, inputs as unknown as AdamWScalars<Tensor>);
      const { average } = inputs;
      if (average === undefined) return { newParam: param, newM: m, newV: v };
      const newAverage = tf.add(average, tf.mul(tf.sub(param, average), inputs[AVERAGE_PART]!));
      return { newParam: param, newM: m, newV: v, newAverage };
    },
    specs,
    { name: `AdamW of ${length} parameters`, inPlace },
  );
}

class CompiledAdamW implements AdamW {
  private readonly scalars: Readonly<Record<string, Float32Array>>;
  /** For moments of 16 bits. */
  private readonly scratch: { readonly m: Float32Array; readonly v: Float32Array };

  constructor(
    /** By the length of their piece. */
    private readonly programs: ReadonlyMap<number, Program>,
    engine: Engine,
    private readonly options: AdamWOptions,
  ) {
    const allocate = (length: number): Float32Array => engine.allocate('float32', length);
    this.scalars = Object.fromEntries([...SCALARS, AVERAGE_PART].map((name) => [name, allocate(1)]));
    const longest = Math.max(...programs.keys());
    this.scratch = { m: allocate(longest), v: allocate(longest) };
  }

  async step({ param, grad, moments, from, average, ...rest }: AdamWStep): Promise<void> {
    const values = adamwScalars(this.options, rest);
    for (const name of SCALARS) this.scalars[name]![0] = values[name];
    this.scalars[AVERAGE_PART]![0] = 1 - (average?.decay ?? 1);
    const random = {
      m: new CounterRandom(moments.seed, streamOf(1, rest.step)),
      v: new CounterRandom(moments.seed, streamOf(2, rest.step)),
    };
    for (let at = 0; at < param.length; at += PIECE) {
      const piece = (array: Float32Array): Float32Array => array.subarray(at, at + PIECE);
      const weights = piece(param);
      const [start, end] = [from + at, from + at + weights.length];
      const read = (moment: 'm' | 'v'): Float32Array =>
        moments[moment].read(start, end, this.scratch[moment].subarray(0, weights.length));
      const [m, v] = [read('m'), read('v')];
      const averaged = average === undefined ? undefined : piece(average.values);
      await this.programs
        .get(weights.length)!
        .run(
          { param: weights, grad: piece(grad), m, v, ...this.scalars, ...(averaged && { average: averaged }) },
          { newParam: weights, newM: m, newV: v, ...(averaged && { newAverage: averaged }) },
        );
      if (rest.step % FADE_STEPS === 0) endFaded(m, v);
      moments.m.write(start, m, random.m, moments.offset);
      moments.v.write(start, v, random.v, moments.offset);
    }
  }

  async dispose(): Promise<void> {
    for (const program of this.programs.values()) await program.dispose();
  }
}

/** Only where the first moment is 0 may the second become 0, too: it divides. */
function endFaded(m: Float32Array, v: Float32Array): void {
  for (let i = 0; i < m.length; i++) {
    if (Math.abs(m[i]!) >= FADED) continue;
    m[i] = 0;
    if (v[i]! < FADED) v[i] = 0;
  }
}
