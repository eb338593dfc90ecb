import { type Evaluation, isFinalJobState, type Job, type JobEvent, type PredictionSample } from '@clipyard/contracts';
import { useQuery } from '@tanstack/react-query';
import { formatCount, formatMetric, formatPercent } from '../format.js';
import { server } from '../server/server.js';
import { Empty } from '../ui/empty.js';
import { ErrorPanel } from '../ui/error-panel.js';

const POLL_MS = 5000;
/** Classes of a task that are listed. */
const MOST_CLASSES = 200;

export function Evaluations({ job, events }: { job: Job; events: readonly JobEvent[] }) {
  const { data, error } = useQuery({
    queryKey: ['job', job.id, 'evaluations'],
    queryFn: ({ signal }) => server.evaluations(job.id, { signal }),
    refetchInterval: isFinalJobState(job.state) ? false : POLL_MS,
  });
  if (data === undefined) return error === null ? <p className="loading">Loading …</p> : <ErrorPanel error={error} />;
  if (data.length === 0) {
    return (
      <Empty title="No evaluations yet">
        {job.spec.evaluate.tasks.length === 0 ? (
          <p>
            The spec names no <code>evaluate.tasks</code>. Add <code>zeroshot</code> or <code>retrieval</code> and{' '}
            <code>data.eval</code>.
          </p>
        ) : (
          <p>The first comes when its steps are finished.</p>
        )}
      </Empty>
    );
  }
  const samples = events
    .filter(({ type }) => type === 'evaluation')
    .map(({ data }) => (data.samples ?? []) as PredictionSample[])
    .findLast((found) => found.length > 0);
  return (
    <>
      {samples !== undefined && <Samples samples={samples} />}
      <Results evaluations={data} />
      <Classes evaluation={data.at(-1)!} />
    </>
  );
}

/** What the model says of pictures that it has not seen. */
function Samples({ samples }: { samples: readonly PredictionSample[] }) {
  return (
    <section>
      <h2 className="section-title">Sample predictions</h2>
      <ul className="samples">
        {samples.map((sample, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: the list is replaced whole
          <li key={i} className="panel sample">
            <img src={`data:image/png;base64,${sample.png}`} alt={sample.caption} width="72" height="72" />
            <div>
              <p className="truncate" title={sample.caption}>
                {sample.caption}
              </p>
              <ol>
                {sample.predictions.slice(0, 3).map(({ label, probability }) => (
                  <li key={label} className={label === sample.truth ? 'right' : undefined}>
                    <span className="truncate">{label}</span>
                    <span>{formatPercent(probability)}</span>
                  </li>
                ))}
              </ol>
              {sample.truth !== undefined && (
                <p className="muted">
                  is {sample.truth}
                  {sample.group === 'unseen' && ', never shown'}
                </p>
              )}
            </div>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Results({ evaluations }: { evaluations: readonly Evaluation[] }) {
  const columns = evaluations.slice(-8);
  const names = [...new Set(columns.flatMap(({ values }) => Object.keys(values)))].sort();
  return (
    <section className="scroll-x">
      <h2 className="section-title">Results</h2>
      <table className="rows">
        <caption className="visually-hidden">Results by step</caption>
        <thead>
          <tr>
            <th scope="col">Metric</th>
            {columns.map(({ id, step }) => (
              <th key={id} scope="col" className="number">
                Step {formatCount(step)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {names.map((name) => (
            <tr key={name}>
              <th scope="row" className="mono">
                {name.replace('eval/', '')}
              </th>
              {columns.map(({ id, values }) => (
                <td key={id} className="number">
                  {values[name] === undefined ? '' : formatMetric(name, values[name])}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

interface ClassResult {
  readonly class: string;
  readonly samples: number;
  readonly accuracy: number;
}

/** Accuracy by class, worst first. */
function Classes({ evaluation }: { evaluation: Evaluation }) {
  return evaluation.results.map(({ task, details }) => {
    const classes = details.classes;
    if (!Array.isArray(classes)) return null;
    const worstFirst = (classes as ClassResult[]).toSorted((a, b) => a.accuracy - b.accuracy).slice(0, MOST_CLASSES);
    return (
      <details key={task} className="chart-group">
        <summary>
          Accuracy by class of {task}, worst first <span className="muted">{classes.length}</span>
        </summary>
        <ul className="classes">
          {worstFirst.map(({ class: name, accuracy, samples }) => (
            <li key={name} title={`${samples} samples`}>
              <span className="truncate">{name}</span>
              <meter min={0} max={1} value={accuracy}>
                {formatPercent(accuracy)}
              </meter>
              <span className="number">{formatPercent(accuracy)}</span>
            </li>
          ))}
        </ul>
      </details>
    );
  });
}
