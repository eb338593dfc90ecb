import type { Cancellable, Group } from '@clipyard/contracts';
import type { Engine } from '@clipyard/engine';
import { LOGIT_SCALE } from './tower-programs.js';
import type { TrainState } from './train-state.js';

/** The moving average of all weights as it was when gathered last, to evaluate and to save. */
export class AveragedWeights {
  readonly specs: TrainState['specs'];
  /** By name, without the logit scale. */
  readonly towerViews: TrainState['towerViews'];
  private readonly parameters: Float32Array;

  constructor(
    engine: Engine,
    private readonly state: TrainState,
  ) {
    this.specs = state.specs;
    this.parameters = engine.allocate('float32', state.parameters.length);
    this.towerViews = Object.fromEntries(Object.keys(state.towerViews).map((name) => [name, this.view(name)]));
  }

  get logitScale(): number {
    return this.view(LOGIT_SCALE)[0]!;
  }

  /** The values of a parameter, not a copy; one that is not trained is its own average. */
  view(name: string): Float32Array {
    const { layout } = this.state;
    return layout.has(name) ? layout.view(this.parameters, name) : this.state.view(name);
  }

  /** On all ranks together. */
  async gather(group: Group, options: Cancellable): Promise<void> {
    await group.allGather(this.state.sliceAverage!, this.parameters, options);
  }
}
