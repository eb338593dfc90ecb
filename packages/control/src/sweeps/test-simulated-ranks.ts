import type { Duration, RunSpec } from '@clipyard/contracts';
import { sleep } from '@clipyard/runtime';
import type { Fence, RankAssignment, RankEnd } from '../control-plane.js';
import type { Harness, TestNode } from '../test-harness.js';

/** How a simulated trial goes: its metrics after so many steps, or how it ends instead. */
export type Course = (spec: RunSpec, step: number) => Readonly<Record<string, number>> | RankEnd;

/**
 * For tests: ranks that report what `course` says instead of training. They obey the control plane as real ones do: they
 * go on from the newest checkpoint, pause where they are to, and stop when they are told to.
 */
export class SimulatedRanks {
  readonly #harness: Harness;
  readonly #node: TestNode;
  readonly #course: Course;
  readonly #closing = new AbortController();
  readonly #running: Promise<void>;
  /** While true no step is taken. */
  held = false;
  /** Steps taken, over all jobs. */
  steps = 0;

  constructor(harness: Harness, node: TestNode, course: Course) {
    this.#harness = harness;
    this.#node = node;
    this.#course = course;
    this.#running = this.#serve();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
  }

  async #serve(): Promise<void> {
    const attempts: Promise<void>[] = [];
    for (let next = 0; !this.#closing.signal.aborted; ) {
      const message = this.#node.messages[next];
      if (message === undefined) await sleep(10);
      else {
        next++;
        if (message.type !== 'launch') continue;
        const [assignment] = await this.#harness.nodes.assignments(this.#node.lease, message);
        if (assignment !== undefined) attempts.push(this.#attempt(assignment));
      }
    }
    await Promise.all(attempts);
  }

  async #attempt(assignment: RankAssignment): Promise<void> {
    const { jobId, epoch, spec, checkpoints } = assignment;
    const { nodes } = this.#harness;
    const key = { jobId, epoch, rank: 0 };
    const total = stepsOf(spec.duration);
    const pauseStep = assignment.pauseAt === undefined ? null : stepsOf(assignment.pauseAt);
    const startStep = checkpoints[0]?.step ?? 0;
    await this.#harness.advance(key, 1, 'training');
    await nodes.recordPlan(key, {
      totalSteps: total,
      startStep,
      pauseStep,
      parameters: 1,
      trainSamples: 1,
      engine: 'cpu',
    });
    let step = startStep;
    const save = async () => {
      const record = { position: 1, bytes: 1, manifestSha256: 'ab', worldSize: 1, metrics: {}, files: [] };
      await nodes.recordCheckpoint(key, { ...record, step, prefix: `runs/${jobId}/step-${step}` });
    };
    const end = (how: RankEnd) => nodes.recordRankEnd(key, how);
    while (step < total) {
      while (this.held && !this.#stopped(key) && !this.#closing.signal.aborted) await sleep(10);
      if (this.#closing.signal.aborted) return;
      if (this.#stopped(key)) {
        if (step > startStep) await save();
        return await end({ state: 'stopped' });
      }
      // Ten steps at a time.
      step = Math.min(step + 10, total, pauseStep !== null && pauseStep > step ? pauseStep : total);
      this.steps += 10;
      const came = this.#course(spec, step);
      if (isEnd(came)) return await end(came);
      await nodes.recordMetrics(key, [{ step, at: Date.now(), values: came }]);
      if (step === pauseStep && step < total) {
        await save();
        return await end({ state: 'stopped' });
      }
    }
    await save();
    await end({ state: 'succeeded' });
  }

  #stopped(fence: Fence): boolean {
    return this.#node.messages.some(
      ({ type, jobId, epoch }) => type === 'stop' && jobId === fence.jobId && epoch === fence.epoch,
    );
  }
}

const isEnd = (came: ReturnType<Course>): came is RankEnd => typeof came.state === 'string';
const stepsOf = (duration: Duration): number => Object.values(duration)[0] as number;
