import { ClipyardError, type RankStart } from '@clipyard/contracts';
import type { Fence, NodeControl, NodeLease, NodeMessage, NodeRegistration, RankKey } from '@clipyard/control';
import { deferred, type Logger, sleep } from '@clipyard/runtime';
import { untilAnswered } from './control-retry.js';
import type { RankProcessOptions } from './rank-process.js';
import { RankSession } from './rank-session.js';

export interface AgentDeps {
  readonly control: NodeControl;
  readonly logger: Logger;
}

export interface AgentOptions {
  readonly registration: NodeRegistration;
  readonly process: RankProcessOptions;
  /** What the worker adds to an assignment. */
  readonly place: Pick<
    RankStart,
    'storageUrl' | 'dataDir' | 'dataS3' | 'cacheDir' | 'enginesDir' | 'listenHost' | 'advertiseHost' | 'threads'
  >;
}

const sameAttempt = (a: Fence, b: Fence): boolean => a.jobId === b.jobId && a.epoch === b.epoch;
const rankId = ({ jobId, epoch, rank }: RankKey): string => `${jobId}/${epoch}/${rank}`;

/**
 * The agent of one host: registers it as a node, keeps its lease, launches and stops ranks as the control plane says, and
 * carries their reports there. While the database is out of reach its ranks go on.
 */
export class Agent {
  readonly #deps: AgentDeps;
  readonly #options: AgentOptions;
  readonly #sessions = new Map<string, RankSession>();
  readonly #closing = new AbortController();
  readonly #replaced = deferred<ClipyardError>();
  #held: NodeLease = { nodeId: '', registration: '', leaseMs: 0 };
  /** When the lease was last got or renewed, by performance.now(). */
  #heldAt = Number.NEGATIVE_INFINITY;
  #subscription: { close(): Promise<void> } | undefined;
  #lease: Promise<void> = Promise.resolve();
  #closed: Promise<void> | undefined;

  private constructor(deps: AgentDeps, options: AgentOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  /** Registers the node and begins to serve it. Throws what the control plane throws. */
  static async start(deps: AgentDeps, options: AgentOptions): Promise<Agent> {
    const agent = new Agent(deps, options);
    try {
      await agent.#register();
    } catch (error) {
      await agent.#subscription?.close();
      throw error;
    }
    agent.#lease = agent.#keepLease();
    return agent;
  }

  get nodeId(): string {
    return this.#held.nodeId;
  }

  /** Resolves when another worker has registered under this name: the ranks are killed, and the worker should end. */
  get replaced(): Promise<ClipyardError> {
    return this.#replaced.promise;
  }

  /** `ok` while it holds its lease and takes work, else why not; the lease itself is judged by the database's clock. */
  get health(): string {
    if (this.#closed !== undefined) return 'draining';
    return performance.now() - this.#heldAt < this.#held.leaseMs ? 'ok' : 'its lease could not be renewed';
  }

  /** Until the lease runs out, if it is not renewed; ms. */
  get leaseLeftMs(): number {
    return this.#heldAt + this.#held.leaseMs - performance.now();
  }

  get sessions(): readonly Pick<RankSession, 'key' | 'latest' | 'reportsWaiting'>[] {
    return [...this.#sessions.values()];
  }

  /** The ranks that run here. */
  get ranks(): readonly RankKey[] {
    return [...this.#sessions.values()].map(({ key }) => key);
  }

  /** Takes no more work, lets the ranks stop after their step, records their ends, and takes the node out of service. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    const { control, logger } = this.#deps;
    try {
      await control.drain(this.#held);
    } catch (error) {
      logger.warn(
        { reason: (error as Error).message },
        'the node could not be marked as draining; it stops all the same',
      );
    }
    await this.#subscription?.close();
    const sessions = [...this.#sessions.values()];
    for (const session of sessions) session.stop('its worker is shutting down', { save: false });
    // The lease is kept until the ends are recorded: an expired one would turn stopped ranks into lost ones.
    await Promise.all(sessions.map(({ ended }) => ended));
    this.#closing.abort(new ClipyardError('cancelled', 'The worker is shutting down'));
    await this.#lease;
    await control.deregister(this.#held);
  }

  async #register(): Promise<void> {
    const { control, logger } = this.#deps;
    const before = this.#held.nodeId;
    this.#held = await control.register(this.#options.registration);
    this.#heldAt = performance.now();
    const { nodeId, leaseMs } = this.#held;
    if (nodeId !== before || this.#subscription === undefined) {
      await this.#subscription?.close();
      this.#subscription = await control.consume(nodeId, (message) => this.#handle(message));
    }
    logger.info({ node: this.#options.registration.name, nodeId, leaseMs }, 'registered');
    await this.#reconcile();
  }

  /** Renews the lease and compares what runs with what should, until the agent closes. */
  async #keepLease(): Promise<void> {
    const { control, logger } = this.#deps;
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        await sleep(this.#held.leaseMs / 3, { signal });
        await control.renewLease(this.#held);
        this.#heldAt = performance.now();
        await this.#reconcile();
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof ClipyardError && error.code === 'node_replaced') {
          await this.#giveWay(error);
          return;
        }
        if (error instanceof ClipyardError && error.code === 'node_lost') await this.#startOver(error);
        else logger.warn({ reason: (error as Error).message }, 'the lease could not be renewed; trying again');
      }
    }
  }

  /** The node was given up, and with it its ranks: others may run in their place by now. */
  async #startOver(error: ClipyardError): Promise<void> {
    const { logger } = this.#deps;
    const sessions = [...this.#sessions.values()];
    logger.warn({ reason: error.message, ranks: sessions.length }, 'the node was given up; registering again');
    for (const session of sessions) session.kill(error);
    await Promise.all(sessions.map(({ ended }) => ended));
    try {
      await untilAnswered(() => this.#register(), { signal: this.#closing.signal });
    } catch (cause) {
      // The next renewal says `node_lost` again, and so it is tried again.
      if (!this.#closing.signal.aborted) logger.error({ err: cause }, 'could not register again');
    }
  }

  /** The node is another worker's now, and its ranks were ended as lost. */
  async #giveWay(error: ClipyardError): Promise<void> {
    const sessions = [...this.#sessions.values()];
    this.#deps.logger.error({ reason: error.message, ranks: sessions.length }, 'another worker has this node');
    await this.#subscription?.close();
    for (const session of sessions) session.kill(error);
    await Promise.all(sessions.map(({ ended }) => ended));
    this.#replaced.resolve(error);
  }

  async #handle(message: NodeMessage): Promise<void> {
    switch (message.type) {
      case 'launch':
        await this.#launch(message);
        return;
      case 'stop':
        for (const session of this.#sessionsOf(message)) session.stop(message.reason, { save: message.save });
        return;
    }
  }

  /** Launches the ranks of the attempt that belong here and do not run yet. */
  async #launch(fence: Fence): Promise<void> {
    const { control } = this.#deps;
    for (const assignment of await control.assignments(this.#held, fence)) {
      const id = rankId(assignment);
      if (this.#sessions.has(id) || this.#closed !== undefined) continue;
      const session = new RankSession(this.#deps, { ...assignment, ...this.#options.place }, this.#options.process);
      this.#sessions.set(id, session);
      void session.ended.then(() => this.#sessions.delete(id));
    }
  }

  /** Catches up on messages that were lost or late. */
  async #reconcile(): Promise<void> {
    const running = [...this.#sessions.values()];
    const expected = await this.#deps.control.expectedAttempts(this.#held);
    for (const session of running) {
      const attempt = expected.find((fence) => sameAttempt(fence, session.key));
      if (attempt?.to === 'run' || !this.#sessions.has(rankId(session.key))) continue;
      if (attempt === undefined) session.stop('its attempt is over', { save: false });
      else session.stop('its job pauses or moves', { save: true });
    }
    for (const fence of expected) if (fence.to === 'run') await this.#launch(fence);
  }

  #sessionsOf(fence: Fence): RankSession[] {
    return [...this.#sessions.values()].filter(({ key }) => sameAttempt(key, fence));
  }
}
