import type { FieldProblem } from '@clipyard/contracts';
import { useId, useState } from 'react';
import { parse, stringify } from 'yaml';
import { HelpText } from './help-text.js';
import { isObject, type JsonSchema, kindOf } from './json-schema.js';

export interface SpecFieldProps {
  readonly name: string;
  readonly path: readonly string[];
  readonly schema: JsonSchema;
  readonly required: boolean;
  readonly value: unknown;
  readonly problems: readonly FieldProblem[];
  readonly onChange: (path: readonly string[], value: unknown) => void;
}

/** Sections that are open at first. */
const OPEN = ['model', 'data', 'batch', 'duration', 'optimizer'];

/** A field of the spec with what it means, and what is wrong with it; a section has fields of its own. */
export function SpecField(props: SpecFieldProps) {
  const { name, path, schema, value, problems, onChange } = props;
  const kind = kindOf(schema);
  if (kind.kind !== 'object' && kind.kind !== 'variants') return <Leaf {...props} />;
  const within = problems.filter((problem) => isAt(problem, path, true));
  const fields = isObject(value) ? value : {};
  const tag = kind.kind === 'variants' ? kind.tag : undefined;
  const variant =
    kind.kind === 'variants'
      ? kind.variants.find(({ properties }) => properties?.[kind.tag]?.const === fields[kind.tag])
      : schema;
  return (
    <details className="spec-section" open={within.length > 0 || (OPEN.includes(path[0]!) && path.length === 1)}>
      <summary>
        {name}
        {within.length > 0 && <span className="problem-count">{within.length}</span>}
        {schema.description !== undefined && (
          <span className="muted">
            {' '}
            <HelpText text={schema.description} />
          </span>
        )}
      </summary>
      <Problems problems={problems.filter((problem) => isAt(problem, path, false))} />
      {kind.kind === 'variants' && (
        <VariantChoice
          label={`${path.join('.')}.${kind.tag}`}
          tag={kind.tag}
          variants={kind.variants}
          value={fields[kind.tag]}
          onChange={(chosen) => onChange(path, chosen === undefined ? undefined : { [kind.tag]: chosen })}
        />
      )}
      {Object.entries(variant?.properties ?? {}).map(([key, child]) =>
        key === tag ? null : (
          <SpecField
            key={key}
            name={key}
            path={[...path, key]}
            schema={child}
            required={variant?.required?.includes(key) ?? false}
            value={fields[key]}
            problems={problems}
            onChange={onChange}
          />
        ),
      )}
    </details>
  );
}

interface VariantChoiceProps {
  readonly label: string;
  readonly tag: string;
  readonly variants: readonly JsonSchema[];
  readonly value: unknown;
  readonly onChange: (value: string | undefined) => void;
}

function VariantChoice({ label, tag, variants, value, onChange }: VariantChoiceProps) {
  const id = useId();
  const names = variants.map(({ properties }) => String(properties![tag]!.const));
  return (
    <div className="spec-field">
      <label htmlFor={id}>{tag}</label>
      <select
        id={id}
        name={label}
        value={typeof value === 'string' ? value : ''}
        onChange={(event) => onChange(event.target.value === '' ? undefined : event.target.value)}
      >
        <option value="">not set</option>
        {names.map((name) => (
          <option key={name}>{name}</option>
        ))}
      </select>
    </div>
  );
}

function Leaf({ name, path, schema, required, value, problems, onChange }: SpecFieldProps) {
  const id = useId();
  const own = problems.filter((problem) => isAt(problem, path, true));
  return (
    <div className={own.length > 0 ? 'spec-field wrong' : 'spec-field'}>
      <label htmlFor={id}>
        {name}
        {required && <span className="required"> required</span>}
      </label>
      <Control
        id={id}
        path={path.join('.')}
        schema={schema}
        value={value}
        invalid={own.length > 0}
        onChange={(next) => onChange(path, next)}
      />
      <Problems problems={own} id={`${id}-problems`} />
      {schema.description !== undefined && (
        <p className="field-help">
          <HelpText text={schema.description} />
        </p>
      )}
    </div>
  );
}

interface ControlProps {
  readonly id: string;
  readonly path: string;
  readonly schema: JsonSchema;
  readonly value: unknown;
  readonly invalid: boolean;
  readonly onChange: (value: unknown) => void;
}

function Control({ id, path, schema, value, invalid, onChange }: ControlProps) {
  const kind = kindOf(schema);
  const common = {
    id,
    name: path,
    'aria-invalid': invalid,
    ...(invalid ? { 'aria-describedby': `${id}-problems` } : {}),
  };
  const byDefault = schema.default === undefined ? 'not set' : flow(schema.default);
  if (kind.kind === 'choice' || kind.kind === 'boolean') {
    const choices = kind.kind === 'choice' ? kind.values : ['true', 'false'];
    return (
      <select
        {...common}
        value={value === undefined ? '' : String(value)}
        onChange={({ target }) =>
          onChange(target.value === '' ? undefined : kind.kind === 'boolean' ? target.value === 'true' : target.value)
        }
      >
        <option value="">{schema.default === undefined ? 'not set' : `${byDefault} (default)`}</option>
        {choices.map((choice) => (
          <option key={choice}>{choice}</option>
        ))}
      </select>
    );
  }
  return <Written {...common} kind={kind.kind} value={value} placeholder={byDefault} onChange={onChange} />;
}

interface WrittenProps {
  readonly id: string;
  readonly name: string;
  readonly kind: string;
  readonly value: unknown;
  readonly placeholder: string;
  readonly onChange: (value: unknown) => void;
}

/** A field that is typed. What is no number is kept as text, for the validation to name. */
function Written({ kind, value, placeholder, onChange, ...common }: WrittenProps) {
  const [typed, setTyped] = useState<{ text: string; value: unknown }>();
  const text =
    typed !== undefined && typed.value === value ? typed.text : value === undefined ? '' : asText(kind, value);
  return (
    <input
      {...common}
      type="text"
      inputMode={kind === 'number' ? 'decimal' : undefined}
      value={text}
      placeholder={placeholder}
      spellCheck={false}
      autoComplete="off"
      onChange={({ target }) => {
        const next = target.value === '' ? undefined : asValue(kind, target.value);
        setTyped({ text: target.value, value: next });
        onChange(next);
      }}
    />
  );
}

const flow = (value: unknown): string => stringify(value, { collectionStyle: 'flow', lineWidth: 0 }).trim();
const asText = (kind: string, value: unknown): string => (kind === 'text' ? String(value) : flow(value));

function asValue(kind: string, text: string): unknown {
  if (kind === 'text') return text;
  try {
    return parse(text);
  } catch {
    return text;
  }
}

export function Problems({ problems, id }: { problems: readonly FieldProblem[]; id?: string }) {
  if (problems.length === 0) return null;
  return (
    <ul className="problems" id={id}>
      {problems.map(({ path, message, remedy }) => (
        <li key={`${path} ${message}`}>
          {message}.{remedy !== undefined && ` ${remedy}`}
        </li>
      ))}
    </ul>
  );
}

/** Whether a problem is at this path, or `within` it. */
function isAt(problem: FieldProblem, path: readonly string[], within: boolean): boolean {
  const at = path.join('.');
  return problem.path === at || (within && (problem.path.startsWith(`${at}.`) || problem.path.startsWith(`${at}[`)));
}
