/**
 * A JSON schema as Markdown tables of fields: one section an object, one table a variant of a union.
 * @param {Record<string, any>} schema
 * @returns {string[]} lines
 */
export function renderFields(schema) {
  const rendered = new Map();
  return [
    ...table(rowsOf(schema)),
    ...Object.entries(schema.properties).flatMap(([name, property]) => sections(name, property, rendered)),
  ];
}

/**
 * The variants of a union as a table each.
 * @param {Record<string, any>} schema
 * @returns {string[]} lines
 */
export const renderUnion = (schema) => unionTables(variantsOf(schema));

/** The sections of a property that holds objects; a union that was rendered before is only referred to. */
function sections(path, schema, rendered) {
  const target = schema.type === 'array' && schema.items ? schema.items : schema;
  const title = target === schema ? path : `${path}[]`;
  const heading = [
    '',
    `## \`${title}\``,
    '',
    ...(schema.description === undefined ? [] : [`${schema.description}.`, '']),
  ];
  const variants = variantsOf(target);
  // An object or null: its own fields.
  if (variants.length === 1) return sections(path, { ...variants[0], description: schema.description }, rendered);
  if (variants.length > 0) {
    const key = JSON.stringify(variants);
    const before = rendered.get(key);
    if (before !== undefined) return [...heading, `The same fields as [\`${before}\`](#${anchor(before)}).`];
    rendered.set(key, title);
    // A field that several variants have is told once.
    const inner = Object.entries(Object.assign({}, ...variants.map((variant) => variant.properties)));
    return [
      ...heading,
      ...unionTables(variants),
      ...inner.flatMap(([name, property]) => sections(`${title}.${name}`, property, rendered)),
    ];
  }
  if (schema.properties === undefined) return [];
  return [
    ...heading,
    ...table(rowsOf(schema)),
    ...Object.entries(schema.properties).flatMap(([name, property]) => sections(`${path}.${name}`, property, rendered)),
  ];
}

/** Variants told apart by `type` get a table each; variants of one field each share a table. */
function unionTables(variants) {
  if (variants.some((variant) => tagOf(variant) === undefined)) {
    return [
      'Exactly one of these fields:',
      '',
      ...table(variants.flatMap((variant) => rowsOf(variant, { isChoice: true }))),
    ];
  }
  return variants.flatMap((variant, index) => {
    const { type, ...properties } = variant.properties;
    const rows = rowsOf({ ...variant, properties });
    return [
      ...(index === 0 ? [] : ['']),
      `**\`type: ${type.const}\`** ${type.description}.`,
      '',
      ...(rows.length === 0 ? ['No further fields.'] : table(rows)),
    ];
  });
}

const tagOf = (variant) => variant.properties.type?.const;
const anchor = (title) => title.toLowerCase().replace(/[^a-z0-9_-]/g, '');

function variantsOf(schema) {
  return (schema.oneOf ?? schema.anyOf ?? []).filter((variant) => variant.properties !== undefined);
}

const table = (rows) => ['| field | type | default | meaning |', '|---|---|---|---|', ...rows];

function rowsOf(schema, { isChoice = false } = {}) {
  const required = new Set(isChoice ? [] : schema.required);
  return Object.entries(schema.properties).map(([name, property]) => {
    const none = required.has(name) ? '**required**' : '';
    const fallback = property.default === undefined || isSection(property) ? none : code(property.default);
    return `| \`${name}\` | ${cell(typeOf(property))} | ${cell(fallback)} | ${cell(property.description ?? '')} |`;
  });
}

const isSection = (schema) => schema.properties !== undefined || variantsOf(schema).length > 0;
const code = (value) => `\`${JSON.stringify(value)}\``;
const cell = (text) => text.replaceAll('|', '\\|');

function typeOf(schema) {
  if (schema.const !== undefined) return code(schema.const);
  if (Object.keys(schema).length === 0) return 'anything';
  if (schema.enum !== undefined) return schema.enum.map(code).join(', ');
  if (isSection(schema)) return 'object, see below';
  const union = schema.anyOf ?? schema.oneOf;
  if (union !== undefined) return union.map(typeOf).join(' or ');
  if (schema.prefixItems !== undefined) return `[${schema.prefixItems.map(typeOf).join('; ')}]`;
  if (schema.type === 'array')
    return `list${range(schema.minItems, schema.maxItems, 'items')} of ${typeOf(schema.items)}`;
  if (schema.type === 'object') return mapOf(schema);
  if (schema.type === 'string') return textOf(schema);
  if (schema.type === 'null') return '`null`';
  return `${schema.type}${bounds(schema)}`;
}

function mapOf(schema) {
  const values = schema.additionalProperties;
  return values?.type === undefined ? 'object' : `map of ${typeOf(values)}`;
}

function textOf(schema) {
  if (schema.pattern?.startsWith('^')) return `text matching \`${schema.pattern}\``;
  return `text${range(schema.minLength, schema.maxLength, 'characters')}`;
}

function range(min, max, unit) {
  if (min === undefined && max === undefined) return '';
  if (min === max) return ` (${min === 1 ? `1 ${unit.slice(0, -1)}` : `${min} ${unit}`})`;
  if (max === undefined) return ` (at least ${min})`;
  return ` (${min ?? 0} to ${number(max)} ${unit})`;
}

function bounds(schema) {
  const parts = [];
  if (schema.minimum !== undefined && schema.minimum > Number.MIN_SAFE_INTEGER)
    parts.push(`>= ${number(schema.minimum)}`);
  if (schema.exclusiveMinimum !== undefined) parts.push(`> ${number(schema.exclusiveMinimum)}`);
  if (schema.maximum !== undefined && schema.maximum < Number.MAX_SAFE_INTEGER)
    parts.push(`<= ${number(schema.maximum)}`);
  if (schema.exclusiveMaximum !== undefined) parts.push(`< ${number(schema.exclusiveMaximum)}`);
  return parts.length === 0 ? '' : ` ${parts.join(', ')}`;
}

const number = (value) => value.toLocaleString('en-US');
