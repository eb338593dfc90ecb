import type { SafetensorsEntry } from '@clipyard/tensor';

/** Weights from outside of a run: a safetensors file, with what lies beside it. */
export interface WeightSource {
  /** Where they come from, for people. */
  readonly where: string;
  /** Steps that they were trained for; undefined: not known. */
  readonly step?: number | undefined;
  readonly entries: ReadonlyMap<string, SafetensorsEntry>;
  readonly metadata: Readonly<Record<string, string>>;
  /** `model_cfg` of the open_clip_config.json beside it, as it stands there. */
  readonly modelConfig: unknown;
  /** Likewise its `preprocess_cfg`. */
  readonly preprocess: unknown;
  /** The tokenizer.json beside it, as it stands there; undefined: none. */
  readonly tokenizer: unknown;
  /** A tensor's values as float32, widened exactly from fp16 and bf16. */
  floats(name: string): Promise<Float32Array>;
  /** The number in a tensor of one integer. */
  integer(name: string): Promise<number>;
  close(): Promise<void>;
}
