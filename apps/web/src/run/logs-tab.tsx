import type { Job, LogLevel, LogLine } from '@clipyard/contracts';
import { useEffect, useRef, useState } from 'react';
import { formatTime } from '../format.js';
import { Empty } from '../ui/empty.js';
import { ErrorPanel } from '../ui/error-panel.js';
import { Icon } from '../ui/icon.js';
import { useLogs } from './use-logs.js';

const LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];
/** So near to the end counts as at the end, px. */
const NEAR_END = 40;

export function Logs({ job }: { job: Job }) {
  const [level, setLevel] = useState<LogLevel>('info');
  const [rank, setRank] = useState<number | undefined>(undefined);
  const [text, setText] = useState('');
  const wanted = useDeferredText(text.trim());
  const { lines, older, error, pending, loadOlder } = useLogs(job.id, { level, rank, text: wanted });
  return (
    <>
      <search className="filters">
        <label className="search">
          <span className="visually-hidden">Search the log</span>
          <Icon name="search" />
          <input
            type="search"
            data-search
            placeholder="Search the log"
            value={text}
            onChange={(event) => setText(event.target.value)}
          />
        </label>
        <label className="inline">
          From level
          <select value={level} onChange={(event) => setLevel(event.target.value as LogLevel)}>
            {LEVELS.map((choice) => (
              <option key={choice}>{choice}</option>
            ))}
          </select>
        </label>
        <label className="inline">
          Rank
          <select
            value={rank ?? ''}
            onChange={(event) => setRank(event.target.value === '' ? undefined : Number(event.target.value))}
          >
            <option value="">all</option>
            {Array.from({ length: Math.max(job.worldSize ?? 1, (rank ?? 0) + 1) }, (_, i) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: the index is the rank
              <option key={i} value={i}>
                {i}
              </option>
            ))}
          </select>
        </label>
        <span className="muted hint">
          {pending ? 'loading …' : `${lines.length}${older === null ? '' : ' newest'} lines`}
        </span>
        {older !== null && (
          <button type="button" className="button" onClick={loadOlder}>
            Older
          </button>
        )}
      </search>
      {error !== undefined && <ErrorPanel error={error} />}
      {lines.length === 0 && !pending ? (
        <Empty title={wanted === '' ? 'No log lines' : 'No line matches'}>
          <p>{wanted === '' ? 'Ranks write here what they do.' : 'Search for something else, or lower the level.'}</p>
        </Empty>
      ) : (
        <Lines lines={lines} text={wanted} />
      )}
    </>
  );
}

/** Time without a key after which what is typed is searched, ms. */
const TYPING_MS = 300;

function useDeferredText(text: string): string {
  const [settled, setSettled] = useState(text);
  useEffect(() => {
    const timer = setTimeout(setSettled, TYPING_MS, text);
    return () => clearTimeout(timer);
  }, [text]);
  return settled;
}

/** Stays at the end while one looks at the end. */
function Lines({ lines, text }: { lines: readonly LogLine[]; text: string }) {
  const ref = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  // biome-ignore lint/correctness/useExhaustiveDependencies: new lines move the end
  useEffect(() => {
    const element = ref.current!;
    if (atEnd.current) element.scrollTop = element.scrollHeight;
  }, [lines]);
  return (
    <div
      ref={ref}
      className="log"
      role="log"
      aria-label="Log lines"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached with the keyboard
      tabIndex={0}
      onScroll={({ currentTarget: { scrollTop, scrollHeight, clientHeight } }) => {
        atEnd.current = scrollHeight - scrollTop - clientHeight < NEAR_END;
      }}
    >
      {lines.map((line) => (
        <p key={line.id} className={`log-line level-${line.level}`}>
          <time dateTime={line.at} title={formatTime(line.at)}>
            {line.at.slice(11, 23)}
          </time>
          <span className="log-level">{line.level}</span>
          <span className="log-rank">{line.rank === null ? '' : `r${line.rank}`}</span>
          <span>
            <Marked text={line.message} wanted={text} />
            {line.fields !== null && <span className="muted"> {fieldsText(line.fields)}</span>}
          </span>
        </p>
      ))}
    </div>
  );
}

const fieldsText = (fields: Readonly<Record<string, unknown>>): string =>
  Object.entries(fields)
    .map(([name, value]) => `${name}=${typeof value === 'object' ? JSON.stringify(value) : value}`)
    .join(' ');

/** The text with the words that were searched for marked. */
function Marked({ text, wanted }: { text: string; wanted: string }) {
  const words = wanted
    .replace(/"/g, '')
    .split(/\s+/)
    .filter((word) => word !== '' && !word.startsWith('-'));
  if (words.length === 0) return text;
  const any = new RegExp(`(${words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|')})`, 'i');
  return text.split(any).map((part, i) =>
    // biome-ignore lint/suspicious/noArrayIndexKey: the parts of one text do not move
    i % 2 === 1 ? <mark key={i}>{part}</mark> : part,
  );
}
