import { z } from 'zod';
import { ClipyardError, type FieldProblem, fieldError } from '../errors.js';
import { fieldProblems } from '../field-problems.js';
import { LIMITS } from '../limits.js';
import { durationSchema } from '../run-spec/duration.js';
import { count, positive } from '../run-spec/numbers.js';
import { metricProblem, parseConstraint } from './constraint.js';
import { parameterSchema } from './parameter.js';

/**
 * The sweep spec, version 1: a search over run specs that differ in the values of some fields. Stored whole, defaults
 * filled in; every trial follows from it.
 */
export const sweepSpecSchema = z.strictObject({
  version: z.literal(1).describe('Version of the spec'),
  name: z
    .string()
    .regex(
      /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,89}$/,
      'must be 1 to 90 letters, digits, dots, dashes or underscores, and begin with a letter or digit',
    )
    .describe('Name of the sweep, for people; the job of trial 3 is named `<name>-3`'),
  base: z
    .record(z.string(), z.unknown())
    .describe(
      'The run spec of every trial but for `parameters`; its `name` is replaced. In a file for the CLI it may be the path of a run spec, relative to that file',
    ),
  parameters: z
    .record(
      z
        .string()
        .max(200)
        .regex(/^[a-zA-Z]\w*(\.[a-zA-Z]\w*)*$/, 'must be the dotted path of a field, such as `optimizer.lr`'),
      parameterSchema,
    )
    .describe('What is searched: fields of the run spec by dotted path, such as `optimizer.lr`'),
  search: z
    .discriminatedUnion('type', [
      z.strictObject({ type: z.literal('grid').describe('Every combination, the last parameter varying fastest') }),
      z.strictObject({
        type: z.literal('random').describe('Values drawn for each trial; those of trial i depend on `seed` and i only'),
        trials: positive.max(LIMITS.sweepTrials).describe('Number of trials'),
      }),
    ])
    .describe('Which trials there are'),
  halving: z
    .strictObject({
      first: durationSchema.describe('Budget of the first rung, in the unit of `base.duration`'),
      eta: z
        .int()
        .min(2)
        .max(16)
        .default(4)
        .describe('The best 1/eta of each rung go on to the next, eta times as long'),
    })
    .nullable()
    .default(null)
    .describe(
      'Stops poor trials early: successive halving, promoted as results come in (ASHA, arXiv 1810.05934). The last rung is all of `base.duration`, for which the learning-rate schedule is made from the start. Null: every trial runs to its end',
    ),
  objective: z
    .strictObject({
      metric: z.string().min(1).max(200).describe('Name of a metric, such as `loss` or `eval/zeroshot/top1`'),
      goal: z.enum(['min', 'max']).describe('Which is better, less or more'),
    })
    .describe('What is best, judged at the end of each rung and of the trial'),
  constraints: z
    .array(z.string().max(300))
    .max(16)
    .default([])
    .describe(
      'What a trial must keep, such as `speed/samples_per_second >= 100` or `loss < 4`; one that breaks it at the end of a rung goes no further and is never the best',
    ),
  maxConcurrent: positive.max(LIMITS.sweepConcurrentTrials).default(1).describe('Trials that run at a time'),
  seed: count.max(4_294_967_295).default(0).describe('Seed of the values of random trials'),
});
export type SweepSpec = z.infer<typeof sweepSpecSchema>;
export type SweepSpecInput = z.input<typeof sweepSpecSchema>;

/** Validates a sweep spec but for its trials, and fills in its defaults. Throws `sweep_invalid` with every wrong field named. */
export function parseSweepSpec(input: unknown): SweepSpec {
  const parsed = sweepSpecSchema.safeParse(input);
  const fields = parsed.success
    ? problemsAcross(parsed.data)
    : fieldProblems(parsed.error, input, 'Correct this value; the sweep spec reference documents each field.');
  if (fields.length > 0)
    throw new ClipyardError('sweep_invalid', fields.map((f) => `${f.path}: ${f.message}`).join('; '), { fields });
  return parsed.data!;
}

function problemsAcross(spec: SweepSpec): FieldProblem[] {
  const paths = Object.keys(spec.parameters);
  const problems: FieldProblem[] = [];
  const problem = (path: string, message: string, value: unknown, remedy: string): void =>
    void problems.push({ path, message, value, remedy });
  if (JSON.stringify(spec).includes('\\u0000')) problem('(root)', 'holds the character NUL', undefined, 'Remove it.');
  if (paths.length === 0) problem('parameters', 'is empty', {}, 'Name at least one field to search.');
  for (const path of paths) {
    const parameter = spec.parameters[path]!;
    const at = `parameters.${path}`;
    if (/^(version|name)(\.|$)/.test(path))
      problem(at, 'cannot be searched', path, 'Search fields that change what a run computes.');
    if (spec.halving !== null && /^duration(\.|$)/.test(path))
      problem(at, 'cannot be searched with halving, whose rungs are the same for all', path, 'Leave out `halving`.');
    const outer = paths.find((other) => path.startsWith(`${other}.`));
    if (outer !== undefined) problem(at, `lies within ${outer}, which is searched too`, path, 'Search one of them.');
    if (parameter.type === 'choice') continue;
    const { min, max, points } = parameter;
    if (min >= max) problem(`${at}.min`, `is not less than max (${max})`, min, 'Make min less than max.');
    if (spec.search.type === 'grid' && points === undefined)
      problem(`${at}.points`, 'is missing', undefined, 'Say how many points the grid has here, or use `type: choice`.');
    if (spec.search.type === 'random' && points !== undefined)
      problem(`${at}.points`, 'is for `search.type: grid` only', points, 'Remove it.');
    if (parameter.type === 'int' && points !== undefined && points > max - min + 1)
      problem(`${at}.points`, `is more than the ${max - min + 1} integers there are`, points, 'Use fewer points.');
  }
  const objective = metricProblem('objective.metric', spec.objective.metric);
  if (objective !== undefined) problems.push(objective);
  spec.constraints.forEach((text, i) => {
    const path = `constraints[${i}]`;
    const constraint = parseConstraint(text);
    if (constraint === undefined)
      problem(path, 'is not `<metric> <comparison> <number>`', text, 'Write it as `loss < 4`, with one of < <= > >=.');
    else problems.push(...[metricProblem(path, constraint.metric)].filter((found) => found !== undefined));
  });
  return problems;
}

/** An error about one field of a sweep spec. */
export const sweepError = (path: string, message: string, value: unknown, remedy: string): ClipyardError =>
  fieldError('sweep_invalid', { path, message, value, remedy });
