/** Which samples of the global batch are the same by their keys. Legend: B global rows. */
export class Duplicates {
  /** A number for each set of equal samples, the same where keys are; exact in float32, since B is at most 2^20. */
  readonly group_B: Float32Array;
  private readonly members: number[][] = [];

  /** `keys_B2`: two numbers a sample. `memory`: [B], where the group numbers are to stand. */
  constructor(keys_B2: Int32Array, memory: Float32Array) {
    this.group_B = memory;
    const keys = new BigInt64Array(keys_B2.slice().buffer);
    const groups = new Map<bigint, number>();
    keys.forEach((key, sample) => {
      let group = groups.get(key);
      if (group === undefined) {
        group = groups.size;
        groups.set(key, group);
        this.members.push([]);
      }
      this.members[group]!.push(sample);
      memory[sample] = group;
    });
  }

  /** How many samples `sample` is not contrasted with. */
  countOthers(sample: number): number {
    return this.members[this.group_B[sample]!]!.length - 1;
  }

  /** The samples that `sample` is not contrasted with. */
  others(sample: number): number[] {
    return this.members[this.group_B[sample]!]!.filter((member) => member !== sample);
  }
}
