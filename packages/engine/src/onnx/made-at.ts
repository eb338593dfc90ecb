/** ` (made at <line of the model>)` where a message of ONNX Runtime's names a node whose line is known, else nothing. */
export function madeAt(message: string, sources: ReadonlyMap<string, string>): string {
  const [named] = (message.match(/\w+_\d+/g) ?? []).filter((word) => sources.has(word));
  return named === undefined ? '' : ` (made at ${sources.get(named)})`;
}
