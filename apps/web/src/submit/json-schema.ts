/** The parts of JSON Schema that the run spec is described with. */
export interface JsonSchema {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly oneOf?: readonly JsonSchema[];
  readonly anyOf?: readonly JsonSchema[];
  readonly additionalProperties?: boolean | JsonSchema;
}

export type FieldKind =
  | { readonly kind: 'object'; readonly properties: Readonly<Record<string, JsonSchema>> }
  /** Objects of which `tag` says which one it is. */
  | { readonly kind: 'variants'; readonly tag: string; readonly variants: readonly JsonSchema[] }
  | { readonly kind: 'choice'; readonly values: readonly string[] }
  | { readonly kind: 'boolean' }
  | { readonly kind: 'number' }
  | { readonly kind: 'text' }
  /** Anything else is written as YAML on a line. */
  | { readonly kind: 'yaml' };

/** How a field of this schema is filled in. */
export function kindOf(schema: JsonSchema): FieldKind {
  const { type, properties, oneOf } = schema;
  if (schema.const !== undefined && typeof schema.const === 'string') return { kind: 'choice', values: [schema.const] };
  if (schema.enum !== undefined) return { kind: 'choice', values: schema.enum.map(String) };
  if (oneOf !== undefined) {
    const tag = tagOf(oneOf);
    return tag === undefined ? { kind: 'yaml' } : { kind: 'variants', tag, variants: oneOf };
  }
  if (type === 'object' && properties !== undefined) return { kind: 'object', properties };
  if (type === 'boolean' || type === 'string') return { kind: type === 'string' ? 'text' : 'boolean' };
  if (type === 'number' || type === 'integer') return { kind: 'number' };
  return { kind: 'yaml' };
}

/** The property with a constant of its own in each variant. */
function tagOf(variants: readonly JsonSchema[]): string | undefined {
  return Object.keys(variants[0]?.properties ?? {}).find((name) =>
    variants.every(({ properties }) => typeof properties?.[name]?.const === 'string'),
  );
}

/** The value with one field changed, by a path of keys; undefined removes it, and what is empty after that. */
export function withField(value: unknown, path: readonly string[], field: unknown): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return field;
  const before = isObject(value) ? value : {};
  const child = withField(before[key], rest, field);
  if (child !== undefined) return { ...before, [key]: child };
  const { [key]: _, ...others } = before;
  return Object.keys(others).length === 0 ? undefined : others;
}

export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
