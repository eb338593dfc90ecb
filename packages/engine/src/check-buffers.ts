import { ClipyardError } from '@clipyard/contracts';
import type { Buffers, Specs } from './engine.js';

/** Every input of `specs` must be there with the length of its shape. Throws `engine_failed`. */
export function checkInputs(program: string, specs: Specs, given: Buffers): void {
  for (const name of Object.keys(specs)) check(program, 'input', name, specs, given[name]?.length);
}

/** Every array given for an output must have the length of its shape. Throws `engine_failed`. */
export function checkOutputs(program: string, specs: Specs, given: Buffers = {}): void {
  for (const name of Object.keys(given)) check(program, 'output', name, specs, given[name]!.length);
}

function check(program: string, role: string, name: string, specs: Specs, length: number | undefined): void {
  const shape = specs[name]?.shape;
  if (shape === undefined) throw new ClipyardError('engine_failed', `\`${program}\` has no ${role} \`${name}\``);
  const expected = shape.reduce((product, extent) => product * extent, 1);
  if (length === expected) return;
  throw new ClipyardError(
    'engine_failed',
    `\`${program}\` got ${length ?? 'no'} values for ${role} \`${name}\` of shape [${shape}] (${expected} values)`,
  );
}
