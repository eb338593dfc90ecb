import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { ClipyardError, Job, JobEvent } from '@clipyard/contracts';
import { sleep } from '@clipyard/runtime';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Config, loadConfig } from './config.js';
import { TextTerminal } from './output/text-terminal.js';
import { runProgram } from './program.js';
import { type Stack, startStack } from './up/stack.js';

/** The real thing: PostgreSQL, API, worker and rank processes, through REST alone. */
const never = new AbortController().signal;
// A machine that is busy with other things takes several times as long.
vi.setConfig({ testTimeout: 120_000 });
let home: string;
let config: Config;
let stack: Stack;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'clipyard-e2e-'));
  const { DATABASE_URL: _, ...environment } = process.env;
  config = loadConfig({ ...environment, CLIPYARD_HOME: home, PORT: '0', CLIPYARD_SLOTS: '2' });
  stack = await startStack(config, () => {}, never);
});

afterAll(async () => {
  await stack?.close();
  await rm(home, { recursive: true, force: true });
});

function spec(changes: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    version: 1,
    name: 'e2e',
    model: { preset: 'clip-tiny' },
    data: {
      train: { type: 'shapes', samples: 2000 },
      eval: { type: 'shapes', samples: 256, split: 'all', seed: 1 },
      evalSamples: 128,
    },
    batch: { global: 32 },
    duration: { steps: 40 },
    optimizer: { lr: 1e-3 },
    schedule: { warmupSteps: 5 },
    resources: { world: { min: 2, max: 2 } },
    checkpoint: { everySteps: 10, keepLast: 2 },
    evaluate: { everySteps: 20, tasks: [{ type: 'zeroshot' }, { type: 'retrieval' }] },
    ...changes,
  };
}

async function eventsOf(jobId: string, after?: string): Promise<JobEvent[]> {
  const events: JobEvent[] = [];
  for await (const event of stack.client.events(jobId, after === undefined ? {} : { after })) events.push(event);
  return events;
}

/** Resolves with the first event that fits; fails when the job ends without one. */
async function eventWhere(jobId: string, fits: (event: JobEvent) => boolean): Promise<JobEvent> {
  for await (const event of stack.client.events(jobId)) if (fits(event)) return event;
  throw new Error(`the job ended without the event: ${JSON.stringify(await stack.client.get(jobId))}`);
}

const at = (event: JobEvent, type: JobEvent['type'], step: number) =>
  event.type === type && (event.data.step as number) >= step;

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

async function eventually(what: string, check: () => Promise<boolean> | boolean): Promise<void> {
  for (const limit = Date.now() + 15_000; Date.now() < limit; await sleep(50)) if (await check()) return;
  throw new Error(`not in time: ${what}`);
}

const slotsAreFree = async (): Promise<boolean> =>
  (await stack.client.nodes()).every((node) => node.slots.every((slot) => slot.jobId === null));

/** The server as another machine sees it: its files are not here. */
async function elsewhere(): Promise<{ url: string; close(): Promise<void> }> {
  const proxy = createServer((request, response) => {
    void fetch(stack.url + request.url).then(async (answer) => {
      const body = Buffer.from(await answer.arrayBuffer());
      const isJson = answer.headers.get('content-type')?.includes('json') === true;
      response.writeHead(answer.status).end(isJson ? String(body).replaceAll(home, '/elsewhere') : body);
    });
  });
  await once(proxy.listen(0, '127.0.0.1'), 'listening');
  const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  return {
    url,
    close: async () => {
      proxy.closeAllConnections();
      await once(proxy.close(), 'close');
    },
  };
}

describe('tools around a server', () => {
  const call = async (argv: string[], signal = never) => {
    const terminal = new TextTerminal({ isTty: argv.includes('--watch') });
    const context = { config: { ...config, url: stack.url }, terminal, signal };
    return { code: await runProgram(argv, context), terminal };
  };

  it('init writes a spec that runs as it is; --quiet prints its id alone; ps --watch shows how far it is', async () => {
    const file = join(home, 'init.yaml');
    expect((await call(['init', 'shapes', '--out', file])).code).toBe(0);
    const short = ['data.train.samples=512', 'data.evalSamples=64', 'duration.epochs=1'];
    const { terminal } = await call(['submit', file, '-q', ...short.flatMap((field) => ['--set', field])]);
    const [id, ...rest] = terminal.lines;
    expect(rest).toEqual([]);
    const job = await stack.client.get(id!);
    await eventsOf(job.id);
    expect(await stack.client.get(job.id)).toMatchObject({ state: 'succeeded', error: null });

    const stop = new AbortController();
    const shown = new TextTerminal({ isTty: true });
    const show = shown.block.bind(shown);
    shown.block = (lines) => {
      show(lines);
      stop.abort(new Error('seen'));
    };
    const context = { config: { ...config, url: stack.url }, terminal: shown, signal: stop.signal };
    await expect(runProgram(['ps', '--watch'], context)).rejects.toThrow('seen');
    const row = shown.blocks[0]!.find((line) => line.startsWith(job.id));
    expect(row).toMatch(/shapes +succeeded +█{12} /);
    expect((await call(['ps', '--quiet'])).terminal.lines).toContain(job.id);
  });

  it('doctor finds the server ready, and api reaches any route', async () => {
    const { code, terminal } = await call(['doctor', '--json']);
    expect([code, terminal.text]).toEqual([0, expect.stringContaining(`${stack.url} is ready`)]);
    expect(terminal.text).toContain('that of the server agrees');
    const answer = (await call(['api', '/v1/nodes'])).terminal.text;
    expect(JSON.parse(answer).items).toHaveLength(1);
    expect((await call(['api', '/metrics'])).terminal.text).toContain('clipyard_');
    await expect(call(['api', '/v1/jobs', '--body', '{ name: x }'])).rejects.toMatchObject({ code: 'spec_invalid' });
  });
});

describe('a run of two ranks', () => {
  let job: Job;
  let events: JobEvent[];

  beforeAll(async () => {
    const submitted = await stack.client.submit(spec());
    events = await eventsOf(submitted.id);
    job = await stack.client.get(submitted.id);
  });

  it('succeeds in one attempt, with a rank on each slot', async () => {
    expect(job).toMatchObject({ state: 'succeeded', step: 40, totalSteps: 40, worldSize: 2, epoch: 1, error: null });
    const attempts = await stack.client.attempts(job.id);
    expect(attempts).toHaveLength(1);
    expect(attempts[0]).toMatchObject({ state: 'succeeded', worldSize: 2, startStep: 0 });
    expect(attempts[0]!.ranks.map(({ rank, slot, state }) => ({ rank, slot, state }))).toEqual([
      { rank: 0, slot: 0, state: 'succeeded' },
      { rank: 1, slot: 1, state: 'succeeded' },
    ]);
    expect(new Set(attempts[0]!.ranks.map((rank) => rank.pid)).size).toBe(2);
  });

  it('reports metrics that show it learning', async () => {
    const points = await stack.client.metrics(job.id, { name: 'loss' });
    expect(points.length).toBeGreaterThan(1);
    expect(points.at(-1)!.step).toBe(40);
    expect(points.at(-1)!.value).toBeLessThan(points[0]!.value);
    const later = await stack.client.metrics(job.id, { name: 'loss', afterStep: points[0]!.step });
    expect(later).toEqual(points.slice(1));
    expect(job.latest['eval/zeroshot/seen']).toBeGreaterThanOrEqual(0);
    expect(job.latest['eval/zeroshot/unseen']).toBeGreaterThanOrEqual(0);
    expect(job.latest['eval/retrieval/text_to_image/r10']).toBeGreaterThan(0);
  });

  it('leaves checkpoints whose files are what their hashes say', async () => {
    const checkpoints = await stack.client.checkpoints(job.id);
    expect(checkpoints.map((checkpoint) => checkpoint.step).sort((a, b) => a - b)).toEqual([30, 40]);
    const newest = checkpoints.find((checkpoint) => checkpoint.step === 40)!;
    expect(await stack.client.checkpoint(newest.id)).toEqual(newest);
    const names = newest.files.map((file) => file.name);
    expect(names).toEqual(expect.arrayContaining(['model.safetensors', 'open_clip_config.json', 'state.json']));
    for (const file of newest.files) {
      const bytes = await readFile(join(filePath(newest.url), file.name));
      expect(createHash('sha256').update(bytes).digest('hex'), file.name).toBe(file.sha256);
    }
  });

  it('is evaluated again by `clipyard evaluate`, from its last checkpoint and from an earlier one', async () => {
    const command = async (...argv: string[]) => {
      const terminal = new TextTerminal();
      const code = await runProgram([...argv, '--url', stack.url], { config, terminal, signal: never });
      return { code, text: terminal.text };
    };
    const last = await command('evaluate', job.id, '--ranks', '1');
    expect(last).toMatchObject({ code: 0, text: expect.stringContaining('evaluation of the weights after step 40') });
    const [evaluation] = (await stack.client.list({ limit: 1 })).items;
    expect(evaluation).toMatchObject({
      state: 'succeeded',
      worldSize: 1,
      spec: { model: { init: `job:${job.id}@40` } },
    });
    for (const [name, value] of Object.entries(job.latest))
      if (name.startsWith('eval/')) expect(evaluation!.latest[name], name).toBeCloseTo(value, 5);

    const probe = '{ type: few-shot, trainSamples: 128, shots: [1], draws: 1 }';
    const earlier = await command('evaluate', `${job.id}@30`, '--task', 'retrieval', '--task', probe, '--no-watch');
    expect(earlier.code).toBe(0);
    const id = earlier.text.match(/job-\w+/)![0];
    await eventsOf(id);
    const [found] = await stack.client.evaluations(id);
    expect(found).toMatchObject({ step: 30, final: true, results: [{ task: 'retrieval' }, { task: 'few-shot' }] });
    expect(found!.results[0]!.details).toMatchObject({ pairs: 128 });
    expect((await command('results', id)).text).toMatch(/few-shot +shots_1 +\d/);
    expect(await stack.client.evaluations(job.id)).toMatchObject([
      { step: 20, final: false },
      { step: 40, final: true },
    ]);

    await expect(command('evaluate', `${job.id}@7`)).rejects.toMatchObject({
      code: 'spec_invalid',
      fields: [expect.objectContaining({ path: 'model.init' })],
    });
    await expect(command('evaluate', 'nowhere')).rejects.toMatchObject({ code: 'request_invalid' });
  });

  it('keeps its events, which resume after any id without gap or repeat', async () => {
    const ids = events.map((event) => Number(event.id));
    expect(ids).toEqual([...new Set(ids)].sort((a, b) => a - b));
    const types = new Set(events.map((event) => event.type));
    for (const type of [
      'job.state',
      'attempt.state',
      'rank.state',
      'plan',
      'metrics',
      'checkpoint',
      'evaluation',
    ] as const) {
      expect(types, type).toContain(type);
    }
    const middle = Math.floor(events.length / 2);
    expect(await eventsOf(job.id, events[middle]!.id)).toEqual(events.slice(middle + 1));
    expect(await eventsOf(job.id, events.at(-1)!.id)).toEqual([]);
  });

  it('ends with pictures and predictions', () => {
    const last = events.findLast((event) => event.type === 'evaluation')!;
    expect(last.data.final).toBe(true);
    const samples = last.data.samples as { png: string; predictions: unknown[] }[];
    expect(samples.length).toBeGreaterThanOrEqual(3);
    expect(Buffer.from(samples[0]!.png, 'base64').subarray(1, 4).toString()).toBe('PNG');
  });
});

it('a rank killed in mid-run ends the attempt; the next one resumes from the newest checkpoint and succeeds', async () => {
  const { id } = await stack.client.submit(spec({ name: 'killed', duration: { steps: 120 }, evaluate: {} }));
  await eventWhere(id, (event) => at(event, 'checkpoint', 10));
  const [first] = await stack.client.attempts(id);
  const victim = first!.ranks[1]!.pid!;
  process.kill(victim, 'SIGKILL');
  await eventsOf(id);
  const job = await stack.client.get(id);
  expect(job).toMatchObject({ state: 'succeeded', step: 120, epoch: 2, restarts: { infrastructure: 1, user: 0 } });
  const attempts = [...(await stack.client.attempts(id))].sort((a, b) => a.epoch - b.epoch);
  expect(attempts.map((attempt) => attempt.state)).toEqual(['failed', 'succeeded']);
  expect(attempts[0]!.ranks[1]).toMatchObject({ state: 'lost', error: { code: 'rank_lost' } });
  expect(attempts[1]!.startStep).toBeGreaterThanOrEqual(10);
  expect(attempts[1]!.startStep! % 10).toBe(0);
  const steps = (await stack.client.metrics(id, { name: 'loss' })).map((point) => point.step);
  expect(steps).toEqual([...new Set(steps)].sort((a, b) => a - b));
  expect(steps.at(-1)).toBe(120);
});

it('a cancelled run ends its ranks and frees their slots', async () => {
  const { id } = await stack.client.submit(spec({ name: 'cancelled', duration: { steps: 100_000 }, evaluate: {} }));
  await eventWhere(id, (event) => event.type === 'metrics');
  const [attempt] = await stack.client.attempts(id);
  expect(await stack.client.cancel(id)).toMatchObject({ state: 'cancelled' });
  await expect(stack.client.cancel(id)).rejects.toMatchObject({ code: 'job_state_conflict' });
  await eventually('the ranks end', () => attempt!.ranks.every((rank) => !isAlive(rank.pid!)));
  await eventually('the slots are free', slotsAreFree);
});

it('a run is paused and resumed by the command, and goes on from the step at which it stopped', async () => {
  const command = async (...argv: string[]) => {
    const terminal = new TextTerminal();
    expect(await runProgram(argv, { config, terminal, signal: never })).toBe(0);
    return terminal.text;
  };
  const { id } = await stack.client.submit(
    spec({ name: 'paused', duration: { steps: 150 }, evaluate: {}, checkpoint: { everySteps: 1000 } }),
  );
  await eventWhere(id, (event) => event.type === 'metrics');
  expect(await command('pause', id)).toBe(`${id} pausing`);
  await eventually('the pause', async () => (await stack.client.get(id)).state === 'paused');
  const [checkpoint] = await stack.client.checkpoints(id);
  expect(await command('resume', id)).toBe(`${id} queued`);
  await eventsOf(id);
  expect(await stack.client.get(id)).toMatchObject({ state: 'succeeded', step: 150, epoch: 2 });
  expect((await stack.client.attempts(id))[0]!.startStep).toBe(checkpoint!.step);
});

describe('the command', () => {
  async function run(...argv: string[]): Promise<{ code: number; terminal: TextTerminal }> {
    const terminal = new TextTerminal({ isTty: true });
    return { code: await runProgram(argv, { config, terminal, signal: never }), terminal };
  }

  it('submits a file, watches it to the end, and ends with 0 or, when it fails, 1', async () => {
    const file = join(home, 'spec.json');
    await writeFile(
      file,
      JSON.stringify(spec({ name: 'command', labels: { demo: 'shapes' }, duration: { steps: 20 } })),
    );
    // Else it might have to wait for the ranks of the job before to end.
    await eventually('free slots', slotsAreFree);
    const good = await run('submit', file, '--watch');
    expect(good.code).toBe(0);
    expect(good.terminal.text).toMatch(/^submitted job-\w+\nqueued\nstarting\n/);
    expect(good.terminal.text).toMatch(
      /attempt 1 runs with 2 ranks\n.*checkpoint of step 20: .*zero-shot, never seen +\d/s,
    );
    expect(good.terminal.statuses.some((line) => /^step \d+\/20 .*loss \d/.test(line))).toBe(true);
    const bad = await run(
      'submit',
      file,
      '--watch',
      '--set',
      'evaluate={}',
      '--set',
      'data={train: {type: csv, urls: [none.tsv]}}',
    );
    expect(bad.code).toBe(1);
    expect(bad.terminal.lines.at(-1)).toMatch(/^job-\w+ failed.*data_not_found.*none\.tsv/);
  });

  it('exports a model, from the store or over HTTP, and a job starts from one', async () => {
    const [job] = (await stack.client.list({ label: 'demo=shapes', state: 'succeeded' })).items;
    const [near, far] = [join(home, 'near'), join(home, 'far')];
    const exported = await run('export', job!.id, '--out', near);
    expect(exported.terminal.text).toContain('open_clip_model.safetensors');
    expect(exported.terminal.text).toContain('clipyard_tokenizer.json');
    expect(await readFile(join(near, 'README.md'), 'utf8')).toContain("**not open_clip's tokenizer**");
    const [checkpoint] = await stack.client.checkpoints(job!.id);
    const remote = await elsewhere();
    expect((await run('export', `${job!.id}@20`, '--url', remote.url, '--out', far)).code).toBe(0);
    await remote.close();
    for (const name of await readdir(near))
      expect((await readFile(join(far, name))).equals(await readFile(join(near, name))), name).toBe(true);
    await rename(filePath(checkpoint!.url), `${filePath(checkpoint!.url)}-away`);
    await expect(run('export', job!.id, '--out', join(home, 'none'))).rejects.toMatchObject({ code: 'not_found' });
    await rename(`${filePath(checkpoint!.url)}-away`, filePath(checkpoint!.url));

    const next = await stack.client.submit(
      spec({ model: { preset: 'clip-tiny', init: `job:${job!.id}` }, duration: { steps: 2 }, evaluate: {} }),
    );
    expect(next.spec.model.init).toBe(`job:${job!.id}@20`);
    await eventsOf(next.id);
    expect(await stack.client.get(next.id)).toMatchObject({ state: 'succeeded' });
    const said = (await stack.client.logs(next.id)).items.map(({ message }) => message);
    expect(said).toContain(`Starting from the weights of job:${job!.id}@20`);
  });

  it('lists jobs and nodes, and watches as JSON what has ended', async () => {
    const { terminal } = await run('ps', '--label', 'demo=shapes', '--state', 'succeeded', '--json');
    const [job] = (JSON.parse(terminal.text) as { items: Job[] }).items;
    expect(job).toMatchObject({ name: 'command', step: 20 });
    expect((await run('ps')).terminal.text).toMatch(new RegExp(`${job!.id} +command +succeeded +20/20 +2 `));
    expect((await run('nodes')).terminal.text).toMatch(/ready +default +0\/2 /);
    expect((await run('logs', job!.id)).code).toBe(0);
    const events = (await run('watch', job!.id, '--json')).terminal.lines.map((line) => JSON.parse(line) as JobEvent);
    expect(events.at(-1)).toMatchObject({ type: 'job.state', data: { to: 'succeeded' } });
  });
});

describe('the sweep command', () => {
  const sweep = async (...argv: string[]) => {
    const terminal = new TextTerminal();
    return { code: await runProgram(['sweep', ...argv], { config, terminal, signal: never }), terminal };
  };
  const sweepSpec = {
    version: 1,
    name: 'rates',
    base: 'base.json',
    parameters: { 'optimizer.lr': { type: 'logUniform', min: 1e-4, max: 1e-2, points: 2 } },
    search: { type: 'grid' },
    objective: { metric: 'loss', goal: 'min' },
    maxConcurrent: 2,
  };

  it('submits a file, watches it to its end, shows and exports its trials, and scales the best one up', async () => {
    const { name: _, ...base } = spec({
      duration: { steps: 10 },
      evaluate: {},
      resources: { world: { min: 1, max: 1 } },
    });
    await writeFile(join(home, 'base.json'), JSON.stringify(base));
    await writeFile(join(home, 'sweep.json'), JSON.stringify(sweepSpec));
    const { code, terminal } = await sweep('submit', join(home, 'sweep.json'), '--watch');
    expect(code).toBe(0);
    expect(terminal.text).toMatch(
      /^submitted sweep-\w+\n.*trial \d succeeded: optimizer.lr=0.0001, step 10: loss \d.*state +succeeded/s,
    );
    const id = terminal.lines[0]!.split(' ')[1]!;
    expect((await sweep('ls')).terminal.text).toMatch(new RegExp(`${id} +rates +succeeded +2 succeeded +loss`));
    const shown = JSON.parse((await sweep('show', id, '--json')).terminal.text);
    expect(shown).toMatchObject({ state: 'succeeded', trials: [{ step: 10 }, { values: { 'optimizer.lr': 0.01 } }] });
    expect((await sweep('export', id, '--format', 'csv')).terminal.lines).toHaveLength(3);
    const scaled = await sweep('scale-up', id, '--preset', 'ViT-B-32', '--batch', '1024', '--set', 'seed=7');
    expect(scaled.terminal.text).toMatch(
      /^# model.preset: ViT-B-32.*\n# seed=7: as given\n.*\n {2}preset: ViT-B-32\n/s,
    );
    await expect(sweep('scale-up', id, '--preset', 'none')).rejects.toMatchObject({ code: 'preset_unknown' });
    const jobs = await stack.client.list({ label: `sweep=${id}` });
    expect(jobs.items.map((job) => job.name).sort()).toEqual(['rates-0', 'rates-1']);
  });

  it('pauses, resumes and cancels, with 1 as the exit code of watching what was cancelled', async () => {
    await writeFile(join(home, 'sweep.json'), JSON.stringify(sweepSpec));
    const submitted = await sweep('submit', join(home, 'sweep.json'), '--set', 'base.duration.steps=100000', '--json');
    const { id } = JSON.parse(submitted.terminal.text) as { id: string };
    for (const [action, state] of [
      ['pause', 'paused'],
      ['resume', 'running'],
      ['cancel', 'cancelled'],
    ] as const)
      expect((await sweep(action, id)).terminal.text).toBe(`${id} ${state}`);
    expect((await sweep('watch', id)).code).toBe(1);
    await expect(sweep('cancel', id)).rejects.toMatchObject({ code: 'sweep_state_conflict' });
    await expect(sweep('show', 'sweep-none')).rejects.toMatchObject({ code: 'sweep_not_found' });
    await eventually('its jobs end', async () =>
      (await stack.client.list({ label: `sweep=${id}` })).items.every((job) => job.state === 'cancelled'),
    );
  });
});

describe('bad input', () => {
  const changes: [string, string, Record<string, unknown>, string][] = [
    ['an unknown preset', 'preset_unknown', { model: { preset: 'clip-huge' } }, 'model.preset'],
    ['a global batch that does not divide', 'batch_not_divisible', { batch: { global: 33 } }, 'batch.global'],
    [
      'a world larger than there will ever be',
      'world_unsatisfiable',
      { resources: { world: { min: 4, max: 4 } } },
      'resources.world.min',
    ],
    ['a spec of another version', 'spec_version_unsupported', { version: 2 }, 'version'],
    ['a misspelt field', 'spec_invalid', { batch: { globl: 32 } }, 'batch'],
  ];

  it.each(changes)('%s is refused with field, value and remedy, and leaves no job', async (_, code, change, path) => {
    const before = (await stack.client.list({ limit: 500 })).items.length;
    const error = await stack.client.submit(spec(change)).catch((e: ClipyardError) => e as ClipyardError);
    expect(error).toMatchObject({ code });
    const fields = (error as ClipyardError).fields;
    const field = fields.find((f) => f.path === path || f.path.startsWith(`${path}.`));
    expect(field, JSON.stringify(fields)).toMatchObject({ message: expect.any(String), remedy: expect.any(String) });
    expect((await stack.client.list({ limit: 500 })).items).toHaveLength(before);
  });

  it('a missing shard fails the job with the field of the spec that names it', async () => {
    const { id } = await stack.client.submit(
      spec({ data: { train: { type: 'webdataset', urls: ['no/such-{0..1}.tar'] } }, evaluate: {} }),
    );
    await eventsOf(id);
    const job = await stack.client.get(id);
    expect(job).toMatchObject({ state: 'failed', error: { code: 'data_not_found' } });
    expect(job.error!.fields[0]).toMatchObject({ path: 'data.train.urls[0]', remedy: expect.any(String) });
  });
});

it('drains without orphans, and comes up again in seconds with its jobs', async () => {
  const before = await stack.client.list();
  const server = JSON.parse(await readFile(join(home, 'server.json'), 'utf8')) as {
    url: string;
    pids: Record<string, number>;
  };
  expect(server.url).toBe(stack.url);
  await stack.close();
  for (const name of ['api', 'worker']) expect(isAlive(server.pids[name]!), name).toBe(false);
  await expect(readFile(join(home, 'server.json'))).rejects.toThrow('ENOENT');
  // The demo has succeeded in this home, so `up` shows it, and without a terminal it ends.
  const main = join(config.root, 'apps', 'cli', 'dist', 'main.js');
  const env = { ...config.environment, CLIPYARD_HOME: home, PORT: '0' };
  const { stdout } = await promisify(execFile)(process.execPath, [main, 'up'], { env });
  expect(stdout).toMatch(/ready in .*trained here before.*command.*Try next.*everything has ended\n$/s);
  const began = performance.now();
  stack = await startStack(config, () => {}, never);
  expect(performance.now() - began).toBeLessThan(10_000);
  const after = await stack.client.list();
  expect(after.items.map(({ id, state }) => ({ id, state }))).toEqual(
    before.items.map(({ id, state }) => ({ id, state })),
  );
});

function filePath(url: string): string {
  return url.startsWith('file://') ? fileURLToPath(url) : url.replace(/^file:/, '');
}
