import type { JobState } from '@clipyard/contracts';
import { useEffect, useState } from 'react';
import { Link } from 'wouter';
import { Empty } from '../ui/empty.js';
import { ErrorPanel } from '../ui/error-panel.js';
import { Icon } from '../ui/icon.js';
import { useQueryState } from '../ui/use-query-state.js';
import { holdsText, isOfState, isStateFilter, STATE_FILTERS } from './filter-jobs.js';
import { RunsTable } from './runs-table.js';
import { useJobs } from './use-jobs.js';

/** Runs that a comparison shows at most. */
const MOST_COMPARED = 8;

export function RunsPage() {
  const [query, change] = useQueryState();
  const state = query.get('state');
  const filter = isStateFilter(state) ? state : 'all';
  const text = query.get('q') ?? '';
  const label = query.get('label') ?? '';
  const [marked, setMarked] = useState<readonly string[]>([]);
  const ofServer = filter === 'all' || filter === 'active' ? {} : { state: filter as JobState };
  const jobs = useJobs({ ...ofServer, ...(label === '' ? {} : { label }) });
  useEffect(() => {
    document.title = 'Runs · Clipyard';
  }, []);

  const all = jobs.data?.pages.flatMap((page) => page.items) ?? [];
  const shown = all.filter((job) => isOfState(job, filter) && holdsText(job, text));
  const toggle = (id: string) =>
    setMarked((before) =>
      before.includes(id) ? before.filter((other) => other !== id) : [...before, id].slice(-MOST_COMPARED),
    );

  return (
    <>
      <header className="page-head">
        <h1>Runs</h1>
        <Link
          className={`button${marked.length > 1 ? ' primary' : ''}`}
          href={`/compare?ids=${marked.join(',')}`}
          aria-disabled={marked.length < 2}
        >
          Compare {marked.length > 0 && `(${marked.length})`}
        </Link>
      </header>
      <search className="filters">
        <label className="search">
          <span className="visually-hidden">Search name, id, labels or model</span>
          <Icon name="search" />
          <input
            type="search"
            data-search
            placeholder="Search name, id, label, model"
            value={text}
            onChange={(event) => change({ q: event.target.value })}
          />
          <kbd>/</kbd>
        </label>
        <fieldset className="segments">
          <legend className="visually-hidden">State</legend>
          {STATE_FILTERS.map((choice) => (
            <button
              key={choice}
              type="button"
              aria-pressed={choice === filter}
              onClick={() => change({ state: choice === 'all' ? '' : choice })}
            >
              {choice}
            </button>
          ))}
        </fieldset>
        {label !== '' && (
          <button type="button" className="chip active" onClick={() => change({ label: '' })}>
            {label} <Icon name="close" />
            <span className="visually-hidden">Remove this filter</span>
          </button>
        )}
      </search>
      {jobs.isError && jobs.data === undefined ? (
        <ErrorPanel error={jobs.error} />
      ) : jobs.isPending ? (
        <p className="loading">Loading …</p>
      ) : shown.length === 0 ? (
        <NoRuns any={all.length > 0 || filter !== 'all' || label !== ''} />
      ) : (
        <RunsTable jobs={shown} marked={marked} onToggle={toggle} onLabel={(chosen) => change({ label: chosen })} />
      )}
      {jobs.hasNextPage && (
        <p className="more">
          <button
            type="button"
            className="button"
            disabled={jobs.isFetchingNextPage}
            onClick={() => jobs.fetchNextPage()}
          >
            Older runs
          </button>
        </p>
      )}
    </>
  );
}

function NoRuns({ any }: { any: boolean }) {
  if (any) {
    return (
      <Empty title="No run matches">
        <p>
          <Link href="/runs">Show all runs</Link>
        </p>
      </Empty>
    );
  }
  return (
    <Empty title="No runs yet">
      <p>
        <Link className="button primary" href="/submit">
          Submit the first one
        </Link>
      </p>
      <p>or from a shell:</p>
      <pre>npm run clipyard -- submit examples/shapes.yaml</pre>
    </Empty>
  );
}
