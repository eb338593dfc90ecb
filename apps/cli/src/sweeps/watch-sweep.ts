import type { Client } from '@clipyard/client';
import { isFinalSweepState, type Sweep, type Trial } from '@clipyard/contracts';
import { sleep } from '@clipyard/runtime';
import { formatNumber } from '../output/format.js';
import type { Terminal } from '../output/terminal.js';
import { bestText, countsText } from './sweep-tables.js';
import { choiceText } from './value-text.js';

/** Between two looks, ms. */
const POLL_MS = 1000;

/** Follows a sweep to its end and prints what becomes of its trials; resolves with the sweep. */
export async function watchSweep(
  client: Client,
  sweepId: string,
  terminal: Terminal,
  { signal, json }: { signal: AbortSignal; json: boolean },
): Promise<Sweep> {
  const seen = new Map<number, string>();
  let state: string | undefined;
  try {
    for (;;) {
      // The sweep first: when it has ended, what its trials have come to is known.
      const sweep = await client.sweeps.get(sweepId, { signal });
      for (const trial of await client.sweeps.trials(sweepId, { signal })) {
        const key = `${trial.state} ${trial.results.length}`;
        const news = seen.get(trial.index) !== key && trial.state !== 'waiting';
        seen.set(trial.index, key);
        if (news) terminal.out(json ? JSON.stringify(trial) : trialLine(sweep, trial));
      }
      if (sweep.state !== state && !json && !isFinalSweepState(sweep.state)) terminal.out(`sweep ${sweep.state}`);
      state = sweep.state;
      terminal.status(`${countsText(sweep)}  best ${bestText(sweep)}`);
      if (isFinalSweepState(sweep.state)) return sweep;
      await sleep(POLL_MS, { signal });
    }
  } finally {
    terminal.status(undefined);
  }
}

function trialLine(sweep: Sweep, trial: Trial): string {
  const { spec, rungs } = sweep;
  const values = Object.entries(trial.values).map(([path, value]) => `${path}=${choiceText(sweep, path, value)}`);
  const result = trial.results.at(-1);
  const rung = rungs.length > 1 ? `rung ${(result?.rung ?? 0) + 1} of ${rungs.length}, ` : '';
  const came =
    result === undefined
      ? ''
      : `, ${rung}step ${result.step}: ${spec.objective.metric} ${formatNumber(result.objective)}`;
  return `trial ${trial.index} ${trial.state}${trial.reason === null ? '' : ` (${trial.reason})`}: ${values.join(' ')}${came}`;
}
