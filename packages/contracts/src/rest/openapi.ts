import { z } from 'zod';
import {
  auditEventSchema,
  callerSchema,
  createdTokenSchema,
  newTokenSchema,
  signInSchema,
  tokenSchema,
} from '../access.js';
import {
  attemptSchema,
  checkpointSchema,
  EVENT_TYPES,
  evaluationSchema,
  healthSchema,
  jobEventSchema,
  jobSchema,
  logLineSchema,
  metricItemSchema,
  metricNameSchema,
  metricPointSchema,
  metricSeriesSchema,
  nodeSchema,
  problemSchema,
  rankSchema,
} from '../api.js';
import { ERRORS, type ErrorCode } from '../errors.js';
import { pictureMatchSchema, similaritySchema } from '../inspection.js';
import { LIMITS } from '../limits.js';
import { runSpecSchema } from '../run-spec/run-spec.js';
import { sweepSchema, trialSchema } from '../sweep/sweep-api.js';
import { sweepSpecSchema } from '../sweep/sweep-spec.js';
import {
  createdWebhookSchema,
  deliverySchema,
  newWebhookSchema,
  webhookPatchSchema,
  webhookSchema,
} from '../webhooks.js';
import { ANSWER_EXAMPLES } from './answer-examples.js';
import { forkSchema, jobPatchSchema, queueEntrySchema } from './job-actions.js';
import { isTagged, type Operation } from './operation.js';
import { OPERATIONS } from './operations.js';

type Json = Readonly<Record<string, unknown>>;

/** Schemas that clients get, by their names in the document. */
const ANSWERS = {
  Attempt: attemptSchema,
  AuditEvent: auditEventSchema,
  Caller: callerSchema,
  Checkpoint: checkpointSchema,
  CreatedToken: createdTokenSchema,
  CreatedWebhook: createdWebhookSchema,
  Delivery: deliverySchema,
  Evaluation: evaluationSchema,
  Health: healthSchema,
  Job: jobSchema,
  JobEvent: jobEventSchema,
  LogLine: logLineSchema,
  MetricItem: metricItemSchema,
  MetricName: metricNameSchema,
  MetricPoint: metricPointSchema,
  MetricSeries: metricSeriesSchema,
  Node: nodeSchema,
  PictureMatch: pictureMatchSchema,
  Problem: problemSchema,
  QueueEntry: queueEntrySchema,
  Rank: rankSchema,
  Similarity: similaritySchema,
  Sweep: sweepSchema,
  Token: tokenSchema,
  Trial: trialSchema,
  Webhook: webhookSchema,
  /** With the defaults filled in. */
  StoredRunSpec: runSpecSchema,
  StoredSweepSpec: sweepSpecSchema,
} as const;

/** Schemas that clients send. */
const REQUESTS = {
  Fork: forkSchema,
  JobPatch: jobPatchSchema,
  NewWebhook: newWebhookSchema,
  WebhookPatch: webhookPatchSchema,
  NewToken: newTokenSchema,
  RunSpec: runSpecSchema,
  SignIn: signInSchema,
  SweepSpec: sweepSpecSchema,
} as const;

/** What any route may answer with. */
const EVERYWHERE: readonly ErrorCode[] = ['request_invalid', 'internal', 'database_unavailable'];
/** What any route that needs a token may answer with. */
const BY_TOKEN: readonly ErrorCode[] = [
  'token_required',
  'token_invalid',
  'scope_insufficient',
  'origin_refused',
  'rate_limited',
];

const EXAMPLE_SPEC: z.input<typeof runSpecSchema> = {
  version: 1,
  name: 'first',
  model: { preset: 'clip-tiny' },
  data: { train: { type: 'shapes' } },
  batch: { global: 128 },
  duration: { steps: 100 },
};
const EXAMPLES: Readonly<Record<keyof typeof REQUESTS, Json>> = {
  Fork: { step: 200, set: { 'optimizer.lr': 1e-4, 'duration.steps': 400 } },
  NewWebhook: { url: 'https://example.org/clipyard', events: ['job.state'], labels: { team: 'vision' } },
  WebhookPatch: { active: true },
  JobPatch: { priority: 80, labels: { team: 'vision', draft: null } },
  NewToken: { name: 'ci', scopes: ['submit'], project: 'vision', expiresInDays: 30 },
  RunSpec: EXAMPLE_SPEC as Json,
  SignIn: { token: 'cy_0123456789ab_the-rest-of-the-token' },
  SweepSpec: {
    version: 1,
    name: 'rates',
    base: EXAMPLE_SPEC,
    parameters: { 'optimizer.lr': { type: 'logUniform', min: 1e-4, max: 1e-2 } },
    search: { type: 'random', trials: 8 },
    objective: { metric: 'loss', goal: 'min' },
  },
};

const TOKEN_DESCRIPTION =
  'A token, as `clipyard token create` makes it. A server that listens on loopback may need none: who asks is then `local`.';

/** The REST API as an OpenAPI 3.1 document, for a release of this version. */
export function openApiDocument(version: string): Json {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Clipyard',
      version,
      description: 'Trains CLIP-style models on many machines. Times are ISO 8601 in UTC.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/' }],
    tags: [...new Set(Object.values(OPERATIONS).map(({ tag }) => tag))].map((name) => ({ name })),
    paths: paths(),
    security: [{ token: [] }],
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer', description: TOKEN_DESCRIPTION } },
      schemas: { ...components(REQUESTS, 'input'), ...components(ANSWERS, 'output') },
    },
  };
}

function paths(): Json {
  const all: Record<string, Record<string, Json>> = {};
  for (const [id, operation] of Object.entries(OPERATIONS)) {
    const path = operation.path.replace(/:(\w+)/g, '{$1}');
    all[path] ??= {};
    all[path][operation.method.toLowerCase()] = pathItem(id, operation);
  }
  return all;
}

function pathItem(operationId: string, operation: Operation): Json {
  const { tag, does, body, answer, scope } = operation;
  const errors = [
    ...operation.errors,
    ...EVERYWHERE,
    ...(scope === 'none' ? [] : BY_TOKEN),
    ...(body === undefined ? [] : (['payload_too_large'] as const)),
  ];
  return {
    operationId,
    tags: [tag],
    summary: does.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1'),
    ...(scope === 'none' ? { security: [] } : { 'x-scope': scope }),
    parameters: parameters(operation),
    ...(body !== undefined && {
      requestBody: {
        required: true,
        description: `At most ${LIMITS.requestBodyBytes} bytes.`,
        content: {
          'application/json': { schema: reference(body, REQUESTS), example: EXAMPLES[nameOf(body, REQUESTS)] },
        },
      },
    }),
    responses: { ...tagged(operation, success(answer)), ...failures(errors), ...other(answer) },
  };
}

const TAG_HEADER = { ETag: { description: 'Names this answer.', schema: { type: 'string' } } };

/** The answer of success with its ETag, and the one to those who have it. */
function tagged(operation: Operation, answers: Json): Json {
  if (!isTagged(operation)) return answers;
  const { 200: answer } = answers as { 200: Json };
  const known = { 304: { description: 'It is what `If-None-Match` names.', headers: TAG_HEADER } };
  return { 200: { ...answer, headers: TAG_HEADER }, ...(operation.method === 'GET' ? known : {}) };
}

function parameters(operation: Operation): Json[] {
  const { method, path, query, idempotent, answer } = operation;
  const inPath = [...path.matchAll(/:(\w+)/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
  const { properties = {} } = query === undefined ? {} : z.toJSONSchema(query, { io: 'input', unrepresentable: 'any' });
  const inQuery = Object.entries(properties).map(([name, schema]) => ({ name, in: 'query', schema }));
  const header = (name: string, description: string, schema: Json): Json => ({
    name,
    in: 'header',
    description,
    schema,
  });
  return [
    ...inPath,
    ...inQuery,
    ...(idempotent === true
      ? [
          header('Idempotency-Key', 'The same request may be sent again with it: it is carried out once.', {
            type: 'string',
            pattern: '^[\\x21-\\x7e]{1,255}$',
          }),
        ]
      : []),
    ...(method === 'GET' && isTagged(operation)
      ? [header('If-None-Match', 'ETags of answers that are at hand.', { type: 'string' })]
      : []),
    ...(method === 'PATCH' ? [header('If-Match', 'The ETag of what is to be changed.', { type: 'string' })] : []),
    ...(answer.type === 'file'
      ? [
          header('Range', 'The bytes that are wanted.', { type: 'string' }),
          header('If-Range', 'The ETag of the file that they are of.', { type: 'string' }),
        ]
      : []),
    ...(answer.type === 'events'
      ? [header('Last-Event-ID', 'As `after`.', { type: 'string', pattern: '^\\d{1,19}$' })]
      : []),
  ];
}

function content(type: string, schema: Json, example?: unknown): Json {
  return { [type]: { schema, ...(example === undefined ? {} : { example }) } };
}

const exampleOf = (schema: z.ZodType): unknown => ANSWER_EXAMPLES[nameOf(schema, ANSWERS)];

function success(answer: Operation['answer']): Json {
  switch (answer.type) {
    case 'one':
      return {
        [answer.status]: {
          description: answer.status === 201 ? 'It was made.' : 'It.',
          ...(answer.status === 201 && {
            headers: { Location: { description: 'Its path.', schema: { type: 'string' } } },
          }),
          content: content('application/json', reference(answer.schema, ANSWERS), exampleOf(answer.schema)),
        },
      };
    case 'list': {
      const example = exampleOf(answer.schema);
      const page = example === undefined ? undefined : { items: [example], nextCursor: null };
      return {
        200: {
          description: 'A page of them.',
          content: content(
            'application/json',
            {
              type: 'object',
              required: ['items', 'nextCursor'],
              properties: {
                items: { type: 'array', items: reference(answer.schema, ANSWERS) },
                nextCursor: { type: ['string', 'null'], description: 'Give it as `cursor` to get what follows.' },
              },
            },
            page,
          ),
        },
      };
    }
    case 'nothing':
      return { 204: { description: 'It is done.' } };
    case 'file': {
      const headers = { ETag: { description: 'Its sha256.', schema: { type: 'string' } } };
      const bytes = { 'application/octet-stream': {} };
      return {
        200: { description: 'Its bytes.', headers, content: bytes },
        206: { description: 'The bytes that `Range` names.', headers, content: bytes },
      };
    }
    case 'picture':
      return { 200: { description: 'The picture.', content: { 'image/png': {} } } };
    case 'events':
      return {
        200: {
          description: `Server-sent events: \`id\`, \`event\` (${EVENT_TYPES.join(', ')}, end) and \`data\`, a JobEvent.`,
          content: { 'text/event-stream': {} },
        },
        204: { description: 'The job has ended and everything was sent.' },
      };
    case 'text':
      return { 200: { description: 'In the text format of Prometheus.', content: { 'text/plain': {} } } };
    case 'json':
      return { 200: { description: 'It.', content: content('application/json', { type: 'object' }) } };
  }
}

/** In place of the errors with its status. */
function other(answer: Operation['answer']): Json {
  if (answer.type !== 'one' || answer.or === undefined) return {};
  const body = content('application/json', reference(answer.schema, ANSWERS));
  return { [answer.or]: { description: 'Not ready.', content: body } };
}

/** Error answers by status, each with the codes that it may have. */
function failures(codes: readonly ErrorCode[]): Json {
  const statuses = new Set(codes.map((code) => ERRORS[code].status));
  return Object.fromEntries(
    [...statuses].map((status) => [
      status,
      {
        description: [...new Set(codes.filter((code) => ERRORS[code].status === status))]
          .map((code) => `\`${code}\`: ${ERRORS[code].title}`)
          .join('; '),
        content: content('application/problem+json', reference(problemSchema, ANSWERS)),
      },
    ]),
  );
}

type Named = Readonly<Record<string, z.ZodType>>;

function nameOf<N extends Named>(schema: z.ZodType, named: N): keyof N & string {
  const entry = Object.entries(named).find(([, other]) => other === schema);
  if (entry === undefined) throw new Error('a schema of an operation has no name in the OpenAPI document');
  return entry[0];
}

const pointer = (name: string): string => `#/components/schemas/${name}`;
const reference = (schema: z.ZodType, named: Named): Json => ({ $ref: pointer(nameOf(schema, named)) });

function components(named: Named, io: 'input' | 'output'): Json {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(named)) registry.add(schema, { id });
  const { schemas } = z.toJSONSchema(registry, { io, uri: pointer, unrepresentable: 'any' });
  return Object.fromEntries(
    Object.entries(schemas).map(([name, { $schema, $id, ...schema }]) => [name, withoutBounds(schema)]),
  );
}

/** Without the bounds of safe integers, which zod writes for every integer. */
function withoutBounds(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutBounds);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, bound]) => bound !== Number.MAX_SAFE_INTEGER && bound !== Number.MIN_SAFE_INTEGER)
      .map(([key, inner]) => [key, withoutBounds(inner)]),
  );
}
