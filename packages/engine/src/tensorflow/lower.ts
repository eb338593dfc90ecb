import type { TypedArray } from '../engine.js';
import type { BinaryOperation, ConstantValue, Graph, Node, UnaryOperation, Value, ValueType } from '../graph/graph.js';
import { sizeOf } from '../graph/graph.js';
import { convolutionAttributes, flag, halfType, int, poolAttributes, type } from './attributes.js';
import type { Attribute } from './binding.js';

/** A place that holds one tensor during a run. */
type Slot = number;

export interface Step {
  readonly op: string;
  readonly attributes: readonly Attribute[];
  readonly inputs: readonly Slot[];
  readonly outputs: readonly Slot[];
  /** Slots whose last use this is. */
  readonly free: Slot[];
  /** The line of the model that it comes from. */
  readonly source?: string | undefined;
}

export interface SlotOf {
  readonly slot: Slot;
  readonly shape: readonly number[];
  readonly dtype: ValueType;
}

/** A graph as TensorFlow operations in their order: plain data, which can be sent to another thread. */
export interface TensorFlowProgram {
  readonly slots: number;
  readonly constants: readonly (SlotOf & { readonly data: TypedArray | Uint8Array })[];
  /** The inputs that are read, by name. */
  readonly inputs: ReadonlyMap<string, SlotOf>;
  readonly outputs: ReadonlyMap<string, SlotOf>;
  readonly steps: readonly Step[];
}

const UNARY: Readonly<Record<UnaryOperation, string>> = {
  exp: 'Exp',
  log: 'Log',
  sqrt: 'Sqrt',
  neg: 'Neg',
  sigmoid: 'Sigmoid',
  erf: 'Erf',
  tanh: 'Tanh',
  abs: 'Abs',
  relu: 'Relu',
  reciprocal: 'Reciprocal',
  floor: 'Floor',
  sign: 'Sign',
  not: 'LogicalNot',
};

const BINARY: Readonly<Record<BinaryOperation, string>> = {
  add: 'AddV2',
  sub: 'Sub',
  mul: 'Mul',
  div: 'RealDiv',
  pow: 'Pow',
  max: 'Maximum',
  min: 'Minimum',
  greater: 'Greater',
  greaterEqual: 'GreaterEqual',
  less: 'Less',
  lessEqual: 'LessEqual',
  equal: 'Equal',
  and: 'LogicalAnd',
  or: 'LogicalOr',
};

const REDUCTION = { reduceSum: 'Sum', reduceMean: 'Mean', reduceMax: 'Max', reduceMin: 'Min' } as const;

/** Fills up to this many elements are constants, made once. */
const MAX_CONSTANT_FILL = 1024;

/** Lowers a graph to TensorFlow's operations. */
export function lowerToTensorFlow(graph: Graph): TensorFlowProgram {
  return new Lowering(graph).run();
}

const isUnary = (op: UnaryOperation | BinaryOperation): op is UnaryOperation => op in UNARY;
class Lowering {
  private readonly steps: Step[] = [];
  private readonly constants: (SlotOf & { data: TypedArray | Uint8Array })[] = [];
  private readonly inputs = new Map<string, SlotOf>();
  private readonly slotsOf = new Map<Value, Slot>();
  private readonly shared = new Map<string, Slot>();
  private source: string | undefined;
  private slots = 0;

  constructor(private readonly graph: Graph) {}

  run(): TensorFlowProgram {
    for (const node of this.graph.nodes) this.lower(node);
    const outputs = new Map(
      [...this.graph.outputs].map(([name, value]) => [
        name,
        { slot: this.slotOf(value), shape: value.shape, dtype: value.dtype },
      ]),
    );
    this.planFreeing(new Set([...outputs.values()].map(({ slot }) => slot)));
    return { slots: this.slots, constants: this.constants, inputs: this.inputs, outputs, steps: this.steps };
  }

  /** Lets every intermediate tensor go after its last use. */
  private planFreeing(outputs: ReadonlySet<Slot>): void {
    const seen = new Set<Slot>(outputs);
    const made = new Set(this.steps.flatMap(({ outputs }) => outputs));
    for (const { inputs, outputs, free } of [...this.steps].reverse()) {
      for (const slot of [...inputs, ...outputs]) {
        if (seen.has(slot) || !made.has(slot)) continue;
        seen.add(slot);
        free.push(slot);
      }
    }
  }

  private lower(node: Node): void {
    const { operation } = node;
    this.source = node.source;
    const result = node.outputs[0]!;
    const { shape, dtype } = result;
    const constant = operation.op === 'fill' && sizeOf(shape) <= MAX_CONSTANT_FILL;
    if (constant) {
      this.slotsOf.set(result, this.filled(shape, operation.value, dtype));
      return;
    }
    const inputs = node.inputs.map((value) => this.slotOf(value));
    const outputs = node.outputs.map((value) => this.slotOf(value));
    const given = node.inputs[0]?.dtype ?? dtype;
    const T = type('T', given);
    switch (operation.op) {
      case 'select':
        return this.emit('SelectV2', [type('T', dtype)], inputs, outputs);
      case 'cast':
        return this.emit(
          'Cast',
          [type('SrcT', given), type('DstT', operation.to), flag('Truncate', false)],
          inputs,
          outputs,
        );
      case 'round': {
        const narrow = this.fresh();
        const [source, half] = [type('SrcT', given), halfType('DstT', operation.to)];
        this.emit('Cast', [source, half, flag('Truncate', false)], inputs, [narrow]);
        const [back, wide] = [halfType('SrcT', operation.to), type('DstT', given)];
        return this.emit('Cast', [back, wide, flag('Truncate', false)], [narrow], outputs);
      }
      case 'reshape':
        return this.emit('Reshape', [T, type('Tshape', 'int32')], [...inputs, this.ints(shape)], outputs);
      case 'transpose':
        return this.emit('Transpose', [T, type('Tperm', 'int32')], [...inputs, this.ints(operation.perm)], outputs);
      case 'concat':
        return this.emit(
          'ConcatV2',
          [int('N', inputs.length), T, type('Tidx', 'int32')],
          [...inputs, this.filled([], operation.axis, 'int32')],
          outputs,
        );
      case 'split':
        return this.emit(
          'SplitV',
          [int('num_split', outputs.length), T, type('Tlen', 'int32')],
          [...inputs, this.ints(operation.sizes), this.filled([], operation.axis, 'int32')],
          outputs,
        );
      case 'slice':
        return this.emit(
          'Slice',
          [T, type('Index', 'int32')],
          [...inputs, this.ints(operation.begin), this.ints(operation.size)],
          outputs,
        );
      case 'pad': {
        const paddings = operation.before.flatMap((before, i) => [before, operation.after[i]!]);
        return this.emit(
          'PadV2',
          [T, type('Tpaddings', 'int32')],
          [...inputs, this.ints(paddings, [operation.before.length, 2]), this.filled([], operation.value, given)],
          outputs,
        );
      }
      case 'tile':
        return this.emit('Tile', [T, type('Tmultiples', 'int32')], [...inputs, this.ints(operation.reps)], outputs);
      case 'fill':
        return this.emit(
          'Fill',
          [type('T', dtype), type('index_type', 'int32')],
          [this.ints(shape), this.filled([], operation.value, dtype)],
          outputs,
        );
      case 'reduceSum':
      case 'reduceMean':
      case 'reduceMax':
      case 'reduceMin':
        return this.reduce(REDUCTION[operation.op], inputs[0]!, operation.axes, operation.keepDims, given, outputs[0]);
      case 'softmax':
        return this.emit('Softmax', [T], inputs, outputs);
      case 'convolution':
        return this.emit('Conv2D', convolutionAttributes(operation), inputs, outputs);
      case 'convolutionInputGradient':
        return this.emit(
          'Conv2DBackpropInput',
          convolutionAttributes(operation),
          [this.ints(shape), inputs[1]!, inputs[0]!],
          outputs,
        );
      case 'convolutionFilterGradient':
        return this.emit(
          'Conv2DBackpropFilter',
          convolutionAttributes(operation),
          [inputs[0]!, this.ints(shape), inputs[1]!],
          outputs,
        );
      case 'averagePool':
        return this.emit('AvgPool', poolAttributes(operation.size), inputs, outputs);
      case 'averagePoolGradient':
        return this.emit('AvgPoolGrad', poolAttributes(operation.size), [this.ints(shape), ...inputs], outputs);
      case 'matmul': {
        const { transposeA, transposeB, alpha } = operation;
        const isFlat = node.inputs.every((value) => value.shape.length === 2);
        const product = alpha === 1 ? outputs : [this.fresh()];
        this.matmul(isFlat, transposeA, transposeB, inputs, product);
        if (alpha !== 1) this.scale(product[0]!, alpha, outputs[0]!);
        return;
      }
      case 'gemm': {
        const { transposeA, transposeB, alpha } = operation;
        const [a, b, c] = inputs;
        let product = this.fresh();
        this.matmul(true, transposeA, transposeB, [a!, b!], [product]);
        if (alpha !== 1) product = this.scale(product, alpha, this.fresh());
        return this.emit('AddV2', [T], [product, c!], outputs);
      }
      case 'layerNorm':
        return this.layerNorm(inputs[0]!, node.inputs[0]!.shape.length - 1, operation.epsilon, outputs);
      case 'gather':
        return this.emit(
          'GatherV2',
          [type('Tparams', given), type('Tindices', 'int32'), type('Taxis', 'int32'), int('batch_dims', 0)],
          [...inputs, this.filled([], operation.axis, 'int32')],
          outputs,
        );
      case 'segmentSum':
        return this.emit(
          'UnsortedSegmentSum',
          [T, type('Tindices', 'int32'), type('Tnumsegments', 'int32')],
          [...inputs, this.filled([], operation.segments, 'int32')],
          outputs,
        );
      default: {
        const { op } = operation;
        const isLogical = op === 'not' || op === 'and' || op === 'or';
        return this.emit(isUnary(op) ? UNARY[op] : BINARY[op], isLogical ? [] : [T], inputs, outputs);
      }
    }
  }

  private matmul(isFlat: boolean, a: boolean, b: boolean, inputs: Slot[], outputs: Slot[]): void {
    const T = type('T', 'float32');
    if (isFlat) this.emit('MatMul', [T, flag('transpose_a', a), flag('transpose_b', b)], inputs, outputs);
    else this.emit('BatchMatMulV2', [T, flag('adj_x', a), flag('adj_y', b)], inputs, outputs);
  }

  private scale(from: Slot, by: number, to: Slot): Slot {
    this.emit('Mul', [type('T', 'float32')], [from, this.filled([], by, 'float32')], [to]);
    return to;
  }

  private reduce(
    op: string,
    from: Slot,
    axes: readonly number[],
    keepDims: boolean,
    dtype: ValueType,
    to: Slot = this.fresh(),
  ): void {
    this.emit(
      op,
      [type('T', dtype), type('Tidx', 'int32'), flag('keep_dims', keepDims)],
      [from, this.ints(axes)],
      [to],
    );
  }

  /** The variance from the squared distances to the mean, since E[x²] - E[x]² cancels. */
  private layerNorm(x: Slot, axis: number, epsilon: number, [normalised, mean, scale]: Slot[]): void {
    const T = type('T', 'float32');
    const [centred, squared, variance, moved] = [this.fresh(), this.fresh(), this.fresh(), this.fresh()];
    this.reduce('Mean', x, [axis], true, 'float32', mean);
    this.emit('Sub', [T], [x, mean!], [centred]);
    this.emit('Square', [T], [centred], [squared]);
    this.reduce('Mean', squared, [axis], true, 'float32', variance);
    this.emit('AddV2', [T], [variance, this.filled([], epsilon, 'float32')], [moved]);
    this.emit('Rsqrt', [T], [moved], [scale!]);
    this.emit('Mul', [T], [centred, scale!], [normalised!]);
  }

  private emit(op: string, attributes: Attribute[], inputs: readonly Slot[], outputs: readonly Slot[]): void {
    this.steps.push({ op, attributes, inputs, outputs, free: [], source: this.source });
  }

  private slotOf(value: Value): Slot {
    let slot = this.slotsOf.get(value);
    if (slot !== undefined) return slot;
    slot = value.kind === 'constant' ? this.constant(value) : this.fresh();
    this.slotsOf.set(value, slot);
    if (value.kind === 'input') this.inputs.set(value.name, { slot, shape: value.shape, dtype: value.dtype });
    return slot;
  }

  private fresh(): Slot {
    return this.slots++;
  }

  private constant({ shape, dtype, data }: Omit<ConstantValue, 'kind'>): Slot {
    const slot = this.fresh();
    this.constants.push({ slot, shape, dtype, data });
    return slot;
  }

  private once(key: string, make: () => Slot): Slot {
    const slot = this.shared.get(key) ?? make();
    this.shared.set(key, slot);
    return slot;
  }

  private ints(values: readonly number[], shape: readonly number[] = [values.length]): Slot {
    return this.once(`int32[${shape}]:${values}`, () =>
      this.constant({ shape, dtype: 'int32', data: Int32Array.from(values) }),
    );
  }

  private filled(shape: readonly number[], value: number, dtype: ValueType): Slot {
    const length = sizeOf(shape);
    return this.once(`${dtype}[${shape}]=${Object.is(value, -0) ? '-0' : value}`, () => {
      const data =
        dtype === 'float32'
          ? new Float32Array(length)
          : dtype === 'int32'
            ? new Int32Array(length)
            : new Uint8Array(length);
      return this.constant({ shape, dtype, data: data.fill(value) });
    });
  }
}
