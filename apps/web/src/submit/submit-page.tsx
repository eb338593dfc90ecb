import { ClipyardError, type FieldProblem, parseRunSpec, runSpecSchema } from '@clipyard/contracts';
import { useMutation, useQuery } from '@tanstack/react-query';
import { useEffect, useMemo, useState } from 'react';
import { useLocation } from 'wouter';
import { parse, stringify } from 'yaml';
import { server } from '../server/server.js';
import { ErrorPanel } from '../ui/error-panel.js';
import { notify } from '../ui/notices.js';
import { useQueryState } from '../ui/use-query-state.js';
import { EXAMPLES } from './examples.js';
import { type JsonSchema, withField } from './json-schema.js';
import { Problems, SpecField } from './spec-field.js';

const SCHEMA = runSpecSchema.toJSONSchema({ io: 'input' }) as JsonSchema;

/** A spec as text and as what the text says; undefined while it is no YAML. */
interface Draft {
  readonly text: string;
  readonly spec: unknown;
  readonly syntax?: string;
}

export default function SubmitPage() {
  const [query] = useQueryState();
  const from = query.get('from');
  const source = useQuery({
    queryKey: ['job', from, 'to-copy'],
    queryFn: ({ signal }) => server.get(from!, { signal }),
    enabled: from !== null,
    staleTime: Number.POSITIVE_INFINITY,
  });
  useEffect(() => {
    document.title = 'Submit · Clipyard';
  }, []);
  if (from === null) return <Submit key="new" first={EXAMPLES[0]!.yaml} />;
  if (source.data === undefined)
    return source.isError ? <ErrorPanel error={source.error} /> : <p className="loading">Loading …</p>;
  return <Submit key={from} first={stringify(source.data.spec)} />;
}

function Submit({ first }: { first: string }) {
  const [draft, setDraft] = useState(() => fromText(first));
  const [refused, setRefused] = useState<ClipyardError>();
  const [, navigate] = useLocation();
  const problems = useMemo(() => problemsOf(draft), [draft]);
  const change = (next: Draft) => {
    setDraft(next);
    setRefused(undefined);
  };
  const submit = useMutation({
    mutationFn: () => server.submit(draft.spec),
    onSuccess: (job) => {
      notify('good', `${job.name} is submitted`);
      navigate(`/runs/${job.id}`);
    },
    onError: (error) => setRefused(ClipyardError.from(error)),
  });
  const all = refused === undefined ? problems : [...problems, ...refused.fields];
  return (
    <>
      <header className="page-head">
        <h1>Submit a run</h1>
      </header>
      <div className="filters">
        <label className="inline grow">
          Begin with
          <select value="" onChange={({ target }) => change(fromText(EXAMPLES[Number(target.value)]!.yaml))}>
            <option value="" disabled>
              an example …
            </option>
            {EXAMPLES.map(({ title }, i) => (
              <option key={title} value={i}>
                {title}
              </option>
            ))}
          </select>
        </label>
        <button
          type="button"
          className="button primary"
          disabled={draft.syntax !== undefined || problems.length > 0 || submit.isPending}
          onClick={() => submit.mutate()}
        >
          {submit.isPending ? 'Submitting …' : 'Submit'}
        </button>
      </div>
      {refused !== undefined && <ErrorPanel error={refused} title="The server refused it" />}
      <div className="submit">
        <form onSubmit={(event) => event.preventDefault()} aria-label="Fields of the spec">
          {Object.entries(SCHEMA.properties!).map(([name, schema]) => (
            <SpecField
              key={name}
              name={name}
              path={[name]}
              schema={schema}
              required={SCHEMA.required?.includes(name) ?? false}
              value={(draft.spec as Readonly<Record<string, unknown>> | null)?.[name]}
              problems={all}
              onChange={(path, value) => change(fromSpec(withField(draft.spec, path, value)))}
            />
          ))}
        </form>
        <section className="spec-text">
          <label htmlFor="spec-text">The same as YAML or JSON</label>
          <textarea
            id="spec-text"
            value={draft.text}
            spellCheck={false}
            rows={Math.max(24, draft.text.split('\n').length + 1)}
            aria-invalid={draft.syntax !== undefined || problems.length > 0}
            onChange={({ target }) => change(fromText(target.value, draft.spec))}
          />
          {draft.syntax !== undefined && <p className="problems">{draft.syntax}</p>}
          {draft.syntax === undefined && problems.length > 0 && <Problems problems={problems.map(withPath)} />}
          {draft.syntax === undefined && problems.length === 0 && <p className="valid">It is a valid spec.</p>}
        </section>
      </div>
    </>
  );
}

function fromText(text: string, before: unknown = {}): Draft {
  try {
    return { text, spec: parse(text) };
  } catch (error) {
    return { text, spec: before, syntax: (error as Error).message };
  }
}

const fromSpec = (spec: unknown): Draft => ({ text: stringify(spec ?? {}), spec: spec ?? {} });

function problemsOf({ spec }: Draft): readonly FieldProblem[] {
  try {
    parseRunSpec(spec);
    return [];
  } catch (error) {
    const coded = ClipyardError.from(error);
    return coded.fields.length > 0 ? coded.fields : [{ path: '(root)', message: coded.message }];
  }
}

const withPath = (problem: FieldProblem): FieldProblem => ({
  ...problem,
  message: `${problem.path}: ${problem.message}`,
});
