import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/**
 * Benchmarks that compare programs which take turns, each in a process of its own. A side makes some steps to warm up
 * and then as many as each line of its input says; it answers with a line of JSON each time, as do the Python programs
 * `scripts/reference/torch_step.py` and `torch_loss.py`.
 */

/** A side's first answer. */
export interface SideReady {
  /** Of the steps to warm up. */
  readonly losses: readonly number[];
  /** From its beginning to the end of the warm-up. */
  readonly readySeconds: number;
  /** Peak so far. */
  readonly rssMib: number;
}

/** Its answer to each turn. */
export interface SideTurn {
  readonly ms: readonly number[];
  readonly rssMib: number;
}

export interface SideOptions {
  readonly cwd?: string;
  /** Default: the environment of this process. */
  readonly env?: NodeJS.ProcessEnv;
}

/** The process of a side, as the benchmark sees it. */
export class BenchSide {
  /** Median milliseconds of a step, turn by turn. */
  readonly times: number[] = [];
  #last: SideTurn | undefined;
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(
    readonly name: string,
    command: string,
    args: readonly string[],
    { cwd, env }: SideOptions = {},
  ) {
    this.#child = spawn(command, args, { cwd, env, stdio: ['pipe', 'pipe', 'inherit'] });
    this.#lines = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]();
  }

  /** Of the last turn. */
  get last(): SideTurn {
    if (this.#last === undefined) throw new Error(`${this.name} has had no turn`);
    return this.#last;
  }

  /** Waits for the warm-up. Throws when the process has ended. */
  ready(): Promise<SideReady> {
    return this.#answer() as Promise<SideReady>;
  }

  /** Makes steps and notes their median time. Throws when the process has ended. */
  async turn(steps: number): Promise<void> {
    this.#child.stdin!.write(`${steps}\n`);
    this.#last = (await this.#answer()) as SideTurn;
    this.times.push(median(this.#last.ms));
  }

  /** Ends the process. */
  async close(): Promise<void> {
    this.#child.stdin!.end();
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'exit');
  }

  async #answer(): Promise<unknown> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`${this.name} ended early`);
    return JSON.parse(value);
  }
}

export interface StepAnswers {
  /** One step; resolves with its loss. */
  readonly step: () => number | Promise<number>;
  readonly warmup: number;
  /** `performance.now()` at the beginning. */
  readonly started: number;
  /** More to tell in the first answer. */
  readonly ready?: Readonly<Record<string, unknown>>;
  /** Begins to watch a turn; what it returns is called with the number of steps and tells more of the turn. */
  readonly observe?: () => (steps: number) => Readonly<Record<string, unknown>>;
}

/** The other end of a BenchSide, in its process: resolves when the benchmark asks for no more. */
export async function answerSteps(answers: StepAnswers): Promise<void> {
  const { step, warmup, started, ready = {}, observe = () => () => ({}) } = answers;
  const say = (message: object): void =>
    console.log(JSON.stringify({ ...message, rssMib: Math.round(process.resourceUsage().maxRSS / 1024) }));
  const losses: number[] = [];
  for (let i = 0; i < warmup; i++) losses.push(await step());
  say({ losses, readySeconds: (performance.now() - started) / 1000, ...ready });
  for await (const line of createInterface({ input: process.stdin })) {
    const observed = observe();
    const ms: number[] = [];
    for (let i = 0; i < Number(line); i++) {
      const start = performance.now();
      await step();
      ms.push(performance.now() - start);
    }
    say({ ms, ...observed(ms.length) });
  }
}

/** Throws when a side's first losses differ from ours by more than `tolerance`, relative. */
export function checkLosses(
  what: string,
  ours: { readonly name: string; readonly losses: readonly number[] },
  theirs: { readonly name: string; readonly losses: readonly number[] },
  tolerance: number,
): void {
  const near = (loss: number, expected: number): boolean => Math.abs(loss - expected) <= tolerance * Math.abs(expected);
  if (
    ours.losses.length === theirs.losses.length &&
    theirs.losses.every((loss, step) => near(loss, ours.losses[step]!))
  ) {
    return;
  }
  const told = [ours, theirs].map(({ name, losses }) => `${name} ${losses.join(' ')}`);
  throw new Error(`${what}: the losses differ: ${told.join(' | ')}`);
}

/** Median of `values`, which must not be empty. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
