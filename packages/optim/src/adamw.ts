import assert from 'node:assert';
import { type Engine, type Program, type Specs, type Tensor, tf } from '@clipyard/engine';

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
  /** All of the compiled length; `param`, `m` and `v` are updated in place. */
  readonly param: Float32Array;
  readonly grad: Float32Array;
  readonly m: Float32Array;
  readonly v: Float32Array;
  readonly lr: number;
  /** Of this update, counted from 1. */
  readonly step: number;
  /** The gradient is multiplied by it first (`clipScale`); default 1. */
  readonly gradScale?: number;
}

export interface AdamW {
  /** One update; an element's result depends on nothing but that element, so slices equal the whole bitwise. */
  step(step: AdamWStep): Promise<void>;
  dispose(): Promise<void>;
}

const SCALARS = ['gradFactor', 'squareFactor', 'shrink', 'stepSize', 'eps'] as const;

/** Compiles the update of a flat slice of `length` parameters, all with the same decay. Throws what the engine throws. */
export async function compileAdamW(engine: Engine, options: AdamWOptions & { length: number }): Promise<AdamW> {
  const flat = { shape: [options.length] };
  const specs: Specs = {
    param: flat,
    grad: flat,
    m: flat,
    v: flat,
    ...Object.fromEntries(SCALARS.map((name) => [name, { shape: [1] }])),
  };
  const { update } = adamw(options);
  const program = await engine.compile(
    (inputs) => {
      const { param, m, v } = update(inputs as unknown as AdamWTensors, inputs as unknown as AdamWScalars<Tensor>);
      return { newParam: param, newM: m, newV: v };
    },
    specs,
    { name: `AdamW of ${options.length} parameters`, inPlace: { newParam: 'param', newM: 'm', newV: 'v' } },
  );
  return new CompiledAdamW(program, engine, options);
}

class CompiledAdamW implements AdamW {
  private readonly scalars: Readonly<Record<(typeof SCALARS)[number], Float32Array>>;

  constructor(
    private readonly program: Program,
    engine: Engine,
    private readonly options: AdamWOptions,
  ) {
    this.scalars = Object.fromEntries(SCALARS.map((name) => [name, engine.allocate('float32', 1)])) as never;
  }

  async step({ param, grad, m, v, ...rest }: AdamWStep): Promise<void> {
    const values = adamwScalars(this.options, rest);
    for (const name of SCALARS) this.scalars[name][0] = values[name];
    await this.program.run({ param, grad, m, v, ...this.scalars }, { newParam: param, newM: m, newV: v });
  }

  dispose(): Promise<void> {
    return this.program.dispose();
  }
}
