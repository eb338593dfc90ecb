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
  /** 1 where weight decay applies, else 0. */
  readonly decayMask: Tensor;
}

/** What differs from step to step, as scalars of shape [1]. */
export interface AdamWScalars<T> {
  /** The gradient is multiplied by it first. */
  readonly gradScale: T;
  /** lr · weightDecay */
  readonly decay: T;
  /** lr / (1 - beta1^step) */
  readonly stepSize: T;
  /** √(1 - beta2^step) */
  readonly rootCorrection: T;
}

export interface AdamWState {
  readonly m: Tensor;
  readonly v: Tensor;
}

/** The optimizer as pure functions of tensors. */
export function adamw({ betas: [beta1, beta2], eps }: Pick<AdamWOptions, 'betas' | 'eps'>) {
  return {
    init: (param: Tensor): AdamWState => ({ m: tf.zerosLike(param), v: tf.zerosLike(param) }),
    update: (tensors: AdamWTensors, scalars: AdamWScalars<Tensor>): AdamWState & { param: Tensor } => {
      const grad = tf.mul(tensors.grad, scalars.gradScale);
      const m = tf.add(tensors.m, tf.mul(tf.sub(grad, tensors.m), 1 - beta1));
      const v = tf.add(tf.mul(tensors.v, beta2), tf.mul(tf.square(grad), 1 - beta2));
      const shrunk = tf.mul(tensors.param, tf.sub(1, tf.mul(tensors.decayMask, scalars.decay)));
      const denominator = tf.add(tf.div(tf.sqrt(v), scalars.rootCorrection), eps);
      return { param: tf.sub(shrunk, tf.mul(scalars.stepSize, tf.div(m, denominator))), m, v };
    },
  };
}

/** The scalars of step `step`, counted from 1. */
export function adamwScalars(
  { betas: [beta1, beta2], weightDecay }: Pick<AdamWOptions, 'betas' | 'weightDecay'>,
  { lr, step, gradScale = 1 }: { lr: number; step: number; gradScale?: number },
): AdamWScalars<number> {
  assert(Number.isInteger(step) && step >= 1, `steps count from 1, not ${step}`);
  return {
    gradScale,
    decay: lr * weightDecay,
    stepSize: lr / (1 - beta1 ** step),
    rootCorrection: Math.sqrt(1 - beta2 ** step),
  };
}

export interface AdamWStepInputs {
  /** All of the compiled length. */
  readonly param: Float32Array;
  readonly grad: Float32Array;
  readonly m: Float32Array;
  readonly v: Float32Array;
  /** 1 where weight decay applies, else 0. */
  readonly decayMask: Float32Array;
  readonly lr: number;
  /** Of this update, counted from 1. */
  readonly step: number;
  /** The gradient is multiplied by it first (`clipScale`); default 1. */
  readonly gradScale?: number;
}

/**
 * Where the new values go: never over an input, since a program reads while it writes. Keep two copies of `param`, `m`
 * and `v` that take turns.
 */
export interface AdamWStepOutputs {
  readonly param: Float32Array;
  readonly m: Float32Array;
  readonly v: Float32Array;
}

export interface AdamW {
  /** One update; an element's result depends on nothing but that element, so slices equal the whole bitwise. */
  step(inputs: AdamWStepInputs, outputs: AdamWStepOutputs): Promise<void>;
  dispose(): Promise<void>;
}

const SCALARS = ['gradScale', 'decay', 'stepSize', 'rootCorrection'] as const;

/** Compiles the update of a flat slice of `length` parameters. Throws what the engine throws. */
export async function compileAdamW(engine: Engine, options: AdamWOptions & { length: number }): Promise<AdamW> {
  const flat = { shape: [options.length] };
  const specs: Specs = {
    param: flat,
    grad: flat,
    m: flat,
    v: flat,
    decayMask: flat,
    ...Object.fromEntries(SCALARS.map((name) => [name, { shape: [1] }])),
  };
  const { update } = adamw(options);
  const program = await engine.compile(
    (inputs) => {
      const { param, m, v } = update(inputs as unknown as AdamWTensors, inputs as unknown as AdamWScalars<Tensor>);
      return { newParam: param, newM: m, newV: v };
    },
    specs,
    { name: `AdamW of ${options.length} parameters` },
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

  async step(inputs: AdamWStepInputs, outputs: AdamWStepOutputs): Promise<void> {
    const { param, grad, m, v, decayMask } = inputs;
    for (const output of [outputs.param, outputs.m, outputs.v]) {
      for (const input of [param, grad, m, v, decayMask])
        assert(!overlap(input, output), 'an output overlaps an input');
    }
    const values = adamwScalars(this.options, inputs);
    for (const name of SCALARS) this.scalars[name][0] = values[name];
    await this.program.run(
      { param, grad, m, v, decayMask, ...this.scalars },
      { newParam: outputs.param, newM: outputs.m, newV: outputs.v },
    );
  }

  dispose(): Promise<void> {
    return this.program.dispose();
  }
}

const overlap = (a: Float32Array, b: Float32Array): boolean =>
  a.buffer === b.buffer && a.byteOffset < b.byteOffset + b.byteLength && b.byteOffset < a.byteOffset + a.byteLength;
