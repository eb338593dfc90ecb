/** A field in which specs differ, with its value in each; undefined: it has none there. */
export interface SpecDifference {
  readonly path: string;
  readonly values: readonly (string | undefined)[];
}

/** The fields in which any two of the specs differ, by path. */
export function specDiff(specs: readonly unknown[]): SpecDifference[] {
  const flat = specs.map((spec) => flatten(spec));
  const paths = [...new Set(flat.flatMap((fields) => [...fields.keys()]))].sort();
  return paths
    .map((path) => ({ path, values: flat.map((fields) => fields.get(path)) }))
    .filter(({ values }) => new Set(values).size > 1);
}

/** Leaves by dotted path, as JSON; an empty list or object is a leaf. */
function flatten(value: unknown, path = '', into = new Map<string, string>()): Map<string, string> {
  const entries =
    typeof value === 'object' && value !== null
      ? Object.entries(value).map(([key, child]) => [Array.isArray(value) ? `${path}[${key}]` : join(path, key), child])
      : [];
  if (entries.length === 0) into.set(path, JSON.stringify(value) ?? 'undefined');
  for (const [key, child] of entries) flatten(child, key as string, into);
  return into;
}

const join = (path: string, key: string): string => (path === '' ? key : `${path}.${key}`);
