import type { ConstantValue, Graph, InputValue, Node, Operation, Value, ValueType } from '../graph/graph.js';
import {
  lowerAveragePool,
  lowerAveragePoolGradient,
  lowerConvolution,
  lowerToConv,
  type OnnxWriter,
} from './lower-convolution.js';
import { type LoweredProgram, type LoweringOptions, OpenBatchError } from './lowered-program.js';
import {
  type AttributeValue,
  ELEMENT_TYPE,
  encodeModel,
  HALF_TYPE,
  type OnnxNode,
  type OnnxTensor,
  type OnnxValue,
} from './messages.js';
import { OPERATORS } from './operators.js';

const MICROSOFT = 'com.microsoft';

/** Lowers a graph to an ONNX model. */
export function lowerToOnnx(graph: Graph, options: LoweringOptions = {}): LoweredProgram {
  const lowering = new Lowering(graph, options);
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
  private readonly used: ReadonlySet<Value>;
  private counter = 0;
  private readonly writer: OnnxWriter = {
    emit: (...node) => this.emit(...node),
    fresh: () => this.fresh(),
    int64: (values) => this.int64(values),
    extents: (shape) => this.reshaped(shape),
    int32: (key, make) =>
      this.once(`int32:${key}`, (name) => {
        const values = make();
        this.initializer(name, [values.length], ELEMENT_TYPE.int32, values);
      }),
    scalar: (value, dtype) => this.scalar(value, dtype),
  };

  constructor(
    private readonly graph: Graph,
    private readonly options: LoweringOptions,
  ) {
    this.used = new Set([...graph.nodes.flatMap(({ inputs }) => inputs), ...graph.outputs.values()]);
  }

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
    const outputs = [...this.graph.outputs].map(([name, value]) => this.port(name, value.shape, value.dtype));
    const model = encodeModel({
      nodes: this.nodes,
      initializers: this.initializers,
      inputs: [...this.usedInputs.values()],
      outputs,
      domains: this.standard ? [] : [MICROSOFT],
      ...(this.options.metadata === undefined ? {} : { metadata: this.options.metadata }),
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
      case 'round': {
        const narrow = `${outputs[0]}:${operation.to}`;
        this.emit('Cast', inputs, [narrow], { to: { int: HALF_TYPE[operation.to] } });
        return this.emit('Cast', [narrow], outputs, { to: { int: ELEMENT_TYPE.float32 } });
      }
      case 'reshape':
        return this.emit('Reshape', [...inputs, this.reshaped(shape)], outputs);
      case 'transpose':
        return this.emit('Transpose', inputs, outputs, { perm: { ints: operation.perm } });
      case 'concat':
        return this.emit('Concat', inputs, outputs, { axis: { int: operation.axis } });
      case 'split':
        return this.emit('Split', [...inputs, this.int64(operation.sizes)], outputs, { axis: { int: operation.axis } });
      case 'slice': {
        const { begin, size } = operation;
        const axes = begin.map((_, i) => i).filter((i) => size[i] !== node.inputs[0]!.shape[i]);
        const at = (values: readonly number[]): string => this.int64(axes.map((i) => values[i]!));
        const ends = begin.map((from, i) => from + size[i]!);
        return this.emit('Slice', [...inputs, at(begin), at(ends), this.int64(axes)], outputs);
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
      case 'convolution':
        if (this.standard) return lowerToConv(this.writer, operation, inputs, outputs[0]!);
        return lowerConvolution(this.writer, operation, node, inputs, outputs[0]!);
      case 'convolutionInputGradient':
      case 'convolutionFilterGradient':
        return lowerConvolution(this.writer, operation, node, inputs, outputs[0]!);
      case 'averagePool':
        return lowerAveragePool(this.writer, operation.size, node, inputs[0]!, outputs[0]!);
      case 'averagePoolGradient':
        return lowerAveragePoolGradient(this.writer, operation.size, node, inputs[0]!, outputs[0]!);
      case 'matmul':
        if (this.standard) return this.standardMatmul(node, operation, inputs, outputs);
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
        // Few runtimes but ORT give the statistics.
        const onlyNormalised = this.standard && node.outputs.slice(1).every((value) => !this.used.has(value));
        const results = onlyNormalised ? outputs.slice(0, 1) : outputs;
        return this.emit('LayerNormalization', [...inputs, this.ones(width)], results, {
          axis: { int: -1 },
          epsilon: { float: operation.epsilon },
        });
      }
      case 'gather':
        return this.emit('Gather', inputs, outputs, { axis: { int: operation.axis } });
      case 'segmentSum':
        return this.segmentSum(node, inputs, outputs);
      default:
        return this.emit(OPERATORS[operation.op], inputs, outputs);
    }
  }

  private get standard(): boolean {
    return this.options.operators === 'standard';
  }

  /** Of matrices a Gemm, which transposes and scales; of batches MatMul between what does the same. */
  private standardMatmul(
    node: Node,
    { transposeA, transposeB, alpha }: Operation & { op: 'matmul' },
    inputs: readonly string[],
    outputs: readonly string[],
  ): void {
    const ranks = node.inputs.map(({ shape }) => shape.length);
    if (ranks.every((rank) => rank === 2)) {
      return this.emit('Gemm', inputs, outputs, {
        transA: flag(transposeA),
        transB: flag(transposeB),
        alpha: { float: alpha },
      });
    }
    const [a, b] = inputs.map((name, i) => {
      if (!(i === 0 ? transposeA : transposeB)) return name;
      const rank = ranks[i]!;
      const perm = Array.from({ length: rank }, (_, axis) => axis);
      perm.splice(rank - 2, 2, rank - 1, rank - 2);
      const transposed = this.fresh();
      this.emit('Transpose', [name], [transposed], { perm: { ints: perm } });
      return transposed;
    }) as [string, string];
    if (alpha === 1) return this.emit('MatMul', [a, b], outputs);
    const product = this.fresh();
    this.emit('MatMul', [a, b], [product]);
    this.emit('Mul', [product, this.scalar(alpha, 'float32')], outputs);
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
    let name = this.names.get(value);
    if (name === undefined) {
      name = value.kind === 'input' ? this.input(value) : this.fresh();
      this.names.set(value, name);
      if (value.kind === 'constant') this.constant(name, value);
    }
    return name;
  }

  /** The name under which nodes read an input. */
  private input({ name, shape, dtype }: InputValue): string {
    const weights = this.options.weights?.[name];
    if (weights !== undefined) {
      this.initializer(name, shape, ELEMENT_TYPE[dtype], weights);
      return name;
    }
    const port = this.port(name, shape, dtype);
    if (dtype !== 'int32' || this.options.wideIntegers !== true) {
      this.usedInputs.set(name, port);
      return name;
    }
    this.usedInputs.set(name, { ...port, elementType: ELEMENT_TYPE.int64 });
    const narrow = this.fresh();
    this.emit('Cast', [name], [narrow], { to: { int: ELEMENT_TYPE.int32 } });
    return narrow;
  }

  private constant(name: string, { shape, dtype, data }: ConstantValue): void {
    if (!shape.some((extent) => this.isOpen(extent))) return this.initializer(name, shape, ELEMENT_TYPE[dtype], data);
    const [value] = data;
    if (!data.every((other) => other === value)) throw new OpenBatchError(`a constant [${shape}] grows with it`);
    this.emit('Expand', [this.scalar(value!, dtype), this.int64(shape)], [name]);
  }

  private isOpen(extent: number): boolean {
    const { openBatch } = this.options;
    return openBatch !== undefined && extent !== 0 && extent % openBatch === 0;
  }

  /** An input or output of the model. */
  private port(name: string, shape: readonly number[], dtype: ValueType): OnnxValue {
    return {
      name,
      shape: shape.map((extent) => {
        if (!this.isOpen(extent)) return extent;
        const times = extent / this.options.openBatch!;
        return times === 1 ? 'batch' : `${times}*batch`;
      }),
      elementType: ELEMENT_TYPE[dtype],
    };
  }

  /** A name that neither an input nor an output has. */
  private fresh(): string {
    const name = `v${this.counter++}`;
    return this.graph.inputs.has(name) || this.graph.outputs.has(name) ? this.fresh() : name;
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
    if (values.some((value) => this.isOpen(value))) return this.openInt64(values);
    return this.once(`int64:${values}`, (name) =>
      this.initializer(name, [values.length], ELEMENT_TYPE.int64, BigInt64Array.from(values, BigInt)),
    );
  }

  /** The shape to reshape to: one open extent follows from the others. */
  private reshaped(shape: readonly number[]): string {
    const open = shape.filter((extent) => this.isOpen(extent)).length;
    return this.int64(open === 1 ? shape.map((extent) => (this.isOpen(extent) ? -1 : extent)) : shape);
  }

  /** A list with multiples of the batch in it, put together when the model runs. */
  private openInt64(values: readonly number[]): string {
    return this.once(`int64:${values}`, (name) => {
      const parts = values.map((value) => {
        if (!this.isOpen(value)) return this.int64([value]);
        const times = value / this.options.openBatch!;
        if (times === 1) return this.batch();
        return this.once(`batch:${times}`, (product) =>
          this.emit('Mul', [this.batch(), this.int64([times])], [product]),
        );
      });
      this.emit('Concat', parts, [name], { axis: { int: 0 } });
    });
  }

  /** The batch, as a list of one. */
  private batch(): string {
    return this.once('batch', (name) => {
      for (const value of this.graph.inputs.values()) {
        if (value.shape[0] !== this.options.openBatch) continue;
        this.nameOf(value);
        return this.emit('Shape', [value.name], [name], { start: { int: 0 }, end: { int: 1 } });
      }
      throw new OpenBatchError('no input has the batch as its first extent');
    });
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
