import type { Sweep } from '@clipyard/contracts';

/** A value of a parameter in one cell. */
export function valueText(value: unknown): string {
  return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : JSON.stringify(value);
}

/** Likewise of a sweep: of objects that it chooses from only the fields in which they differ. */
export function choiceText({ spec }: Sweep, path: string, value: unknown): string {
  const parameter = spec.parameters[path];
  if (!isObject(value) || parameter?.type !== 'choice') return valueText(value);
  const all = parameter.values.map(leavesOf);
  const own = leavesOf(value);
  const differing = [...own].filter(([name, text]) => all.some((leaves) => leaves.get(name) !== text));
  return differing.length === 0 ? valueText(value) : differing.map(([name, text]) => `${name}=${text}`).join(' ');
}

const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The fields of an object and of those within, by dotted path. */
function leavesOf(value: unknown): Map<string, string> {
  if (!isObject(value)) return new Map();
  return new Map(
    Object.entries(value).flatMap(([name, field]): [string, string][] =>
      isObject(field) && Object.keys(field).length > 0
        ? [...leavesOf(field)].map(([path, text]) => [`${name}.${path}`, text])
        : [[name, valueText(field)]],
    ),
  );
}
