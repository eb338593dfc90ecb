import { ClipyardError, ERRORS, type FieldProblem } from '@clipyard/contracts';

interface Shown {
  readonly code: string;
  readonly message: string;
  readonly fields?: readonly unknown[];
}

/** A coded error with its remedies. */
export function ErrorPanel({ error, title }: { error: unknown; title?: string }) {
  const { code, message, fields = [] } = isShown(error) ? error : ClipyardError.from(error);
  const named = fields as readonly Partial<FieldProblem>[];
  const meaning = code in ERRORS ? ERRORS[code as keyof typeof ERRORS].title : code;
  return (
    <section className="panel error-panel" role="alert">
      <h2>{title ?? meaning}</h2>
      {named.length === 0 && <p>{message}</p>}
      {named.map((field) => (
        <p key={`${field.path} ${field.message}`}>
          <code>{field.path}</code> {field.message}
          {field.value !== undefined && (
            <>
              {' '}
              (<code>{JSON.stringify(field.value)}</code>)
            </>
          )}
          . {field.remedy !== undefined && <strong className="remedy">{field.remedy}</strong>}
        </p>
      ))}
      <p className="muted">
        Code{' '}
        <a href={`/docs`}>
          <code>{code}</code>
        </a>
      </p>
    </section>
  );
}

function isShown(error: unknown): error is Shown {
  return typeof error === 'object' && error !== null && 'code' in error && 'message' in error;
}
