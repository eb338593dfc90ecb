import { isFinalJobState, type Job, type JobEvent } from '@clipyard/contracts';
import { useState } from 'react';
import { formatDuration, formatTime } from '../format.js';
import { Empty } from '../ui/empty.js';
import { useNow } from '../ui/use-now.js';
import { eventText } from './event-text.js';
import { spansOf } from './spans.js';

const KINDS = ['important', 'all'] as const;
const QUIET_RANK_STATES = ['assigned', 'launching', 'connecting', 'compiling', 'training', 'evaluating'];

/** Whether an event is one of those that everybody wants to see. */
const isImportant = ({ type, data }: JobEvent): boolean =>
  type !== 'rank.state' || !QUIET_RANK_STATES.includes(String(data.to));

/** Events on a line of time, and as a list, newest first. */
export function Timeline({ job, events }: { job: Job; events: readonly JobEvent[] }) {
  const [kind, setKind] = useState<(typeof KINDS)[number]>('important');
  const now = useNow();
  if (events.length === 0) {
    return (
      <Empty title="No events yet">
        <p>What happens to the job appears here.</p>
      </Empty>
    );
  }
  const shown = (kind === 'all' ? events : events.filter(isImportant)).toReversed();
  return (
    <>
      <TimeBand
        events={events}
        end={isFinalJobState(job.state) ? Date.parse(job.finishedAt ?? events.at(-1)!.at) : now}
      />
      <fieldset className="segments">
        <legend className="visually-hidden">Events</legend>
        {KINDS.map((choice) => (
          <button key={choice} type="button" aria-pressed={choice === kind} onClick={() => setKind(choice)}>
            {choice}
          </button>
        ))}
      </fieldset>
      <ol className="events">
        {shown.map((event) => {
          const { title, detail, tone } = eventText(event);
          return (
            <li key={event.id}>
              <time dateTime={event.at} title={formatTime(event.at)}>
                {new Date(event.at).toLocaleTimeString(undefined, { hour12: false })}
              </time>
              <span className={`dot tone-${tone}`} aria-hidden="true" />
              <p>
                {title}
                {detail !== undefined && <span className="muted"> {detail}</span>}
              </p>
            </li>
          );
        })}
      </ol>
    </>
  );
}

/** One lane for the job, one for each attempt, and the marks of what happened at a moment. */
function TimeBand({ events, end }: { events: readonly JobEvent[]; end: number }) {
  const begin = Date.parse(events[0]!.at);
  const length = Math.max(1, end - begin);
  const share = (at: number) => `${(100 * Math.min(length, Math.max(0, at - begin))) / length}%`;
  const ofJob = events.filter(({ type }) => type === 'job.state');
  const attempts = [...new Set(events.filter(({ type }) => type === 'attempt.state').map(({ epoch }) => epoch))];
  const lanes = [
    { title: 'Job', events: ofJob },
    ...attempts.map((epoch) => ({
      title: `Attempt ${epoch}`,
      events: events.filter((event) => event.type === 'attempt.state' && event.epoch === epoch),
    })),
  ];
  const marks = events.filter(({ type }) => !['job.state', 'attempt.state', 'rank.state', 'plan'].includes(type));
  return (
    <figure className="time-band panel">
      {lanes.map((lane) => (
        <div key={lane.title} className="lane">
          <span>{lane.title}</span>
          <div className="lane-bar">
            {spansOf(lane.events, end).map((span) =>
              ['succeeded', 'failed', 'stopped', 'cancelled'].includes(span.state) ? null : (
                <span
                  key={span.from}
                  className={`span span-${span.state}`}
                  style={{
                    insetInlineStart: share(span.from),
                    inlineSize: `${(100 * (span.to - span.from)) / length}%`,
                  }}
                  title={`${span.state}, ${formatDuration(span.to - span.from)}`}
                />
              ),
            )}
          </div>
        </div>
      ))}
      <div className="lane">
        <span>Marks</span>
        <div className="lane-bar marks">
          {marks.map((event) => {
            const { title, detail } = eventText(event);
            return (
              <span
                key={event.id}
                className={`mark mark-${event.type}`}
                style={{ insetInlineStart: share(Date.parse(event.at)) }}
                title={detail === undefined ? title : `${title}: ${detail}`}
              />
            );
          })}
        </div>
      </div>
      <figcaption className="lane-scale muted">
        <span>{formatTime(events[0]!.at)}</span>
        <span>{formatDuration(length)}</span>
      </figcaption>
    </figure>
  );
}
