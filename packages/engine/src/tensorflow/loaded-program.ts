import assert from 'node:assert';
import type { Buffers, TypedArray } from '../engine.js';
import { type Binding, DATA_TYPE } from './binding.js';
import type { TensorFlowProgram } from './lower.js';
import type { TapeUse } from './protocol.js';
import { Tape } from './tape.js';

const STOPPED = 'it was stopped';

/** A program, or a stage of one, on TensorFlow's device: its constants, and the tapes of all stages with the first. Runs block the thread. */
export class LoadedProgram {
  private readonly constants: (number | undefined)[];
  private readonly keep: ReadonlySet<string>;
  private readonly tapes = new Map<number, Tape>();

  constructor(
    private readonly binding: Binding,
    private readonly program: TensorFlowProgram,
    private readonly tapeUse: TapeUse,
    private readonly first: LoadedProgram | undefined,
    private readonly stop: Int32Array,
  ) {
    this.keep = new Set(tapeUse.keep);
    this.constants = new Array(program.slots);
    for (const { slot, shape, dtype, data } of program.constants) {
      this.constants[slot] = binding.createTensor(shape, DATA_TYPE[dtype], data);
    }
  }

  /** Writes to `wanted`, and returns a new array for every other output that is not kept on the tape. */
  run(given: Buffers, wanted: Buffers, tapeNumber: number): Record<string, TypedArray> {
    const { binding, program, first = this } = this;
    const tape = first.tape(tapeNumber);
    if (first === this) tape.clear();
    const tensors = [...this.constants];
    const own = new Set<number>();
    try {
      for (const [name, { slot, shape, dtype }] of program.inputs) {
        const values = given[name];
        if (values === undefined) {
          const kept = tape.get(name);
          assert(kept !== undefined, `no value for ${name}`);
          tensors[slot] = kept;
        } else {
          const id = binding.createTensor(shape, DATA_TYPE[dtype], values);
          own.add(id);
          tensors[slot] = id;
        }
      }
      this.execute(tensors, own);
      const results = this.collect(tensors, own, wanted, tape);
      tape.forget(this.tapeUse.forget);
      return results;
    } finally {
      for (const id of own) binding.deleteTensor(id);
    }
  }

  dispose(): void {
    for (const id of this.constants) if (id !== undefined) this.binding.deleteTensor(id);
    for (const tape of this.tapes.values()) tape.clear();
  }

  private execute(tensors: (number | undefined)[], own: Set<number>): void {
    const { binding, stop } = this;
    for (const { op, attributes, inputs, outputs, free, source } of this.program.steps) {
      if (Atomics.load(stop, 0) !== 0) throw new Error(STOPPED);
      const ids = inputs.map((slot) => tensors[slot]!);
      let made: { id: number }[];
      try {
        made = binding.executeOp(op, attributes, ids, outputs.length);
      } catch (error) {
        const where = source === undefined ? op : `${op}, made at ${source}`;
        const message = (error as Error).message.replace(/^Invalid TF_Status: \d+\s*Message: /, '');
        throw new Error(`${message} (${where})`, { cause: error });
      }
      for (let i = 0; i < outputs.length; i++) {
        const { id } = made[i]!;
        tensors[outputs[i]!] = id;
        own.add(id);
      }
      for (const slot of free) {
        const id = tensors[slot]!;
        own.delete(id);
        binding.deleteTensor(id);
      }
    }
  }

  private collect(
    tensors: (number | undefined)[],
    own: Set<number>,
    wanted: Buffers,
    tape: Tape,
  ): Record<string, TypedArray> {
    const results: Record<string, TypedArray> = {};
    for (const [name, { slot }] of this.program.outputs) {
      const id = tensors[slot]!;
      if (this.keep.has(name)) {
        tape.set(name, { id, own: own.delete(id) });
        continue;
      }
      const values = this.binding.tensorDataSync(id) as TypedArray;
      const target = wanted[name];
      if (target === undefined) results[name] = values;
      else target.set(values);
    }
    return results;
  }

  private tape(number: number): Tape {
    const tape = this.tapes.get(number) ?? new Tape(this.binding);
    this.tapes.set(number, tape);
    return tape;
  }
}
