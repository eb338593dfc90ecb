#!/usr/bin/env node
/**
 * Writes the reference that is made from the contracts and other sources: run spec, errors, limits, metrics, the routes of
 * the REST page and the OpenAPI document.
 * Usage: npm run build && node scripts/docs.mjs. A test compares the pages with what this renders.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  ERRORS,
  LIMITS,
  METRICS,
  OPERATIONS,
  openApiDocument,
  parameterSchema,
  runSpecSchema,
  sweepSpecSchema,
} from '@clipyard/contracts';
import { constantLimits } from './limit-constants.mjs';
import { renderFields, renderUnion } from './schema-table.mjs';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const VERSION = JSON.parse(readFileSync(join(ROOT, 'apps/api/package.json'), 'utf8')).version;
const NOTE = 'Made from the sources by `node scripts/docs.mjs`; edit those, not this page.';

/** @returns {Record<string, string>} the text of each page, by its path from the root of the tree */
export function renderReference() {
  return {
    'docs/reference/run-spec.md': runSpecPage(),
    'docs/reference/sweep-spec.md': sweepSpecPage(),
    'docs/reference/errors.md': errorsPage(),
    'docs/reference/limits.md': limitsPage(
      readFileSync(join(ROOT, 'packages/contracts/src/limits.ts'), 'utf8'),
      LIMITS,
      constantLimits(ROOT),
    ),
    'docs/reference/metrics.md': metricsPage(),
    'docs/reference/rest.md': withRoutes(readFileSync(join(ROOT, 'docs/reference/rest.md'), 'utf8')),
    'docs/reference/openapi.json': `${JSON.stringify(openApiDocument(VERSION), null, 2)}\n`,
  };
}

function runSpecPage() {
  return page('Run spec, version 1', [
    'Everything that decides what a run computes. It is JSON over REST; the CLI and the examples also read YAML. The',
    'server fills in the defaults, stores the whole spec with the job and returns it. A field that is not listed here is',
    'refused, as is a value of the wrong type: nothing is guessed. The smallest spec:',
    '',
    '```yaml',
    'version: 1',
    'name: first',
    'model: { preset: clip-tiny }',
    'data: { train: { type: shapes } }',
    'batch: { global: 128 }',
    'duration: { steps: 100 }',
    '```',
    '',
    'Across fields: exactly one of `model.preset` and `model.config`; `resources.world.min` at most `max`; `batch.global`',
    'divisible by at least one number of ranks from `min` to `max` (only such numbers are used) and by `batch.micro`;',
    '`data.eval` present when `evaluate.tasks` is not empty.',
    '',
    ...renderFields(runSpecSchema.toJSONSchema({ io: 'input' })),
  ]);
}

function sweepSpecPage() {
  return page('Sweep spec, version 1', [
    'A search for the best values of some fields of a [run spec](run-spec.md); the [guide](../guides/sweeps.md) tells how to',
    'use it. It is JSON over REST; the CLI and the examples also read YAML. The smallest spec:',
    '',
    '```yaml',
    'version: 1',
    'name: rates',
    'base: shapes.yaml',
    'parameters: { optimizer.lr: { type: logUniform, min: 1.0e-4, max: 1.0e-2 } }',
    'search: { type: random, trials: 8 }',
    'objective: { metric: loss, goal: min }',
    '```',
    '',
    'Across fields: with `search.type: grid` every range has `points`, else none has; no path of `parameters` lies within',
    'another; with `halving` the duration is not searched, `halving.first` is in its unit and at most 1/eta of it; metrics named',
    '`eval/…` need `evaluate.tasks` in the base; at most 1,000 trials. Every trial must be a valid run spec.',
    '',
    ...renderFields(sweepSpecSchema.toJSONSchema({ io: 'input' })),
    '',
    '## Values of `parameters`',
    '',
    'A field each, by its dotted path. Drawn and grid values of `uniform` and `logUniform` have four significant digits.',
    '',
    ...renderUnion(parameterSchema.toJSONSchema({ io: 'input' })),
  ]);
}

function errorsPage() {
  const rows = Object.entries(ERRORS).map(
    ([code, entry]) =>
      `| \`${code}\` | ${entry.status} | ${entry.fault} | ${entry.retryable ? 'yes' : 'no'} | ${entry.title} |`,
  );
  return page('Errors', [
    'Every failure that a person or a program may have to act on has one of these codes: in the body of a REST response,',
    'in `job.error`, in `rank.error` and in the log. Codes are stable; messages are for people.',
    '',
    'A REST error is `application/problem+json` (RFC 9457):',
    '',
    '```json',
    '{',
    '  "type": "urn:clipyard:error:batch_not_divisible",',
    '  "title": "The global batch does not divide evenly",',
    '  "status": 422,',
    '  "code": "batch_not_divisible",',
    '  "detail": "batch.global: is not divisible by batch.micro (48). Use a multiple of 48, such as 144.",',
    '  "errors": [',
    '    {',
    '      "path": "batch.global",',
    '      "message": "is not divisible by batch.micro (48)",',
    '      "value": 128,',
    '      "remedy": "Use a multiple of 48, such as 144."',
    '    }',
    '  ],',
    '  "requestId": "req-1"',
    '}',
    '```',
    '',
    '`errors` names every wrong field with its path, the value given and what to do. *Fault* says which restart budget of',
    'the job a failure is charged to (`restarts.user` or `restarts.infrastructure`); *retry* says whether the same request',
    'may succeed later.',
    '',
    '| code | status | fault | retry | meaning |',
    '|---|---|---|---|---|',
    ...rows,
  ]);
}

/** The table of routes below `## Routes`, in a page that is written by hand otherwise. */
function withRoutes(text) {
  const rows = Object.values(OPERATIONS).map(({ method, path, scope, allProjects, does, query }) => {
    const parameters = Object.entries(query?.shape ?? {}).map(([name, { description }]) =>
      description === undefined ? `\`${name}\`` : `\`${name}\` (${description})`,
    );
    const needs = scope === 'none' ? 'no token' : `\`${scope}\`${allProjects === true ? ', all projects' : ''}`;
    return `| \`${method} ${path}\` | ${needs} | ${[does, ...(parameters.length > 0 ? [parameters.join(', ')] : [])].join('; ')} |`;
  });
  const table = ['| route | scope | does; query parameters |', '|---|---|---|', ...rows].join('\n');
  return text.replace(/(?<=## Routes\n\n)(?:\|.*\n)+/, `${table}\n`);
}

/** The comment above each limit is its meaning, so that there is one place to write it. */
export function limitsPage(source, limits, constants = []) {
  const meanings = new Map();
  for (const [, comment, name] of source.matchAll(/\/\*\*\s*([^*]*(?:\*(?!\/)[^*]*)*)\*\/\s*(\w+):/g)) {
    meanings.set(name, comment.replace(/\s*\n\s*\*?\s*/g, ' ').trim());
  }
  const rows = Object.entries(limits).map(([name, value]) => {
    const meaning = meanings.get(name);
    if (meaning === undefined) throw new Error(`limits.ts: ${name} has no comment that says what it limits`);
    return `| \`${name}\` | ${amount(name, value)} | ${meaning} |`;
  });
  return page('Limits', [
    'Every buffer, queue, frame and body has a limit; these are all of them, apart from the ranges of the',
    '[run spec](run-spec.md). They are constants of the release, the same on every process.',
    '',
    '## Shared by several processes',
    '',
    '| name | value | meaning |',
    '|---|---|---|',
    ...rows,
    '',
    '## Of one part',
    '',
    'Constants of the files that use them.',
    '',
    '| where | name | value | meaning |',
    '|---|---|---|---|',
    ...constants.map(
      ({ file, name, value, meaning }) => `| \`${file}\` | \`${name}\` | ${amount(name, value)} | ${meaning} |`,
    ),
  ]);
}

function amount(name, value) {
  if (/bytes$/i.test(name)) {
    for (const [unit, size] of [
      ['GiB', 2 ** 30],
      ['MiB', 2 ** 20],
      ['KiB', 2 ** 10],
    ]) {
      if (value % size === 0) return `${value / size} ${unit}`;
    }
  }
  if (/ms$/i.test(name)) return value < 1000 ? `${value} ms` : `${value / 1000} s`;
  return value.toLocaleString('en-US');
}

function metricsPage() {
  return page('Metrics', [
    'What ranks report while they train. `GET /v1/jobs/:id/metrics` returns them by step, the `metrics` and `evaluation`',
    'events carry them live, and `latest` of a job holds the newest value of each. Times are wall time in milliseconds.',
    '',
    '| name | meaning |',
    '|---|---|',
    ...Object.entries(METRICS).map(([name, meaning]) => `| \`${name}\` | ${meaning} |`),
  ]);
}

function page(title, lines) {
  return `# ${title}\n\n${lines.join('\n').trimEnd()}\n\n---\n${NOTE}\n`;
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  for (const [path, text] of Object.entries(renderReference())) {
    mkdirSync(dirname(join(ROOT, path)), { recursive: true });
    writeFileSync(join(ROOT, path), text);
    console.log(path);
  }
}
