import { setImmediate } from 'node:timers/promises';

/** Longest time that reading may keep the event loop from sockets and timers, ms. */
const MAX_TURN_MS = 4;

/** Ends the turn of the event loop once work has gone on in it for long, so that sockets and timers get theirs. */
export class EventLoopTurns {
  #turnStarted = performance.now();
  /** The end of this turn, when it is being waited for: by all workers together, lest each take a turn's time after it. */
  #ending: Promise<void> | undefined;

  /** Call it between pieces of work that may not wait for anything by themselves. */
  async maybeYield(): Promise<void> {
    if (performance.now() - this.#turnStarted < MAX_TURN_MS) return;
    await (this.#ending ??= this.#endTurn());
  }

  async #endTurn(): Promise<void> {
    await setImmediate();
    this.#turnStarted = performance.now();
    this.#ending = undefined;
  }
}
