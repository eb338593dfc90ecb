import { ClipyardError, fieldError } from '@clipyard/contracts';
import type { Specs, TensorFunction } from '../engine.js';
import { installGradients } from '../gradients.js';
import { record } from '../graph/recorder.js';
import { simplify } from '../graph/simplify.js';
import { lowerToOnnx } from './lower.js';
import { type LoweringOptions, OpenBatchError } from './lowered-program.js';

export interface OnnxExportOptions {
  readonly name: string;
  /** Samples of a run; `open`: any number, known when the model runs. */
  readonly batch: number | 'open';
  /** Inputs by name whose values go into the file. */
  readonly weights: Readonly<Record<string, Float32Array>>;
  /** What the file says of itself. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/**
 * In place of an open batch, programs are recorded for these: primes larger than any extent of a model, so that whatever
 * one of them divides is a multiple of the batch.
 */
const BATCH_MARKS = [1_000_003, 1_000_033] as const;

/** Largest file, bytes: protobuf has no longer messages. */
const ONNX_FILE_BYTES = 2 ** 31 - 1;

/**
 * A function as the bytes of an .onnx file in ONNX's own operators, with weights inside: for other runtimes than ours.
 * `inputs` gives the shapes for a batch. Integers given are int64 in the file. Throws `engine_unsupported` where the batch
 * cannot be left open, or the file would be too large.
 */
export function exportOnnx(
  fn: TensorFunction,
  inputs: (batch: number) => Specs,
  { name, batch, weights, metadata = {} }: OnnxExportOptions,
): Uint8Array {
  installGradients();
  const bytes = Object.values(weights).reduce((total, { byteLength }) => total + byteLength, 0);
  if (bytes > ONNX_FILE_BYTES) {
    throw new ClipyardError(
      'engine_unsupported',
      `The weights of \`${name}\` have ${bytes} bytes, and an .onnx file at most ${ONNX_FILE_BYTES}`,
    );
  }
  const lower = (samples: number, options: LoweringOptions): Uint8Array => {
    const graph = simplify(record(name, fn, inputs(samples)));
    return lowerToOnnx(graph, { operators: 'standard', wideIntegers: true, ...options }).model;
  };
  if (batch !== 'open') return lower(batch, { weights, metadata });
  try {
    // What depends on the batch in any other way than as an extent differs between the two.
    const [first, second] = BATCH_MARKS.map((mark) => lower(mark, { openBatch: mark }));
    if (Buffer.compare(first!, second!) !== 0) throw new OpenBatchError('a value in it depends on the batch');
    return lower(BATCH_MARKS[0], { openBatch: BATCH_MARKS[0], weights, metadata });
  } catch (error) {
    if (!(error instanceof OpenBatchError)) throw error;
    throw fieldError('engine_unsupported', {
      path: 'batch',
      message: `of \`${name}\` cannot be left open: ${error.message}`,
      value: batch,
      remedy: 'Give a number of samples.',
    });
  }
}
