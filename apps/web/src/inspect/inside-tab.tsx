import type { Job } from '@clipyard/contracts';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { formatCount } from '../format.js';
import { useCheckpoints } from '../run/checkpoints-tab.js';
import { server } from '../server/server.js';
import { Empty } from '../ui/empty.js';
import { ErrorPanel } from '../ui/error-panel.js';
import { Icon } from '../ui/icon.js';
import { useQueryState } from '../ui/use-query-state.js';
import { SimilarityMatrix } from './similarity-matrix.js';

const COUNTS = [8, 16, 24, 32];
const FOUND = 24;

export const pictureUrl = (checkpointId: string, index: number): string =>
  `/v1/checkpoints/${encodeURIComponent(checkpointId)}/samples/${index}`;

/** What the model of a checkpoint makes of the evaluation pictures. */
export default function Inside({ job }: { job: Job }) {
  const [query, change] = useQueryState();
  const checkpoints = useCheckpoints(job);
  if (checkpoints.data === undefined)
    return checkpoints.isError ? <ErrorPanel error={checkpoints.error} /> : <p className="loading">Loading …</p>;
  const newestFirst = checkpoints.data.toSorted((a, b) => b.step - a.step);
  const chosen = newestFirst.find(({ id }) => id === query.get('checkpoint')) ?? newestFirst[0];
  if (chosen === undefined) {
    return (
      <Empty title="No checkpoint to look into">
        <p>The first comes after {formatCount(job.spec.checkpoint.everySteps)} steps.</p>
      </Empty>
    );
  }
  return (
    <>
      <div className="filters">
        <label className="inline">
          Checkpoint
          <select value={chosen.id} onChange={({ target }) => change({ checkpoint: target.value })}>
            {newestFirst.map(({ id, step }) => (
              <option key={id} value={id}>
                step {formatCount(step)}
              </option>
            ))}
          </select>
        </label>
      </div>
      <PictureSearch key={`search ${chosen.id}`} checkpointId={chosen.id} />
      <Matrix key={`matrix ${chosen.id}`} checkpointId={chosen.id} />
    </>
  );
}

/** Finds evaluation pictures by what is typed. */
function PictureSearch({ checkpointId }: { checkpointId: string }) {
  const [typed, setTyped] = useState('');
  const [text, setText] = useState('');
  const found = useQuery({
    queryKey: ['picture-search', checkpointId, text],
    queryFn: ({ signal }) => server.searchPictures(checkpointId, { text, limit: FOUND }, { signal }),
    enabled: text !== '',
    staleTime: Number.POSITIVE_INFINITY,
  });
  return (
    <section className="picture-search">
      <h2 className="section-title">Search the pictures by text</h2>
      <form
        className="filters"
        onSubmit={(event) => {
          event.preventDefault();
          setText(typed.trim());
        }}
      >
        <label className="search">
          <span className="visually-hidden">Text to find pictures with</span>
          <Icon name="search" />
          <input
            type="search"
            data-search
            placeholder="a small red circle on the left"
            maxLength={1000}
            value={typed}
            onChange={({ target }) => setTyped(target.value)}
          />
        </label>
        <button type="submit" className="button primary" disabled={typed.trim() === '' || found.isFetching}>
          Search
        </button>
        {found.isFetching && <Opening />}
      </form>
      {found.isError && <ErrorPanel error={found.error} />}
      {found.data !== undefined && text !== '' && (
        <ol className="found" aria-label={`Pictures most similar to ${text}`}>
          {found.data.map(({ index, caption, similarity, group }) => (
            <li key={index}>
              <img src={pictureUrl(checkpointId, index)} alt={caption} width="84" height="84" loading="lazy" />
              <span className="score">{similarity.toFixed(3)}</span>
              <span className="caption" title={caption}>
                {caption}
              </span>
              {group === 'unseen' && <span className="muted">never shown</span>}
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}

function Matrix({ checkpointId }: { checkpointId: string }) {
  const [count, setCount] = useState(16);
  const { data, error, isFetching } = useQuery({
    queryKey: ['similarity', checkpointId, count],
    queryFn: ({ signal }) => server.similarity(checkpointId, { count }, { signal }),
    staleTime: Number.POSITIVE_INFINITY,
  });
  return (
    <section>
      <h2 className="section-title">Similarity of pictures and captions</h2>
      <div className="filters">
        <label className="inline">
          Pictures
          <select value={count} onChange={({ target }) => setCount(Number(target.value))}>
            {COUNTS.map((choice) => (
              <option key={choice}>{choice}</option>
            ))}
          </select>
        </label>
        {isFetching && <Opening />}
      </div>
      {error !== null && data === undefined && <ErrorPanel error={error} />}
      {data !== undefined && <SimilarityMatrix checkpointId={checkpointId} similarity={data} />}
    </section>
  );
}

function Opening() {
  return (
    <span className="muted opening" role="status">
      <span className="spinner" aria-hidden="true" /> The server opens the checkpoint and encodes its pictures; the
      first time that takes some seconds.
    </span>
  );
}
