import { OPERATIONS } from '@clipyard/contracts';
import type { Scheduler } from '@clipyard/control';
import type { FastifyInstance } from 'fastify';
import { Gauge, Histogram, Registry } from 'prom-client';
import { serve } from '../serve.js';

export interface PrometheusDeps {
  /** Of this process; undefined: it has none. */
  readonly scheduler?: Pick<Scheduler, 'leads' | 'rounds'> | undefined;
}

/** `/metrics`: this process, its requests, and of all of Clipyard jobs, slots, the queue and what running jobs report. */
export function prometheusRoutes(server: FastifyInstance, { scheduler }: PrometheusDeps): void {
  const registry = new Registry();
  const gauge = <L extends string>(name: string, help: string, ...labelNames: L[]): Gauge<L> =>
    new Gauge({ name: `clipyard_${name}`, help, labelNames, registers: [registry] });

  const ownProcess = {
    memory: gauge('process_resident_memory_bytes', 'Resident memory of this process, bytes.'),
    cpu: gauge('process_cpu_seconds', 'CPU time of this process since it started, seconds.'),
    uptime: gauge('process_uptime_seconds', 'Time since this process started, seconds.'),
  };
  const requests = new Histogram({
    name: 'clipyard_http_request_seconds',
    help: 'Time from a request to the end of its answer, seconds; event streams are left out.',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
    registers: [registry],
  });
  const jobs = gauge('jobs', 'Jobs by state.', 'state');
  const slots = gauge('slots', 'Slots by pool and state of their node.', 'pool', 'node_state');
  const busy = gauge('slots_busy', 'Slots that hold a rank.', 'pool', 'node_state');
  const unsent = gauge('queue_unsent_messages', 'Messages that are decided and not yet handed to the queue.');
  const unsentAge = gauge('queue_unsent_seconds', 'How long the oldest of them waits, seconds.');
  const queued = gauge('queue_messages', "Messages in the scheduler's queue.");
  const leads = gauge('scheduler_leads', '1 while the scheduler of this process leads, 0 while it stands by.');
  const rounds = gauge('scheduler_rounds', 'Rounds of this scheduler as the leader since it started.');
  const roundTime = gauge('scheduler_round_seconds', 'Time of its last round, seconds.');
  const step = gauge('job_step', 'Finished steps of a running job.', 'job_id', 'job_name');
  const totalSteps = gauge(
    'job_total_steps',
    'Steps of a running job in all, once it is planned.',
    'job_id',
    'job_name',
  );
  const world = gauge('job_ranks', 'Ranks of a running job.', 'job_id', 'job_name');
  const restarts = gauge(
    'job_restarts',
    'Attempts of a running job that failed, by fault.',
    'job_id',
    'job_name',
    'fault',
  );
  const latest = gauge(
    'job_metric',
    'Newest value of what its ranks report, of a running job.',
    'job_id',
    'job_name',
    'metric',
  );

  server.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url;
    if (route === undefined || route === OPERATIONS.streamEvents.path) return;
    requests.observe({ method: request.method, route, status: reply.statusCode }, reply.elapsedTime / 1000);
  });

  serve(server, OPERATIONS.getMetrics, async ({ control, reply }) => {
    const overview = await control.overview();
    for (const each of [jobs, slots, busy, step, totalSteps, world, restarts, latest]) each.reset();
    const usage = process.resourceUsage();
    ownProcess.memory.set(process.memoryUsage.rss());
    ownProcess.cpu.set((usage.userCPUTime + usage.systemCPUTime) / 1e6);
    ownProcess.uptime.set(process.uptime());
    for (const [state, count] of Object.entries(overview.jobs)) jobs.set({ state }, count);
    for (const of of overview.slots) {
      slots.set({ pool: of.pool, node_state: of.state }, of.slots);
      busy.set({ pool: of.pool, node_state: of.state }, of.busy);
    }
    unsent.set(overview.unsentMessages);
    unsentAge.set(overview.unsentMs / 1000);
    queued.set(overview.queuedMessages ?? Number.NaN);
    if (scheduler !== undefined) {
      leads.set(scheduler.leads ? 1 : 0);
      rounds.set(scheduler.rounds.count);
      roundTime.set(scheduler.rounds.lastMs / 1000);
    }
    for (const { id: job_id, name: job_name, ...of } of overview.running) {
      step.set({ job_id, job_name }, of.step);
      if (of.totalSteps !== null) totalSteps.set({ job_id, job_name }, of.totalSteps);
      if (of.worldSize !== null) world.set({ job_id, job_name }, of.worldSize);
      for (const [fault, count] of Object.entries(of.restarts)) restarts.set({ job_id, job_name, fault }, count);
      for (const [metric, value] of Object.entries(of.latest)) latest.set({ job_id, job_name, metric }, value);
    }
    return reply.type(registry.contentType).send(await registry.metrics());
  });
}
