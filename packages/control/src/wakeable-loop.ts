import { ClipyardError } from '@clipyard/contracts';
import { type Backoff, backoff } from '@clipyard/runtime';

export interface WakeableLoopOptions {
  /** Does a round of work and returns when the next is due, ms. */
  readonly run: () => Promise<number>;
}

/** Runs rounds of work one after another, each when it is due or as soon as somebody wakes it. Failures delay, never end it. */
export class WakeableLoop {
  readonly #onError: (error: Error) => void;
  readonly #run: () => Promise<number>;
  readonly #failures: Backoff = backoff({ initialMs: 100, maxMs: 5000 });
  #woken = false;
  #closed = false;
  #wake: () => void = () => {};
  #running: Promise<void> | undefined;

  constructor(deps: { readonly onError: (error: Error) => void }, options: WakeableLoopOptions) {
    this.#onError = deps.onError;
    this.#run = options.run;
  }

  start(): void {
    this.#running ??= this.#loop();
  }

  /** The next round begins at once, or right after the one that runs. */
  wake(): void {
    this.#woken = true;
    this.#wake();
  }

  /** Resolves when the round that runs is done. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#wake();
    await this.#running;
  }

  async #loop(): Promise<void> {
    while (!this.#closed) {
      this.#woken = false;
      let delayMs: number;
      try {
        delayMs = await this.#run();
        this.#failures.reset();
      } catch (error) {
        this.#onError(ClipyardError.from(error));
        delayMs = this.#failures.next();
      }
      if (!this.#closed && !this.#woken && delayMs > 0) await this.#rest(delayMs);
    }
  }

  async #rest(delayMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, delayMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
