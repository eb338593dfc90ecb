import type { Group } from '@clipyard/contracts';
import type { Engine } from '@clipyard/engine';

/** Named values of this rank's rows, brought to all ranks together. Legend: W ranks, b local rows, B global rows. */
export class RowExchange<Name extends string> {
  private readonly own_nb: Float32Array;
  private readonly gathered_Wnb: Float32Array;
  private readonly all: ReadonlyMap<Name, Float32Array>;

  constructor(
    engine: Engine,
    readonly names: readonly Name[],
    private readonly b: number,
    private readonly B: number,
  ) {
    this.own_nb = engine.allocate('float32', names.length * b);
    this.gathered_Wnb = new Float32Array(names.length * B);
    this.all = new Map(names.map((name) => [name, engine.allocate('float32', B)]));
  }

  own(name: Name): Float32Array {
    const first = this.names.indexOf(name) * this.b;
    return this.own_nb.subarray(first, first + this.b);
  }

  /** Of all ranks, after `gather`. */
  ofAll(name: Name): Float32Array {
    return this.all.get(name)!;
  }

  async gather(group: Group, signal: AbortSignal | undefined): Promise<void> {
    const { names, b, B } = this;
    await group.allGather(this.own_nb, this.gathered_Wnb, { signal });
    names.forEach((name, i) => {
      for (let begin = 0; begin < B; begin += b) {
        const first = begin * names.length + i * b;
        this.ofAll(name).set(this.gathered_Wnb.subarray(first, first + b), begin);
      }
    });
  }
}
