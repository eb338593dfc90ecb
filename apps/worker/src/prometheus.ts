import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { Gauge, Registry } from 'prom-client';
import type { Agent } from './agent.js';

/** What `/metrics` of a worker answers with. */
export interface WorkerMetrics {
  readonly contentType: string;
  /** In the text format of Prometheus. */
  read(): Promise<string>;
  close(): void;
}

/** This process, its node, and the ranks that run here with what each has reported last; `agent` is undefined until it is registered. */
export function workerMetrics(agent: () => Agent | undefined, { slots }: { readonly slots: number }): WorkerMetrics {
  const registry = new Registry();
  const gauge = <L extends string>(name: string, help: string, ...labelNames: L[]): Gauge<L> =>
    new Gauge({ name: `clipyard_${name}`, help, labelNames, registers: [registry] });
  const memory = gauge('worker_resident_memory_bytes', 'Resident memory of the worker, without its ranks, bytes.');
  const cpu = gauge('worker_cpu_seconds', 'CPU time of the worker since it started, without its ranks, seconds.');
  const uptime = gauge('worker_uptime_seconds', 'Time since the worker started, seconds.');
  const busy = gauge('worker_event_loop_utilization', 'Share of the time since the last reading in which it was busy.');
  const delay = gauge('worker_event_loop_delay_seconds', 'The p99 of the delay of its event loop since then, seconds.');
  gauge('worker_slots', 'Ranks that may run here at once.').set(slots);
  const ranks = gauge('worker_ranks', 'Ranks that run here.');
  const lease = gauge('worker_lease_seconds', 'Time until its lease runs out; below 0 it has, seconds.');
  const waiting = gauge('worker_reports_waiting', 'Reports and log lines of its ranks that wait for the database.');
  const of = ['job_id', 'rank'] as const;
  const rankMemory = gauge('rank_resident_memory_bytes', 'Peak resident memory of a rank, bytes.', ...of);
  const step = gauge('rank_step', 'Finished steps that a rank has reported.', ...of);
  const latest = gauge('rank_metric', 'Newest value of each metric that a rank has reported.', ...of, 'metric');

  const delays = monitorEventLoopDelay({ resolution: 20 });
  delays.enable();
  let before = performance.eventLoopUtilization();

  return {
    contentType: registry.contentType,
    async read() {
      for (const each of [rankMemory, step, latest]) each.reset();
      const usage = process.resourceUsage();
      memory.set(process.memoryUsage.rss());
      cpu.set((usage.userCPUTime + usage.systemCPUTime) / 1e6);
      uptime.set(process.uptime());
      busy.set(performance.eventLoopUtilization(before).utilization);
      before = performance.eventLoopUtilization();
      delay.set(delays.count === 0 ? 0 : delays.percentile(99) / 1e9);
      delays.reset();
      const node = agent();
      const sessions = node?.sessions ?? [];
      ranks.set(sessions.length);
      lease.set(node === undefined ? 0 : node.leaseLeftMs / 1000);
      waiting.set(sessions.reduce((total, session) => total + session.reportsWaiting, 0));
      for (const { key, latest: report } of sessions) {
        const labels = { job_id: key.jobId, rank: key.rank };
        if (report.step !== undefined) step.set(labels, report.step);
        for (const [metric, value] of Object.entries(report.values)) latest.set({ ...labels, metric }, value);
        const mib = report.values['rank/rss_mib'];
        if (mib !== undefined) rankMemory.set(labels, mib * 2 ** 20);
      }
      return await registry.metrics();
    },
    close: () => delays.disable(),
  };
}
