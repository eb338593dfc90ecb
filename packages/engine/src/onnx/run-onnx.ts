import { ClipyardError } from '@clipyard/contracts';
import { InferenceSession, Tensor } from 'onnxruntime-node';

export interface OnnxInput {
  readonly shape: readonly number[];
  /** Integers are int64 in the file. */
  readonly values: Float32Array | Int32Array;
}

/** Runs an .onnx file once as others would, through onnxruntime-node: float32 outputs by name. Throws `engine_failed`. */
export async function runOnnx(
  model: Uint8Array,
  inputs: Readonly<Record<string, OnnxInput>>,
): Promise<Record<string, Float32Array>> {
  try {
    const session = await InferenceSession.create(model);
    try {
      const results = await session.run(
        Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, tensorOf(input)])),
      );
      return Object.fromEntries(Object.entries(results).map(([name, { data }]) => [name, data as Float32Array]));
    } finally {
      await session.release();
    }
  } catch (error) {
    throw new ClipyardError('engine_failed', `ONNX Runtime failed: ${(error as Error).message}`, { cause: error });
  }
}

const tensorOf = ({ shape, values }: OnnxInput): Tensor =>
  values instanceof Float32Array
    ? new Tensor('float32', values, shape)
    : new Tensor('int64', BigInt64Array.from(values, BigInt), shape);
