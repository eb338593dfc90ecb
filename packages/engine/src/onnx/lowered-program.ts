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

export interface LoweringOptions {
  /** `standard`: ONNX's own operators only, so that any runtime reads the model. Default `fused`: with ORT's where there is one. */
  readonly operators?: 'fused' | 'standard';
  /** Inputs by name whose values go into the model. */
  readonly weights?: Readonly<Record<string, Float32Array>>;
  /** Inputs of type int32 are int64 in the model. */
  readonly wideIntegers?: boolean;
  /** A prime: extents that it divides stand for multiples of the batch, which the model leaves open. Default: all are fixed. */
  readonly openBatch?: number;
  /** What the file says of itself. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** A program whose batch cannot be left open. */
export class OpenBatchError extends Error {}
