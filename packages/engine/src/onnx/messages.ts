import protobuf from 'protobufjs/light.js';

/**
 * The part of ONNX's protobuf schema that we write (onnx/onnx.proto, IR version 8). Field numbers are ONNX's.
 */
const int64s = { rule: 'repeated', type: 'int64' } as const;

const SCHEMA: protobuf.INamespace = {
  nested: {
    AttributeProto: {
      fields: {
        name: { type: 'string', id: 1 },
        f: { type: 'float', id: 2 },
        i: { type: 'int64', id: 3 },
        s: { type: 'bytes', id: 4 },
        ints: { ...int64s, id: 8, options: { packed: false } },
        type: { type: 'int32', id: 20 },
      },
    },
    NodeProto: {
      fields: {
        input: { rule: 'repeated', type: 'string', id: 1 },
        output: { rule: 'repeated', type: 'string', id: 2 },
        name: { type: 'string', id: 3 },
        opType: { type: 'string', id: 4 },
        attribute: { rule: 'repeated', type: 'AttributeProto', id: 5 },
        domain: { type: 'string', id: 7 },
      },
    },
    TensorProto: {
      fields: {
        dims: { ...int64s, id: 1, options: { packed: false } },
        dataType: { type: 'int32', id: 2 },
        name: { type: 'string', id: 8 },
        rawData: { type: 'bytes', id: 9 },
      },
    },
    Dimension: { fields: { dimValue: { type: 'int64', id: 1 }, dimParam: { type: 'string', id: 2 } } },
    TensorShapeProto: { fields: { dim: { rule: 'repeated', type: 'Dimension', id: 1 } } },
    TensorTypeProto: { fields: { elemType: { type: 'int32', id: 1 }, shape: { type: 'TensorShapeProto', id: 2 } } },
    TypeProto: { fields: { tensorType: { type: 'TensorTypeProto', id: 1 } } },
    ValueInfoProto: { fields: { name: { type: 'string', id: 1 }, type: { type: 'TypeProto', id: 2 } } },
    GraphProto: {
      fields: {
        node: { rule: 'repeated', type: 'NodeProto', id: 1 },
        name: { type: 'string', id: 2 },
        initializer: { rule: 'repeated', type: 'TensorProto', id: 5 },
        input: { rule: 'repeated', type: 'ValueInfoProto', id: 11 },
        output: { rule: 'repeated', type: 'ValueInfoProto', id: 12 },
      },
    },
    OperatorSetIdProto: { fields: { domain: { type: 'string', id: 1 }, version: { type: 'int64', id: 2 } } },
    StringStringEntryProto: { fields: { key: { type: 'string', id: 1 }, value: { type: 'string', id: 2 } } },
    ModelProto: {
      fields: {
        irVersion: { type: 'int64', id: 1 },
        producerName: { type: 'string', id: 2 },
        graph: { type: 'GraphProto', id: 7 },
        opsetImport: { rule: 'repeated', type: 'OperatorSetIdProto', id: 8 },
        metadataProps: { rule: 'repeated', type: 'StringStringEntryProto', id: 14 },
      },
    },
  },
};

/** ONNX's numbers of element types. */
export const ELEMENT_TYPE = { float32: 1, int32: 6, int64: 7, bool: 9 } as const;
/** Of values that never leave a model. */
export const HALF_TYPE = { fp16: 10, bf16: 16 } as const;
const ATTRIBUTE_TYPE = { float: 1, int: 2, string: 3, ints: 7 } as const;

export type AttributeValue =
  | { readonly int: number }
  | { readonly float: number }
  | { readonly text: string }
  | { readonly ints: readonly number[] };

export interface OnnxNode {
  readonly name: string;
  readonly opType: string;
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly attributes?: Readonly<Record<string, AttributeValue>>;
  readonly domain?: string;
}

export interface OnnxTensor {
  readonly name: string;
  readonly dims: readonly number[];
  readonly dataType: number;
  readonly rawData: Uint8Array;
}

export interface OnnxValue {
  readonly name: string;
  /** An extent with a name is known when the model runs. */
  readonly shape: readonly (number | string)[];
  readonly elementType: number;
}

export interface OnnxModel {
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly OnnxTensor[];
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  /** Operators that nodes use besides ONNX's own. */
  readonly domains: readonly string[];
  readonly metadata?: Readonly<Record<string, string>>;
}

function attribute(name: string, value: AttributeValue): object {
  if ('int' in value) return { name, i: value.int, type: ATTRIBUTE_TYPE.int };
  if ('float' in value) return { name, f: value.float, type: ATTRIBUTE_TYPE.float };
  if ('text' in value) return { name, s: Buffer.from(value.text), type: ATTRIBUTE_TYPE.string };
  return { name, ints: value.ints, type: ATTRIBUTE_TYPE.ints };
}

const valueInfo = ({ name, shape, elementType }: OnnxValue): object => ({
  name,
  type: {
    tensorType: {
      elemType: elementType,
      shape: {
        dim: shape.map((extent) => (typeof extent === 'string' ? { dimParam: extent } : { dimValue: extent })),
      },
    },
  },
});

let modelType: protobuf.Type | undefined;

/** ONNX's operators as of this version: the first with LayerNormalization, which every runtime of today reads. */
const OPSET = 17;

/** The model as the bytes of an .onnx file. */
export function encodeModel(model: OnnxModel): Uint8Array {
  modelType ??= protobuf.Root.fromJSON(SCHEMA).lookupType('ModelProto');
  return modelType
    .encode({
      irVersion: 8,
      producerName: 'clipyard',
      graph: {
        name: 'program',
        node: model.nodes.map(({ name, opType, input, output, attributes = {}, domain = '' }) => ({
          name,
          opType,
          input,
          output,
          domain,
          attribute: Object.entries(attributes).map(([name, value]) => attribute(name, value)),
        })),
        initializer: model.initializers,
        input: model.inputs.map(valueInfo),
        output: model.outputs.map(valueInfo),
      },
      opsetImport: [{ domain: '', version: OPSET }, ...model.domains.map((domain) => ({ domain, version: 1 }))],
      metadataProps: Object.entries(model.metadata ?? {}).map(([key, value]) => ({ key, value })),
    })
    .finish();
}
