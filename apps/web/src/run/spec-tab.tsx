import type { Job } from '@clipyard/contracts';
import { useState } from 'react';
import { Link } from 'wouter';
import { stringify } from 'yaml';
import { CopyButton } from '../ui/copy-button.js';

const FORMATS = ['yaml', 'json'] as const;

export default function Spec({ job }: { job: Job }) {
  const [format, setFormat] = useState<(typeof FORMATS)[number]>('yaml');
  const text = format === 'yaml' ? stringify(job.spec) : JSON.stringify(job.spec, null, 2);
  return (
    <>
      <div className="filters">
        <fieldset className="segments upper">
          <legend className="visually-hidden">Format</legend>
          {FORMATS.map((choice) => (
            <button key={choice} type="button" aria-pressed={choice === format} onClick={() => setFormat(choice)}>
              {choice}
            </button>
          ))}
        </fieldset>
        <CopyButton text={text} label="Copy the spec">
          Copy
        </CopyButton>
        <Link className="button" href={`/submit?from=${job.id}`}>
          Submit a copy
        </Link>
      </div>
      <pre className="panel code spec">{text}</pre>
    </>
  );
}
