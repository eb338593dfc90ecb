/** What stands in the way of a path: its first part that has no fields, and what that is. */
export interface Obstacle {
  readonly path: string;
  readonly value: unknown;
}

/**
 * Sets a field of a JSON object by its dotted path, making the objects on the way; undefined removes it. Returns what is
 * no object on the way, if anything is.
 */
export function setField(root: Record<string, unknown>, path: string, value: unknown): Obstacle | undefined {
  const keys = path.split('.');
  const last = keys.pop()!;
  let at = root;
  for (const [depth, key] of keys.entries()) {
    if (!Object.hasOwn(at, key)) at[key] = {};
    const inner = at[key];
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner))
      return { path: keys.slice(0, depth + 1).join('.'), value: inner };
    at = inner as Record<string, unknown>;
  }
  if (value === undefined) delete at[last];
  else at[last] = structuredClone(value);
  return undefined;
}
