import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect } from 'react';
import { Link } from 'wouter';
import { formatAge, formatTime } from '../format.js';
import { server } from '../server/server.js';
import { Empty } from '../ui/empty.js';
import { ErrorPanel } from '../ui/error-panel.js';
import { notify, notifyError } from '../ui/notices.js';
import { StateBadge } from '../ui/state-badge.js';
import { useNow } from '../ui/use-now.js';

const POLL_MS = 2000;

export default function NodesPage() {
  const now = useNow();
  const queries = useQueryClient();
  const nodes = useQuery({
    queryKey: ['nodes'],
    queryFn: ({ signal }) => server.nodes({ signal }),
    refetchInterval: POLL_MS,
  });
  const act = useMutation({
    mutationFn: ({ id, drain }: { id: string; drain: boolean }) => (drain ? server.drain(id) : server.undrain(id)),
    onSuccess: (node) =>
      notify('good', node.drained ? `${node.name} gets no new ranks` : `${node.name} takes ranks again`),
    onError: notifyError,
    onSettled: () => queries.invalidateQueries({ queryKey: ['nodes'] }),
  });
  useEffect(() => {
    document.title = 'Nodes · Clipyard';
  }, []);
  const slots = nodes.data?.flatMap((node) => node.slots) ?? [];
  const busy = slots.filter((slot) => slot.busy).length;
  return (
    <>
      <header className="page-head">
        <h1>Nodes</h1>
        <p className="muted">
          {busy} of {slots.length} slots work
        </p>
      </header>
      {nodes.isError && nodes.data === undefined && <ErrorPanel error={nodes.error} />}
      {nodes.data?.length === 0 && (
        <Empty title="No worker has registered">
          <p>Start one on each host, with the database of this server:</p>
          <pre>DATABASE_URL=… STORAGE_URL=… node apps/worker/dist/main.js</pre>
        </Empty>
      )}
      <ul className="cards">
        {nodes.data?.map((node) => (
          <li key={node.id} className="panel node">
            <header>
              <h2>{node.name}</h2>
              <StateBadge state={node.state} />
            </header>
            <dl className="facts">
              <div>
                <dt>Host</dt>
                <dd className="mono">{node.host}</dd>
              </div>
              <div>
                <dt>Pool</dt>
                <dd>{node.pool}</dd>
              </div>
              <div>
                <dt>Engines</dt>
                <dd>{node.engines.join(', ')}</dd>
              </div>
              <div>
                <dt>Registered</dt>
                <dd title={formatTime(node.registeredAt)}>{formatAge(now - Date.parse(node.registeredAt))} ago</dd>
              </div>
            </dl>
            <div className="actions node-actions">
              {node.drained ? (
                <button type="button" className="button" onClick={() => act.mutate({ id: node.id, drain: false })}>
                  undrain
                </button>
              ) : (
                <button type="button" className="button" onClick={() => act.mutate({ id: node.id, drain: true })}>
                  drain
                </button>
              )}
            </div>
            <ul className="slots" aria-label={`Slots of ${node.name}`}>
              {node.slots.map((slot) => (
                <li key={slot.index} className={slot.busy ? 'slot busy' : 'slot'}>
                  {slot.jobId === null ? (
                    <span className="muted">
                      Slot {slot.index} {slot.busy ? 'works for another project' : 'is free'}
                    </span>
                  ) : (
                    <Link data-row href={`/runs/${slot.jobId}`}>
                      Slot {slot.index}: rank {slot.rank} of {slot.jobId}
                    </Link>
                  )}
                </li>
              ))}
            </ul>
          </li>
        ))}
      </ul>
    </>
  );
}
