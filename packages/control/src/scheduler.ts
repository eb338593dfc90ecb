import { type BlobStore, ClipyardError } from '@clipyard/contracts';
import type { AdvisoryLock, Database } from '@clipyard/db';
import { type MessageBus, type SchedulerMessage, type Subscription, schedulerQueue } from '@clipyard/queue';
import type { Logger } from '@clipyard/runtime';
import { allocateGang } from './allocation.js';
import { FreeSlots } from './free-slots.js';
import { expireLeases } from './leases.js';
import { OutboxRelay } from './outbox-relay.js';
import { settleJobs } from './settle-jobs.js';
import { advanceSweeps } from './sweeps/advance-sweeps.js';
import { explainWaiting } from './waiting.js';
import { WakeableLoop } from './wakeable-loop.js';

export interface SchedulerDeps {
  readonly database: Database;
  readonly bus: MessageBus;
  readonly logger: Pick<Logger, 'info' | 'warn' | 'error'>;
  /** Where checkpoints lie; undefined: those that nothing holds any more once their job has ended stay. */
  readonly store?: Pick<BlobStore, 'delete'>;
}

export interface SchedulerOptions {
  /** Longest time between two looks at leases and waiting jobs, ms. Default 1,000. */
  readonly pollMs?: number;
  /** How often a scheduler that stands by tries to become the leader, ms. Default 1,000. */
  readonly standbyMs?: number;
}

export interface Scheduler {
  start(): Promise<void>;
  /** Whether this one leads now. */
  readonly leads: boolean;
  /** Rounds as the leader so far, and how long the last one took, ms. */
  readonly rounds: { readonly count: number; readonly lastMs: number };
  /** Resolves when it has stopped; another one may take over at once. */
  close(): Promise<void>;
}

/** Jobs looked at in one round. */
const BATCH = 200;
const LEADER_LOCK = 'clipyard.scheduler';

/**
 * Advances sweeps, settles jobs that have ended, starts queued and recovering ones and gives up nodes whose lease ran out.
 * Any number may run; the one that holds the database's advisory lock leads, the others stand by. It also relays the
 * outbox, leading or not.
 */
export function createScheduler(deps: SchedulerDeps, options: SchedulerOptions = {}): Scheduler {
  return new LockedScheduler(deps, { pollMs: options.pollMs ?? 1000, standbyMs: options.standbyMs ?? 1000 });
}

class LockedScheduler implements Scheduler {
  readonly #deps: SchedulerDeps;
  readonly #options: Required<SchedulerOptions>;
  readonly #loop: WakeableLoop;
  readonly #relay: OutboxRelay;
  #lock: AdvisoryLock | undefined;
  #rounds = { count: 0, lastMs: 0 };
  #subscription: Subscription | undefined;

  constructor(deps: SchedulerDeps, options: Required<SchedulerOptions>) {
    this.#deps = deps;
    this.#options = options;
    const { database, bus, logger } = deps;
    const onError = (error: Error): void => logger.error({ err: error }, 'a round of the scheduler failed');
    this.#loop = new WakeableLoop({ onError }, { run: () => this.#round() });
    this.#relay = new OutboxRelay({
      database,
      bus,
      onError: (error) => logger.error({ err: error }, 'messages could not be handed to the queue'),
    });
  }

  get leads(): boolean {
    return this.#lock !== undefined;
  }

  get rounds(): Scheduler['rounds'] {
    return this.#rounds;
  }

  async start(): Promise<void> {
    await this.#relay.start();
    this.#loop.start();
  }

  async close(): Promise<void> {
    await this.#loop.close();
    await this.#stepDown();
    await this.#relay.close();
  }

  /** Returns when the next round is due, ms. */
  async #round(): Promise<number> {
    if (this.#lock === undefined && !(await this.#lead())) return this.#options.standbyMs;
    const { database, logger } = this.#deps;
    const begun = performance.now();
    for (const name of await expireLeases(database)) logger.warn({ node: name }, 'the lease of a node ran out');
    await advanceSweeps(database, logger);
    await settleJobs(database, logger, { removes: this.#deps.store !== undefined });
    await this.#startJobs();
    if (this.#lock !== undefined) await explainWaiting(database);
    const due = await database.read((db) => db.jobs.msToNextDue());
    this.#rounds = { count: this.#rounds.count + 1, lastMs: performance.now() - begun };
    return Math.min(this.#options.pollMs, due === undefined ? Number.POSITIVE_INFINITY : Math.max(1, Math.ceil(due)));
  }

  /**
   * In order of priority and age; one that does not fit now does not hold up those behind it. Only slots that were free
   * at the beginning of the round are given out, so that one coming free in between goes to the first in order too.
   */
  async #startJobs(): Promise<void> {
    const { database, logger } = this.#deps;
    const free = new FreeSlots(await database.read((db) => db.nodes.freeSlots()));
    const jobs = await database.read((db) => db.jobs.startable(free.counts(), BATCH));
    for (const job of jobs) {
      if (free.count(job) < job.minWorld) continue;
      if (this.#lock === undefined) return;
      const taken = await allocateGang(database, job.id, (slot) => free.has(slot));
      free.take(taken);
      if (taken.length > 0) logger.info({ job: job.id, worldSize: taken.length }, 'started an attempt');
    }
  }

  async #lead(): Promise<boolean> {
    const { database, bus, logger } = this.#deps;
    const lock = await database.tryLock(LEADER_LOCK);
    if (lock === undefined) return false;
    this.#lock = lock;
    void lock.lost.then(() => {
      if (this.#lock !== lock) return;
      logger.warn('lost the lock of the leading scheduler');
      this.#stepDown().catch((error: unknown) => logger.error({ err: error }, 'could not step down as scheduler'));
    });
    // Only the leader takes messages.
    try {
      const subscription = await bus.consume(schedulerQueue, (message) => this.#handle(message));
      if (this.#lock !== lock) {
        // Lost meanwhile: nobody would close it later.
        await subscription.close();
        return false;
      }
      this.#subscription = subscription;
    } catch (error) {
      await this.#stepDown();
      throw ClipyardError.from(error, 'database_unavailable');
    }
    logger.info('leads as scheduler');
    return true;
  }

  /** Of most of them the rounds find all there is to do. */
  async #handle(message: SchedulerMessage): Promise<void> {
    this.#loop.wake();
    if (message.type !== 'checkpoints.dropped') return;
    for (const prefix of message.prefixes) await this.#deps.store?.delete(`${prefix}/`);
  }

  async #stepDown(): Promise<void> {
    const [lock, subscription] = [this.#lock, this.#subscription];
    this.#lock = undefined;
    this.#subscription = undefined;
    await subscription?.close();
    await lock?.release();
  }
}
