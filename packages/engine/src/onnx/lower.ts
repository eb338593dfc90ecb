import type { BinaryOperation, Graph, Node, UnaryOperation, Value, ValueType } from '../graph/graph.js';
import {
  type AttributeValue,
  ELEMENT_TYPE,
  encodeModel,
  type OnnxNode,
  type OnnxTensor,
  type OnnxValue,
} from './messages.js';

export interface LoweredProgram {
  /** Bytes of an .onnx file. */
  readonly model: Uint8Array;
  /** The inputs that the graph reads; ONNX Runtime refuses others. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly nodeCount: number;
  /** Lines of the model by the names of the ONNX nodes they led to; not in `model`, so that equal programs are equal bytes. */
  readonly sources: ReadonlyMap<string, string>;
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
  not: 'Not',
};

const BINARY: Readonly<Record<BinaryOperation, string>> = {
  add: 'Add',
  sub: 'Sub',
  mul: 'Mul',
  div: 'Div',
  pow: 'Pow',
  max: 'Max',
  min: 'Min',
  greater: 'Greater',
  greaterEqual: 'GreaterOrEqual',
  less: 'Less',
  lessEqual: 'LessOrEqual',
  equal: 'Equal',
  and: 'And',
  or: 'Or',
};

const MICROSOFT = 'com.microsoft';

/** Lowers a graph to an ONNX model, with ORT's fused operators where there is one. */
export function lowerToOnnx(graph: Graph): LoweredProgram {
  const lowering = new Lowering(graph);
  return lowering.run();
}

class Lowering {
  private readonly nodes: OnnxNode[] = [];
  private readonly initializers: OnnxTensor[] = [];
  private readonly names = new Map<Value, string>();
  private readonly shared = new Map<string, string>();
  private readonly usedInputs = new Map<string, OnnxValue>();
  private readonly sources = new Map<string, string>();
  private source: string | undefined;
  private counter = 0;

  constructor(private readonly graph: Graph) {}

  run(): LoweredProgram {
    // A result that is an output takes that name at once: a copying Identity is left to results with two names.
    const copies: [Value, string][] = [];
    for (const [name, value] of this.graph.outputs) {
      if (value.kind === 'result' && !this.names.has(value)) this.names.set(value, name);
      else copies.push([value, name]);
    }
    for (const node of this.graph.nodes) this.lower(node);
    this.source = undefined;
    for (const [value, name] of copies) this.emit('Identity', [this.nameOf(value)], [name]);
    const outputs = [...this.graph.outputs].map(([name, value]) => onnxValue(name, value.shape, value.dtype));
    const model = encodeModel({
      nodes: this.nodes,
      initializers: this.initializers,
      inputs: [...this.usedInputs.values()],
      outputs,
    });
    return {
      model,
      inputs: [...this.usedInputs.keys()],
      outputs: [...this.graph.outputs.keys()],
      nodeCount: this.nodes.length,
      sources: this.sources,
    };
  }

  private lower(node: Node): void {
    const { operation } = node;
    this.source = node.source;
    const inputs = node.inputs.map((value) => this.nameOf(value));
    const outputs = node.outputs.map((value) => this.nameOf(value));
    const shape = node.outputs[0]!.shape;
    switch (operation.op) {
      case 'select':
        return this.emit('Where', inputs, outputs);
      case 'cast':
        return this.emit('Cast', inputs, outputs, { to: { int: ELEMENT_TYPE[operation.to] } });
      case 'reshape':
        return this.emit('Reshape', [...inputs, this.int64(shape)], outputs);
      case 'transpose':
        return this.emit('Transpose', inputs, outputs, { perm: { ints: operation.perm } });
      case 'concat':
        return this.emit('Concat', inputs, outputs, { axis: { int: operation.axis } });
      case 'split':
        return this.emit('Split', [...inputs, this.int64(operation.sizes)], outputs, { axis: { int: operation.axis } });
      case 'slice': {
        const ends = operation.begin.map((from, i) => from + operation.size[i]!);
        const axes = operation.begin.map((_, i) => i);
        return this.emit(
          'Slice',
          [...inputs, this.int64(operation.begin), this.int64(ends), this.int64(axes)],
          outputs,
        );
      }
      case 'pad':
        return this.emit(
          'Pad',
          [
            ...inputs,
            this.int64([...operation.before, ...operation.after]),
            this.scalar(operation.value, node.outputs[0]!.dtype),
          ],
          outputs,
        );
      case 'tile':
        return this.emit('Tile', [...inputs, this.int64(operation.reps)], outputs);
      case 'fill':
        return this.emit('Expand', [this.scalar(operation.value, node.outputs[0]!.dtype), this.int64(shape)], outputs);
      case 'reduceSum':
        return this.emit('ReduceSum', [...inputs, this.int64(operation.axes)], outputs, {
          keepdims: { int: Number(operation.keepDims) },
        });
      case 'reduceMean':
      case 'reduceMax':
      case 'reduceMin':
        return this.emit(`Reduce${operation.op.slice('reduce'.length)}`, inputs, outputs, {
          axes: { ints: operation.axes },
          keepdims: { int: Number(operation.keepDims) },
        });
      case 'softmax':
        return this.emit('Softmax', inputs, outputs, { axis: { int: -1 } });
      case 'matmul':
        return this.emit(
          'FusedMatMul',
          inputs,
          outputs,
          { transA: flag(operation.transposeA), transB: flag(operation.transposeB), alpha: { float: operation.alpha } },
          MICROSOFT,
        );
      case 'gemm':
        return this.emit('Gemm', inputs, outputs, {
          transA: flag(operation.transposeA),
          transB: flag(operation.transposeB),
          alpha: { float: operation.alpha },
        });
      case 'layerNorm': {
        const width = node.inputs[0]!.shape.at(-1)!;
        return this.emit('LayerNormalization', [...inputs, this.ones(width)], outputs, {
          axis: { int: -1 },
          epsilon: { float: operation.epsilon },
        });
      }
      case 'gather':
        return this.emit('Gather', inputs, outputs, { axis: { int: operation.axis } });
      case 'segmentSum':
        return this.segmentSum(node, inputs, outputs);
      default:
        return this.emit(isUnary(operation.op) ? UNARY[operation.op] : BINARY[operation.op], inputs, outputs);
    }
  }

  /** ScatterND(add) loses updates with more than one thread where rows repeat (ORT 1.30); ScatterElements does not. */
  private segmentSum(node: Node, [rows, segments]: string[], outputs: string[]): void {
    const [zeros, wide, column, indices] = [this.fresh(), this.fresh(), this.fresh(), this.fresh()];
    const rowShape = node.inputs[0]!.shape;
    this.emit('Expand', [this.scalar(0, 'float32'), this.int64(node.outputs[0]!.shape)], [zeros]);
    this.emit('Cast', [segments!], [wide], { to: { int: ELEMENT_TYPE.int64 } });
    this.emit('Reshape', [wide, this.int64([rowShape[0]!, ...rowShape.slice(1).map(() => 1)])], [column]);
    this.emit('Expand', [column, this.int64(rowShape)], [indices]);
    this.emit('ScatterElements', [zeros, indices, rows!], outputs, { axis: { int: 0 }, reduction: { text: 'add' } });
  }

  private emit(
    opType: string,
    input: readonly string[],
    output: readonly string[],
    attributes?: Record<string, AttributeValue>,
    domain?: string,
  ): void {
    const name = `${opType}_${this.nodes.length}`;
    if (this.source !== undefined) this.sources.set(name, this.source);
    this.nodes.push({ name, opType, input, output, attributes, domain });
  }

  private nameOf(value: Value): string {
    if (value.kind === 'input') {
      if (!this.usedInputs.has(value.name))
        this.usedInputs.set(value.name, onnxValue(value.name, value.shape, value.dtype));
      return value.name;
    }
    let name = this.names.get(value);
    if (name === undefined) {
      name = this.fresh();
      this.names.set(value, name);
      if (value.kind === 'constant') this.initializer(name, value.shape, ELEMENT_TYPE[value.dtype], value.data);
    }
    return name;
  }

  private fresh(): string {
    return `v${this.counter++}`;
  }

  private initializer(name: string, dims: readonly number[], dataType: number, data: ArrayBufferView): void {
    this.initializers.push({
      name,
      dims,
      dataType,
      rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    });
  }

  private once(key: string, make: (name: string) => void): string {
    let name = this.shared.get(key);
    if (name === undefined) {
      name = this.fresh();
      this.shared.set(key, name);
      make(name);
    }
    return name;
  }

  private int64(values: readonly number[]): string {
    return this.once(`int64:${values}`, (name) =>
      this.initializer(name, [values.length], ELEMENT_TYPE.int64, BigInt64Array.from(values, BigInt)),
    );
  }

  private scalar(value: number, dtype: ValueType): string {
    return this.once(`${dtype}:${Object.is(value, -0) ? '-0' : value}`, (name) => {
      const data =
        dtype === 'float32' ? Float32Array.of(value) : dtype === 'int32' ? Int32Array.of(value) : Uint8Array.of(value);
      this.initializer(name, [], ELEMENT_TYPE[dtype], data);
    });
  }

  private ones(length: number): string {
    return this.once(`ones:${length}`, (name) =>
      this.initializer(name, [length], ELEMENT_TYPE.float32, new Float32Array(length).fill(1)),
    );
  }
}

const flag = (on: boolean): AttributeValue => ({ int: Number(on) });
const isUnary = (op: UnaryOperation | BinaryOperation): op is UnaryOperation => op in UNARY;
const onnxValue = (name: string, shape: readonly number[], dtype: ValueType): OnnxValue => ({
  name,
  shape,
  elementType: ELEMENT_TYPE[dtype],
});
