import { constant, fanIn, type Initializer } from './initializers.js';

export interface ParameterSpec {
  /** open_clip's name, where it has such a parameter. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly init: Initializer;
  /** Weight decay applies: open_clip's rule, everything of two dimensions or more that is no gain, bias or logit scale. */
  readonly decay: boolean;
  /** Its learning rate is the run's times this; default 1. */
  readonly lrScale?: number;
  /** It holds numbers of this format only; default: any float32. */
  readonly storage?: 'bf16' | 'fp16';
  /** It is not trained: no gradient, no moments. */
  readonly frozen?: boolean;
  /** It is a running statistic: what training sees moves it, and no gradient. */
  readonly running?: boolean;
}

export interface BlockInit {
  readonly inProj: Initializer;
  readonly outProj: Initializer;
  readonly fc: Initializer;
  readonly proj: Initializer;
}

/** Collects what a model consists of, in open_clip's order. */
export class SpecList {
  readonly parameters: ParameterSpec[] = [];
  /** Names of the counters of batches that open_clip keeps beside running statistics. */
  readonly counters: string[] = [];

  add(name: string, shape: readonly number[], init: Initializer): void {
    this.parameters.push({ name, shape, init, decay: shape.length >= 2 && !/bn|ln|bias|logit_scale/.test(name) });
  }

  norm(name: string, width: number, gain = 1): void {
    this.add(`${name}.weight`, [width], constant(gain));
    this.add(`${name}.bias`, [width], constant(0));
  }

  /** With PyTorch's own biases. */
  linear(name: string, width: number, inputs: number, weight: Initializer, bias: Initializer = fanIn(inputs)): void {
    this.add(`${name}.weight`, [width, inputs], weight);
    this.add(`${name}.bias`, [width], bias);
  }

  batchNorm(name: string, width: number, gain = 1): void {
    this.norm(name, width, gain);
    this.running(`${name}.running_mean`, width, 0);
    this.running(`${name}.running_var`, width, 1);
    this.counters.push(`${name}.num_batches_tracked`);
  }

  private running(name: string, width: number, value: number): void {
    this.parameters.push({ name, shape: [width], init: constant(value), decay: false, frozen: true, running: true });
  }

  /** A residual attention block of a transformer. */
  block(prefix: string, width: number, hidden: number, init: BlockInit): void {
    this.norm(`${prefix}.ln_1`, width);
    this.add(`${prefix}.attn.in_proj_weight`, [3 * width, width], init.inProj);
    this.add(`${prefix}.attn.in_proj_bias`, [3 * width], constant(0));
    this.linear(`${prefix}.attn.out_proj`, width, width, init.outProj, constant(0));
    this.norm(`${prefix}.ln_2`, width);
    this.linear(`${prefix}.mlp.c_fc`, hidden, width, init.fc);
    this.linear(`${prefix}.mlp.c_proj`, width, hidden, init.proj);
  }
}
