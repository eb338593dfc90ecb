/**
 * As much of an assembler for WebAssembly as one function on 32-bit integers and vectors of four of them needs. Names
 * beside the opcodes are those of the specification, https://webassembly.github.io/spec/core/binary/.
 */
export type Code = readonly number[];

const unsigned = (value: number): Code => (value < 128 ? [value] : [(value & 127) | 128, ...unsigned(value >>> 7)]);
function signed(value: number): Code {
  const rest = value >> 7;
  const last = (rest === 0 && (value & 64) === 0) || (rest === -1 && (value & 64) !== 0);
  return last ? [value & 127] : [(value & 127) | 128, ...signed(rest)];
}
const vector = (opcode: number): Code => [0xfd, ...unsigned(opcode)];

export const code = {
  get: (local: number): Code => [0x20, ...unsigned(local)],
  set: (local: number, value: Code): Code => [...value, 0x21, ...unsigned(local)],
  tee: (local: number, value: Code): Code => [...value, 0x22, ...unsigned(local)],
  i32: (value: number): Code => [0x41, ...signed(value | 0)],
  add: (a: Code, b: Code): Code => [...a, ...b, 0x6a],
  sub: (a: Code, b: Code): Code => [...a, ...b, 0x6b],
  /** i32x4.splat */
  splat: (value: Code): Code => [...value, ...vector(17)],
  /** v128.const */
  lanes: (values: readonly number[]): Code => [...vector(12), ...new Uint8Array(Int32Array.from(values).buffer)],
  /** v128.xor */
  xor: (a: Code, b: Code): Code => [...a, ...b, ...vector(81)],
  /** i32x4.add */
  addLanes: (a: Code, b: Code): Code => [...a, ...b, ...vector(174)],
  /** i64x2.extmul_low_i32x4_u: of lanes 0 and 1. */
  lowProducts: (a: Code, b: Code): Code => [...a, ...b, ...vector(222)],
  /** i64x2.extmul_high_i32x4_u: of lanes 2 and 3. */
  highProducts: (a: Code, b: Code): Code => [...a, ...b, ...vector(223)],
  /** i8x16.shuffle by 32-bit lanes: 0 to 3 of `a`, 4 to 7 of `b`. */
  pick: (a: Code, b: Code, from: readonly number[]): Code => [
    ...a,
    ...b,
    ...vector(13),
    ...from.flatMap((lane) => [0, 1, 2, 3].map((byte) => 4 * lane + byte)),
  ],
  /** v128.store */
  store: (at: Code, value: Code, offset: number): Code => [...at, ...value, ...vector(11), 4, ...unsigned(offset)],
  /** Repeats while `body` leaves something else than 0. */
  loop: (body: Code): Code => [0x03, 0x40, ...body, 0x0d, 0, 0x0b],
} as const;

/** What is used of the global object, of which only TypeScript's library for browsers has the type. */
declare const WebAssembly: {
  validate(bytes: Uint8Array): boolean;
  Module: new (bytes: Uint8Array) => object;
  Instance: new (
    module: object,
  ) => { readonly exports: { run: (...values: number[]) => void; memory: { buffer: ArrayBuffer } } };
};

/** The function of a module and its memory; undefined where the processor or Node lack an instruction that it uses. */
export function instantiate(
  module: Uint8Array,
): { run: (...values: number[]) => void; memory: ArrayBuffer } | undefined {
  if (!WebAssembly.validate(module)) return undefined;
  const { run, memory } = new WebAssembly.Instance(new WebAssembly.Module(module)).exports;
  return { run, memory: memory.buffer };
}

/** A module with one page of memory, `memory`, and one function of integers without result, `run`. */
export function moduleOf(
  body: Code,
  { parameters, integers, vectors }: { parameters: number; integers: number; vectors: number },
): Uint8Array {
  const I32 = 0x7f;
  const V128 = 0x7b;
  const sized = (content: Code): Code => [...unsigned(content.length), ...content];
  const section = (id: number, content: Code): Code => [id, ...sized(content)];
  const name = (text: string): Code => sized([...Buffer.from(text)]);
  const locals = [2, ...unsigned(integers), I32, ...unsigned(vectors), V128];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [1, 0x60, ...sized(Array<number>(parameters).fill(I32)), 0]),
    ...section(3, [1, 0]),
    ...section(5, [1, 0, 1]),
    ...section(7, [2, ...name('memory'), 2, 0, ...name('run'), 0, 0]),
    ...section(10, [1, ...sized([...locals, ...body, 0x0b])]),
  ]);
}
