import { fieldError, type OperationId, type Sweep, type SweepState } from '@clipyard/contracts';
import type { Database, NewTrial, Repositories, SweepRow } from '@clipyard/db';
import { newId } from '@clipyard/runtime';
import type { Behalf } from '../access/behalf.js';
import { narrowed, projectFor, sees } from '../access/caller.js';
import { assertSatisfiable } from '../capacity.js';
import { pinCheckpoints } from '../checkpoint-references.js';
import { decodeTimeCursor, encodeTimeCursor } from '../cursor.js';
import { claimKey } from '../idempotency.js';
import { wakeForSweep } from '../messages.js';
import { inSweep, planTrials } from './plan-trials.js';
import type { SweepPlane } from './sweep-plane.js';
import { moveSweep } from './sweep-transitions.js';
import { sweepView, trialView } from './sweep-views.js';

export function createSweepPlane({ database }: { readonly database: Database }, behalf: Behalf): SweepPlane {
  const { caller } = behalf;

  function found(sweepId: string, sweep: SweepRow | null): SweepRow {
    if (sweep !== null && sees(caller, sweep.project)) return sweep;
    throw fieldError('sweep_not_found', {
      path: 'id',
      message: 'is not the id of a sweep',
      value: sweepId,
      remedy: 'List the sweeps with `clipyard sweep ls` or GET /v1/sweeps.',
    });
  }

  const view = async (db: Repositories, row: SweepRow): Promise<Sweep> =>
    sweepView(row, await db.sweeps.trials(row.id));

  const move =
    (action: OperationId, to: SweepState, done: { reason: string; finishedAt?: () => Date }) => (sweepId: string) =>
      database.transaction(async (tx) => {
        const sweep = found(sweepId, await tx.sweeps.lock(sweepId));
        const { reason, finishedAt } = done;
        const moved = await moveSweep(tx, sweep, to, { reason, ...(finishedAt && { finishedAt: finishedAt() }) });
        await wakeForSweep(tx, sweepId);
        const details = { name: sweep.name, from: sweep.state, to };
        await behalf.record(tx, action, { target: sweepId, project: sweep.project, details });
        return await view(tx, moved);
      });

  return {
    async submit(spec, { idempotencyKey, project: asked, checkTrial } = {}) {
      const project = projectFor(caller, asked);
      const plans = planTrials(spec, checkTrial);
      return await database.transaction(async (tx) => {
        const id = newId('sweep');
        const known =
          idempotencyKey === undefined ? id : await claimKey(tx, { project, key: idempotencyKey }, { sweep: spec }, id);
        if (known !== id) {
          behalf.changesNothing();
          return { sweep: await view(tx, found(known, await tx.sweeps.find(known))), created: false };
        }
        const trials: NewTrial[] = [];
        for (const [index, { values, spec: plan }] of plans.entries()) {
          try {
            await assertSatisfiable(tx, plan);
            const labels = { ...plan.labels, sweep: id, trial: String(index) };
            trials.push({ values, spec: await pinCheckpoints(tx, { ...plan, labels }, caller) });
          } catch (error) {
            throw inSweep(error, index, values);
          }
        }
        const sweep = await tx.sweeps.create(id, project, spec, trials);
        await wakeForSweep(tx, id);
        await behalf.record(tx, 'submitSweep', { target: id, project, details: { name: spec.name } });
        return { sweep: await view(tx, sweep), created: true };
      });
    },

    get: (sweepId) => database.read(async (db) => view(db, found(sweepId, await db.sweeps.find(sweepId)))),

    async list({ project, cursor, limit, ...filter }) {
      const after = cursor === undefined ? {} : { after: decodeTimeCursor(cursor) };
      const within = narrowed(caller, project);
      if (within === undefined) return { items: [], nextCursor: null };
      return await database.read(async (db) => {
        const rows = await db.sweeps.list({ ...filter, ...within, ...after, limit: limit + 1 });
        const items = rows.slice(0, limit);
        return {
          items: await Promise.all(items.map((row) => view(db, row))),
          nextCursor: rows.length > limit ? encodeTimeCursor(items.at(-1)!) : null,
        };
      });
    },

    trials: (sweepId) =>
      database.read(async (db) => {
        const sweep = found(sweepId, await db.sweeps.find(sweepId));
        return (await db.sweeps.trials(sweepId)).map((row) => trialView(row, sweep));
      }),

    pause: move('pauseSweep', 'paused', { reason: 'paused by request' }),
    resume: move('resumeSweep', 'running', { reason: 'resumed by request' }),
    cancel: move('cancelSweep', 'cancelled', { reason: 'cancelled by request', finishedAt: () => new Date() }),
  };
}
