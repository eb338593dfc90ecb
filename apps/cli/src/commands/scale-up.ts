import { type RunSpec, sweepError } from '@clipyard/contracts';
import { stringify } from 'yaml';
import { type Context, clientOf, type ServerOptions } from '../context.js';
import { EXIT } from '../exit-codes.js';
import { applySettings } from '../spec-file.js';
import { scaleUp } from '../sweeps/scale-up.js';

export interface ScaleUpOptions extends ServerOptions {
  readonly preset: string;
  readonly trial?: number;
  readonly batch?: number;
  readonly epochs?: number;
  readonly name?: string;
  readonly set: string[];
  readonly submit?: boolean;
}

/** Prints a run spec for a larger model from the best trial of a sweep, the rules above it; with `--submit` submits it. */
export async function scaleUpCommand(context: Context, sweepId: string, options: ScaleUpOptions): Promise<number> {
  const { terminal, signal } = context;
  const client = await clientOf(context, options);
  const sweep = await client.sweeps.get(sweepId, { signal });
  const trials = await client.sweeps.trials(sweepId, { signal });
  const index = options.trial ?? sweep.best?.index;
  if (index === undefined)
    throw sweepError('id', 'has no trial with a result yet', sweepId, 'Wait, or name one with --trial.');
  const trial = trials[index];
  if (trial?.jobId == null) {
    const remedy = 'See `clipyard sweep show` for those that have begun.';
    throw sweepError('--trial', 'is not the number of a trial that has begun', index, remedy);
  }
  const { spec: from } = await client.get(trial.jobId, { signal });
  const scaled = scaleUp(sweep, trial, from, options);
  const spec = applySettings(scaled.spec, options.set) as RunSpec;
  const rules = [...scaled.rules, ...options.set.map((setting) => `${setting}: as given`)];
  if (options.json === true) terminal.out(JSON.stringify({ spec, rules }));
  else terminal.out(`${rules.map((rule) => `# ${rule}\n`).join('')}${stringify(spec).trimEnd()}`);
  if (options.submit !== true) return EXIT.ok;
  const job = await client.submit(spec, { signal });
  terminal.err(`submitted ${job.id}; watch it with: clipyard watch ${job.id}`);
  return EXIT.ok;
}
