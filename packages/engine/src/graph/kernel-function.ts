import type { TensorInfo } from '@tensorflow/tfjs-core';
import type { RecorderBackend } from './recorder-backend.js';

// biome-ignore lint/suspicious/noExplicitAny: a kernel's attributes are as untyped as tfjs leaves them
type Attributes = any;
// biome-ignore lint/suspicious/noExplicitAny: likewise its inputs: named, or a list for Concat and AddN
type Inputs = any;

/** A tfjs kernel on the recorder: notes the operation that it is. */
export type KernelFunction = (
  backend: RecorderBackend,
  inputs: Inputs,
  attributes: Attributes,
) => TensorInfo | TensorInfo[];
