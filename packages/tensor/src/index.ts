export { FLAT_ALIGNMENT, FlatLayout, type FlatTensor, type NamedShape } from './flat-layout.js';
export {
  fromBfloat16,
  fromFloat16,
  narrowToBfloat16,
  narrowToFloat16,
  toBfloat16,
  toFloat16,
} from './half.js';
export { feistelPermutation } from './permutation.js';
export { type PhiloxCounter, type PhiloxKey, philox } from './philox.js';
export { CounterRandom, type NormalOptions, type UniformOptions } from './random.js';
export type { SafetensorsDtype, SafetensorsEntry, SafetensorsHeader } from './safetensors-format.js';
export {
  parseSafetensorsHeader,
  readSafetensors,
  readSafetensorsHeaderLength,
  type SafetensorsFile,
  tensorFloats,
  tensorValues,
} from './safetensors-read.js';
export { type SafetensorsImage, type SafetensorsTensor, writeSafetensors } from './safetensors-write.js';
export { roundStochastically } from './stochastic-rounding.js';
export { type FloatStorage, type StoredFloats, storedFloats } from './stored-floats.js';
