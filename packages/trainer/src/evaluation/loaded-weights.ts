import type { Engine } from '@clipyard/engine';
import type { ParameterSpec } from '@clipyard/model';
import { FlatLayout } from '@clipyard/tensor';
import { LOGIT_SCALE } from '../step/tower-programs.js';
import type { Weights } from './embedder.js';

/** All parameters, and nothing that only training needs. */
export class LoadedWeights implements Weights {
  readonly #layout: FlatLayout;
  readonly #parameters: Float32Array;
  readonly towerViews: Readonly<Record<string, Float32Array>>;

  constructor(
    engine: Engine,
    readonly specs: readonly ParameterSpec[],
  ) {
    this.#layout = new FlatLayout(specs);
    this.#parameters = engine.allocate('float32', this.#layout.paddedTotal(1));
    const { [LOGIT_SCALE]: _scale, ...towers } = this.#layout.views(this.#parameters);
    this.towerViews = towers;
  }

  view(name: string): Float32Array {
    return this.#layout.view(this.#parameters, name);
  }

  get logitScale(): number {
    return this.view(LOGIT_SCALE)[0]!;
  }
}
