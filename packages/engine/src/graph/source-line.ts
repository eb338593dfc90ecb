/** Frames between a kernel and the model's line: tfjs puts about ten to each operation, and more within gradients. */
const FRAMES = 32;
const MOST_FRAMES = 200;

/** Where this package's own code lies: its `src` or `dist`. */
const ENGINE = new URL('..', import.meta.url).pathname;
const LOCATION = /\(?((?:file:\/\/)?[^()\s][^()]*):(\d+):\d+\)?$/;

/** A place in a caller's code, and which tfjs operation was called there. */
export interface CallSite {
  /** As `packages/model/src/towers.ts:88`. */
  readonly source: string;
  /** As `matMul`; undefined where tfjs was not called there. */
  readonly operation: string | undefined;
}

/** The first place in a stack that is neither Node's, nor a dependency's, nor the engine's own. */
export function callSiteOf(stack: string): CallSite | undefined {
  let operation: string | undefined;
  for (const frame of stack.split('\n').map((line) => line.trim())) {
    if (!frame.startsWith('at ')) continue;
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

  /** As `packages/model/src/towers.ts:88`. */
  here(): string | undefined {
    return this.find(FRAMES) ?? this.find(MOST_FRAMES);
  }

  private find(frames: number): string | undefined {
    const { stackTraceLimit: limit, prepareStackTrace: prepare } = Error;
    const holder: { stack?: unknown } = {};
    Error.stackTraceLimit = frames;
    Error.prepareStackTrace = (_error, sites) => sites.find((site) => isCallers(site.getFileName()));
    try {
      Error.captureStackTrace(holder, this.here);
      const site = holder.stack as NodeJS.CallSite | undefined;
      if (site === undefined) return undefined;
      const key = `${site.getFileName()}:${site.getLineNumber()}:${site.getColumnNumber()}`;
      if (!this.known.has(key)) {
        const text = prepare === undefined ? `at ${key}` : String(prepare(new Error(), [site]));
        this.known.set(key, callSiteOf(text)?.source);
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
