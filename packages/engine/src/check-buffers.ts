import { ClipyardError } from '@clipyard/contracts';
import type { Buffers, Specs, TypedArray } from './engine.js';

/** Every input of `specs` must be there with the length of its shape. Throws `engine_failed`. */
export function checkInputs(program: string, specs: Specs, given: Buffers): void {
  for (const name of Object.keys(specs)) check(program, 'input', name, specs, given[name]);
}

/** Every array given for an output must have the length of its shape. Throws `engine_failed`. */
export function checkOutputs(program: string, specs: Specs, given: Buffers = {}): void {
  for (const name of Object.keys(given)) check(program, 'output', name, specs, given[name]);
}

function check(program: string, role: string, name: string, specs: Specs, array: TypedArray | undefined): void {
  const spec = specs[name];
  const fail = (message: string): never => {
    throw new ClipyardError('engine_failed', `\`${program}\` ${message}`);
  };
  if (spec === undefined) return fail(`has no ${role} \`${name}\``);
  const { shape, dtype = 'float32' } = spec;
  const expected = shape.reduce((product, extent) => product * extent, 1);
  if (array?.length !== expected) {
    fail(`got ${array?.length ?? 'no'} values for ${role} \`${name}\` of shape [${shape}] (${expected} values)`);
  }
  // The values are read where they lie, so another type would be taken for this one.
  const wanted = dtype === 'int32' ? Int32Array : Float32Array;
  if (!(array instanceof wanted)) fail(`takes ${dtype} for ${role} \`${name}\`, not ${array!.constructor.name}`);
}
