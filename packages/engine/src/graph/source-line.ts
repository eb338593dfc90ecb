/** Frames between a kernel and the model's line: tfjs puts about ten to each operation, and more within gradients. */
const FRAMES = 32;
const MOST_FRAMES = 200;

/** Where this package's own code lies: its `src` or `dist`. */
const ENGINE = new URL('..', import.meta.url).pathname;
const LOCATION = /\(?((?:file:\/\/)?[^()\s][^()]*):(\d+):\d+\)?$/;

/** A place in a caller's code, and which tfjs operation was called there. */
export interface CallSite {
  /** As `packages/model/src/towers.ts:88`; for what tfjs does there to go backward, `packages/model/src/towers.ts:88 (gradient)`. */
  readonly source: string;
  /** As `matMul`; undefined where tfjs was not called there. */
  readonly operation: string | undefined;
}

/** The line whose gradient is being made, as a call site names it. */
let differentiated: string | undefined;
const differentiatedAt = new WeakMap<Error, string>();
/** Stacks below this function tell who asked for a gradient, not what it is of. */
const BOUNDARY = 'inGradientOf';

/** Runs a part of a backward pass: what it makes, and the errors it throws, are of the line `source` unless `fn` has lines of its own. */
export function inGradientOf<T>(source: string, fn: () => T): T {
  const outer = differentiated;
  differentiated = source.endsWith(GRADIENT) ? source : `${source}${GRADIENT}`;
  try {
    return fn();
  } catch (error) {
    if (error instanceof Error && !differentiatedAt.has(error)) differentiatedAt.set(error, differentiated);
    throw error;
  } finally {
    differentiated = outer;
  }
}

const GRADIENT = ' (gradient)';

/** The first place in an error's stack that is neither Node's, nor a dependency's, nor the engine's own. */
export const callSiteOf = (error: Error): CallSite | undefined =>
  firstCallSite(error.stack ?? '', differentiatedAt.get(error));

/** `gradientOf`: the line of the model whose gradient it was, where the stack has no line above that pass. */
function firstCallSite(stack: string, gradientOf?: string): CallSite | undefined {
  let operation: string | undefined;
  for (const frame of stack.split('\n').map((line) => line.trim())) {
    if (!frame.startsWith('at ')) continue;
    if (gradientOf !== undefined && new RegExp(`^at (\\w+\\.)*${BOUNDARY} `).test(frame))
      return { source: gradientOf, operation };
    const [, url, line] = LOCATION.exec(frame.slice('at '.length).replace(/^.* \(/, '(')) ?? [];
    operation = /(\w+)__op\b/.exec(frame)?.[1] ?? operation;
    if (url === undefined || !isCallers(url)) continue;
    return { source: `${shortPath(url)}:${line}`, operation };
  }
  return undefined;
}

/** Runs `fn` so that the errors it throws have stacks that reach the model through tfjs's frames. */
export function withDeepStacks<T>(fn: () => T): T {
  const previous = Error.stackTraceLimit;
  Error.stackTraceLimit = MOST_FRAMES;
  try {
    return fn();
  } finally {
    Error.stackTraceLimit = previous;
  }
}

/**
 * Tells where in the caller's code we are, cheaply enough for every operation: places seen before are not formatted
 * again, and only the one frame that counts goes through whatever maps lines to sources.
 */
export class SourceLines {
  private readonly known = new Map<string, string | undefined>();

  /** As the source of a call site. */
  here(): string | undefined {
    return this.find(FRAMES) ?? this.find(MOST_FRAMES);
  }

  private find(frames: number): string | undefined {
    const { stackTraceLimit: limit, prepareStackTrace: prepare } = Error;
    const holder: { stack?: unknown } = {};
    Error.stackTraceLimit = frames;
    const isGradient = (site: NodeJS.CallSite): boolean =>
      differentiated !== undefined && site.getFunctionName() === BOUNDARY;
    Error.prepareStackTrace = (_error, sites) =>
      sites.find((site) => isCallers(site.getFileName()) || isGradient(site));
    try {
      Error.captureStackTrace(holder, this.here);
      const site = holder.stack as NodeJS.CallSite | undefined;
      if (site === undefined) return undefined;
      if (isGradient(site)) return differentiated;
      const key = `${site.getFileName()}:${site.getLineNumber()}:${site.getColumnNumber()}`;
      if (!this.known.has(key)) {
        const text = prepare === undefined ? `at ${key}` : String(prepare(new Error(), [site]));
        this.known.set(key, firstCallSite(text)?.source);
      }
      return this.known.get(key);
    } finally {
      Error.stackTraceLimit = limit;
      Error.prepareStackTrace = prepare;
    }
  }
}

const callers = new Map<string, boolean>();

function isCallers(url: string | null | undefined): boolean {
  if (url == null) return false;
  let is = callers.get(url);
  if (is === undefined) {
    const path = pathOf(url);
    const isEngine = path.startsWith(ENGINE) && !/\.test\.|\/conformance\//.test(path);
    const isDependency = /\/node_modules\/(?!@clipyard\/)(?!.*\/node_modules\/)/.test(path);
    is = path.startsWith('/') && !isEngine && !isDependency;
    callers.set(url, is);
  }
  return is;
}

const pathOf = (url: string): string => url.replace(/^file:\/\//, '').replace(/\?.*$/, '');

/** From the package on, or else the file and its folder: a message should not depend on where a checkout lies. */
function shortPath(url: string): string {
  const path = pathOf(url);
  const inPackage = /\/node_modules\/(?!.*\/node_modules\/)(.*)$/.exec(path) ?? /\/((?:packages|apps)\/.*)$/.exec(path);
  return inPackage?.[1] ?? path.split('/').slice(-2).join('/');
}
