/**
 * The one table of coded errors. `status` is the HTTP status, `fault` says who can mend it: a `user` fault is not
 * cured by running again, an `infrastructure` fault may be, and each has its own restart budget.
 */
export const ERRORS = {
  request_invalid: { status: 400, retryable: false, fault: 'user', title: 'The request is not valid' },
  not_found: { status: 404, retryable: false, fault: 'user', title: 'There is no such resource' },
  method_not_allowed: {
    status: 405,
    retryable: false,
    fault: 'user',
    title: 'The resource is there, but not with this method',
  },
  token_required: { status: 401, retryable: false, fault: 'user', title: 'The request has no token' },
  token_invalid: { status: 401, retryable: false, fault: 'user', title: 'The token is not valid, or not any more' },
  scope_insufficient: { status: 403, retryable: false, fault: 'user', title: 'The token does not allow this' },
  origin_refused: {
    status: 403,
    retryable: false,
    fault: 'user',
    title: 'A request without a token came by way of a page of another site',
  },
  webhook_not_found: { status: 404, retryable: false, fault: 'user', title: 'There is no such webhook' },
  rate_limited: { status: 429, retryable: true, fault: 'user', title: 'More requests than are allowed in a minute' },
  token_not_found: { status: 404, retryable: false, fault: 'user', title: 'There is no such token' },
  job_not_found: { status: 404, retryable: false, fault: 'user', title: 'There is no such job' },
  job_state_conflict: {
    status: 409,
    retryable: false,
    fault: 'user',
    title: 'The job is not in a state that allows this',
  },
  precondition_failed: {
    status: 412,
    retryable: false,
    fault: 'user',
    title: 'The resource was changed since it was read',
  },
  idempotency_key_reused: {
    status: 422,
    retryable: false,
    fault: 'user',
    title: 'The idempotency key was used with another request',
  },
  spec_invalid: { status: 422, retryable: false, fault: 'user', title: 'The run spec is not valid' },
  spec_version_unsupported: {
    status: 422,
    retryable: false,
    fault: 'user',
    title: 'The run spec is of a version that this server does not read',
  },
  preset_unknown: { status: 422, retryable: false, fault: 'user', title: 'There is no such model preset' },
  model_config_invalid: { status: 422, retryable: false, fault: 'user', title: 'The model config is not valid' },
  tokenizer_invalid: { status: 422, retryable: false, fault: 'user', title: 'A byte-pair vocabulary is not valid' },
  tokenizer_unfit: {
    status: 422,
    retryable: false,
    fault: 'user',
    title: "The tokenizer does not fit the model's vocabulary",
  },
  batch_not_divisible: {
    status: 422,
    retryable: false,
    fault: 'user',
    title: 'The global batch does not divide evenly',
  },
  world_unsatisfiable: {
    status: 422,
    retryable: false,
    fault: 'user',
    title: 'No set of nodes can ever hold this many ranks',
  },
  sweep_invalid: { status: 422, retryable: false, fault: 'user', title: 'The sweep spec is not valid' },
  sweep_not_found: { status: 404, retryable: false, fault: 'user', title: 'There is no such sweep' },
  sweep_state_conflict: {
    status: 409,
    retryable: false,
    fault: 'user',
    title: 'The sweep is not in a state that allows this',
  },
  range_not_satisfiable: { status: 416, retryable: false, fault: 'user', title: 'The file has no such bytes' },
  payload_too_large: { status: 413, retryable: false, fault: 'user', title: 'The request body is too large' },
  data_not_found: { status: 422, retryable: false, fault: 'user', title: 'A data file is missing' },
  data_tar_truncated: { status: 422, retryable: false, fault: 'user', title: 'A tar shard is truncated or damaged' },
  data_table_invalid: { status: 422, retryable: false, fault: 'user', title: 'A CSV or TSV table is not valid' },
  data_label_invalid: { status: 422, retryable: false, fault: 'user', title: 'A class label is not valid' },
  data_empty: { status: 422, retryable: false, fault: 'user', title: 'The data set has no usable sample' },
  image_undecodable: { status: 422, retryable: false, fault: 'user', title: 'A picture cannot be decoded' },
  caption_empty: { status: 422, retryable: false, fault: 'user', title: 'A caption is empty' },
  data_too_many_bad_samples: {
    status: 422,
    retryable: false,
    fault: 'user',
    title: 'More samples are unusable than the run allows',
  },
  loss_not_finite: { status: 422, retryable: false, fault: 'user', title: 'The loss is not a finite number' },
  // Training again does not free space, so it counts as the user's.
  disk_full: { status: 507, retryable: true, fault: 'user', title: 'The disk is full' },
  storage_failed: {
    status: 503,
    retryable: true,
    fault: 'infrastructure',
    title: 'The blob store did not take a write or a read',
  },
  storage_unreachable: {
    status: 503,
    retryable: true,
    fault: 'infrastructure',
    title: 'The blob store is out of reach',
  },
  storage_denied: {
    status: 500,
    retryable: false,
    fault: 'user',
    title: 'The blob store refuses these credentials',
  },
  storage_bucket_missing: { status: 500, retryable: false, fault: 'user', title: 'There is no such bucket' },
  storage_region_wrong: { status: 500, retryable: false, fault: 'user', title: 'The bucket lies in another region' },
  checkpoint_damaged: {
    status: 500,
    retryable: false,
    fault: 'infrastructure',
    title: 'A checkpoint does not match its manifest',
  },
  checkpoint_incompatible: {
    status: 422,
    retryable: false,
    fault: 'user',
    title: 'A checkpoint belongs to another model or run',
  },
  weights_format_unsupported: {
    status: 422,
    retryable: false,
    fault: 'user',
    title: 'Weights are in a format that is not read',
  },
  attempt_stale: {
    status: 409,
    retryable: false,
    fault: 'infrastructure',
    title: 'This attempt no longer holds the job',
  },
  rank_lost: { status: 500, retryable: true, fault: 'infrastructure', title: 'A rank process ended unexpectedly' },
  node_lost: { status: 500, retryable: true, fault: 'infrastructure', title: 'A node stopped renewing its lease' },
  link_closed: {
    status: 500,
    retryable: true,
    fault: 'infrastructure',
    title: 'The connection to another rank closed',
  },
  link_timeout: { status: 500, retryable: true, fault: 'infrastructure', title: 'Another rank did not answer in time' },
  link_refused: {
    status: 500,
    retryable: false,
    fault: 'infrastructure',
    title: 'A handshake between ranks was refused',
  },
  frame_invalid: {
    status: 500,
    retryable: false,
    fault: 'infrastructure',
    title: 'A frame between ranks is not valid',
  },
  engine_unavailable: {
    status: 503,
    retryable: false,
    fault: 'infrastructure',
    title: 'The compute engine cannot start here',
  },
  engine_unsupported: { status: 500, retryable: false, fault: 'user', title: 'The engine does not know an operation' },
  engine_failed: { status: 500, retryable: true, fault: 'infrastructure', title: 'The compute engine failed' },
  engine_out_of_memory: {
    status: 500,
    retryable: false,
    fault: 'user',
    title: 'A program needs more memory than there is',
  },
  port_taken: { status: 500, retryable: false, fault: 'user', title: 'The port is in use' },
  node_too_old: { status: 500, retryable: false, fault: 'user', title: 'This Node.js is too old' },
  node_replaced: {
    status: 409,
    retryable: false,
    fault: 'user',
    title: 'Another worker registered under the name of this node',
  },
  config_invalid: { status: 500, retryable: false, fault: 'user', title: 'The configuration is not valid' },
  database_unavailable: {
    status: 503,
    retryable: true,
    fault: 'infrastructure',
    title: 'The database is out of reach',
  },
  server_unreachable: {
    status: 503,
    retryable: true,
    fault: 'infrastructure',
    title: 'The Clipyard server is out of reach',
  },
  inspector_failed: {
    status: 503,
    retryable: true,
    fault: 'infrastructure',
    title: 'The process that looks into checkpoints ended or took too long',
  },
  process_ended: {
    status: 500,
    retryable: true,
    fault: 'infrastructure',
    title: 'A process of Clipyard ended unexpectedly',
  },
  cancelled: { status: 409, retryable: false, fault: 'user', title: 'The work was cancelled' },
  internal: { status: 500, retryable: false, fault: 'infrastructure', title: 'An unexpected error' },
} as const satisfies Record<string, ErrorEntry>;

interface ErrorEntry {
  readonly status: number;
  readonly retryable: boolean;
  readonly fault: 'user' | 'infrastructure';
  readonly title: string;
}

export type ErrorCode = keyof typeof ERRORS;

/** One field of an input that is wrong: where it is, what was given, what to do. */
export interface FieldProblem {
  /** Dotted path from the root of the input, such as `batch.global` or `data.train.urls[3]`. */
  readonly path: string;
  readonly message: string;
  readonly value?: unknown;
  readonly remedy?: string;
}

/** What crosses process borders in place of an error object. */
export interface SerializedError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly fields: readonly FieldProblem[];
  readonly stack?: string;
}

export interface ClipyardErrorOptions {
  readonly fields?: readonly FieldProblem[];
  readonly cause?: unknown;
}

/** The error that anybody's input, and any failure of a part, becomes. Invariants of our own use `assert` instead. */
export class ClipyardError extends Error {
  readonly code: ErrorCode;
  readonly status: number;
  readonly retryable: boolean;
  readonly fault: 'user' | 'infrastructure';
  readonly fields: readonly FieldProblem[];

  constructor(code: ErrorCode, message: string, options: ClipyardErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'ClipyardError';
    this.code = code;
    const entry = ERRORS[code];
    this.status = entry.status;
    this.retryable = entry.retryable;
    this.fault = entry.fault;
    this.fields = options.fields ?? [];
  }

  /** A copy that survives structured clone and JSON. */
  serialize(): SerializedError {
    return { code: this.code, message: this.message, fields: this.fields, stack: this.stack };
  }

  static deserialize(error: SerializedError): ClipyardError {
    const restored = new ClipyardError(error.code, error.message, { fields: error.fields });
    if (error.stack !== undefined) restored.stack = error.stack;
    return restored;
  }

  /** Wraps anything thrown; a ClipyardError passes through. */
  static from(error: unknown, code: ErrorCode = 'internal'): ClipyardError {
    if (error instanceof ClipyardError) return error;
    const message = error instanceof Error ? error.message : String(error);
    return new ClipyardError(code, message, { cause: error });
  }
}

/** An error about one field of an input, the usual case. */
export function fieldError(code: ErrorCode, problem: FieldProblem): ClipyardError {
  const remedy = problem.remedy === undefined ? '' : ` ${problem.remedy}`;
  return new ClipyardError(code, `${problem.path}: ${problem.message}.${remedy}`, { fields: [problem] });
}

/** The body of an error response (RFC 9457, application/problem+json). */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: ErrorCode;
  readonly detail: string;
  readonly errors: readonly FieldProblem[];
  readonly requestId: string;
}

export function toProblem(error: ClipyardError, requestId: string): Problem {
  return {
    type: `urn:clipyard:error:${error.code}`,
    title: ERRORS[error.code].title,
    status: error.status,
    code: error.code,
    detail: error.message,
    errors: error.fields,
    requestId,
  };
}
