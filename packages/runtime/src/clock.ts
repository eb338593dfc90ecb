import type { Clock } from '@clipyard/contracts';
import { sleep } from './sleep.js';

/** The clock of this machine. */
export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: (ms, options) => sleep(ms, options),
};
