import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseRunSpec } from '@clipyard/contracts';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from './config.js';
import type { Finding } from './doctor/finding.js';
import { checkMemory, checkNode, diskFinding } from './doctor/machine.js';
import { clockFinding } from './doctor/services.js';
import { numberedPatterns } from './init/numbered-patterns.js';
import { TextTerminal } from './output/text-terminal.js';
import { runProgram } from './program.js';

let home: string;
let terminal: TextTerminal;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'clipyard-tools-'));
  terminal = new TextTerminal();
});
afterEach(() => rm(home, { recursive: true }));

function run(argv: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<number> {
  const config = loadConfig({ CLIPYARD_HOME: home, PATH: process.env.PATH, ...environment });
  return runProgram(argv, { config, terminal, signal: new AbortController().signal });
}

describe('doctor', () => {
  const findings = () => (JSON.parse(terminal.lines.at(-1)!) as { items: Finding[] }).items;

  it('finds nothing to mend where nothing is configured, and says what it looked at', async () => {
    expect(await run(['doctor'], { PORT: '0' })).toBe(0);
    for (const check of ['Node.js', 'memory', 'disk', 'engine onnxruntime', 'GPU', 'Postgres', 'blob store', 'port'])
      expect(terminal.text).toContain(check);
    expect(terminal.lines.at(-1)).toMatch(/ 0 to mend$/);
  });

  it('fails with code 1 for stores, a port and a server that are not as the environment says, each with a remedy', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    await writeFile(join(home, 'file'), '');
    const { port } = taken.address() as AddressInfo;
    try {
      const code = await run(['doctor', '--json'], {
        DATABASE_URL: 'postgresql://me:hunter2@127.0.0.1:9/clipyard',
        REDIS_URL: 'redis://:hunter2@127.0.0.1:9',
        STORAGE_URL: `file://${home}/file/below`,
        CLIPYARD_URL: 'http://127.0.0.1:9',
        PORT: String(port),
      });
      expect(code).toBe(1);
    } finally {
      taken.close();
    }
    const failed = findings().filter(({ state }) => state === 'fail');
    expect(failed.map(({ check }) => check)).toEqual(['Postgres', 'Redis', 'blob store', 'port', 'server']);
    for (const { check, remedy } of failed) expect(remedy, check).toBeTruthy();
    expect(terminal.text).not.toContain('hunter2');
  });

  it('judges versions, sizes and clocks', () => {
    expect(['20.18.3', '20.19.0', '24.1.0'].map((version) => checkNode(version).state)).toEqual(['fail', 'ok', 'ok']);
    expect([2 ** 29, 2 ** 31, 2 ** 34].map((bytes) => checkMemory(bytes).state)).toEqual(['fail', 'warn', 'ok']);
    expect([2 ** 29, 2 ** 31, 2 ** 34].map((bytes) => diskFinding('/x', bytes).state)).toEqual(['fail', 'warn', 'ok']);
    expect([400, -6_000, 90_000].map((ms) => clockFinding('x', ms).state)).toEqual(['ok', 'warn', 'warn']);
    expect(clockFinding('the database', -6_000).detail).toContain("6.0 s behind this machine's");
  });
});

describe('init', () => {
  const out = () => join(home, 'spec.yaml');
  const written = async () => parseRunSpec(parse(await readFile(out(), 'utf8')));
  const png = (red: number) =>
    sharp({ create: { width: 40, height: 40, channels: 3, background: { r: red, g: 0, b: 0 } } })
      .png()
      .toBuffer();

  async function pictures(folder: string, count: number): Promise<void> {
    await mkdir(folder, { recursive: true });
    for (let i = 0; i < count; i++) {
      await writeFile(join(folder, `${i}.png`), await png(i));
      await writeFile(join(folder, `${i}.txt`), `a picture of red ${i}`);
    }
  }

  it('packs a folder of pictures and writes a spec for the shards', async () => {
    await pictures(join(home, 'my pictures'), 20);
    expect(await run(['init', join(home, 'my pictures'), '--out', out()])).toBe(0);
    const spec = await written();
    expect(spec).toMatchObject({
      name: 'my-pictures',
      batch: { global: 4 },
      data: { train: { type: 'webdataset', urls: [expect.stringMatching(/^my-pictures\/train-/)] } },
    });
    expect(terminal.text).toContain('20 samples');
    // Again, on what was packed; and never over a file that is there.
    await rm(out());
    expect(await run(['init', join(home, 'data', 'my-pictures'), '--out', out()])).toBe(0);
    expect((await written()).data.train).toEqual(spec.data.train);
    const before = await readFile(out(), 'utf8');
    await expect(run(['init', 'shapes', '--out', out()])).rejects.toMatchObject({
      code: 'request_invalid',
      fields: [{ path: '--out', value: out() }],
    });
    expect(await readFile(out(), 'utf8')).toBe(before);
  });

  it('reads the heading of a table, and holds out what is named so', async () => {
    const folder = join(home, 'data', 'mine');
    await pictures(folder, 8);
    const rows = Array.from({ length: 8 }, (_, i) => `${i}.png;"red ${i}"`);
    await writeFile(join(folder, 'train.csv'), `Image;Caption\n${rows.join('\n')}\n`);
    await writeFile(join(folder, 'val.csv'), `Image;Caption\n${rows.slice(0, 3).join('\n')}\n`);
    expect(await run(['init', folder, '--out', out()])).toBe(0);
    const columns = { separator: ';', imageColumn: 'Image', captionColumn: 'Caption' };
    expect((await written()).data).toMatchObject({
      train: { type: 'csv', urls: ['mine/train.csv'], ...columns },
      eval: { type: 'csv', urls: ['mine/val.csv'], ...columns },
    });
  });

  it('says what it cannot use, and why', async () => {
    await writeFile(join(home, 'outside.csv'), 'filepath\ttitle\n');
    const refused = [
      ['nowhere', 'data_not_found'],
      [join(home, 'outside.csv'), 'request_invalid'],
    ] as const;
    for (const [data, code] of refused)
      await expect(run(['init', data, '--out', out()])).rejects.toMatchObject({ code, fields: [{ path: 'data' }] });
    await mkdir(join(home, 'data'));
    await writeFile(join(home, 'data', 'odd.csv'), 'a,b\n1,2\n');
    await expect(run(['init', join(home, 'data', 'odd.csv'), '--out', out()])).rejects.toMatchObject({
      code: 'data_table_invalid',
    });
    await expect(readFile(out())).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('puts numbered names in one', () => {
    expect(numberedPatterns(['a-00.tar', 'a-02.tar', 'a-01.tar', 'b-0.tar', 'c.tar'])).toEqual([
      'a-{00..02}.tar',
      'b-0.tar',
      'c.tar',
    ]);
    expect(numberedPatterns(['a-1.tar', 'a-3.tar'])).toEqual(['a-1.tar', 'a-3.tar']);
  });
});

describe('completion', () => {
  it.each([
    [['sw'], ['sweep']],
    [
      ['sweep', 's'],
      ['submit', 'show', 'scale-up'],
    ],
    [
      ['ps', '--state', 'pau'],
      ['pausing', 'paused'],
    ],
    [['submit', 'x.yaml', '--w'], ['--watch']],
    [['engines', 'build', ''], ['tensorflow']],
  ])('bash completes %j', async (words, expected) => {
    expect(await run(['completion', 'bash'])).toBe(0);
    const line = ['clipyard', ...words].map((word) => `'${word}'`).join(' ');
    const ask = `COMP_WORDS=(${line}); COMP_CWORD=${words.length}; _clipyard; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout, stderr } = spawnSync('bash', ['-c', `${terminal.text}\n${ask}`], { encoding: 'utf8' });
    expect(stderr).toBe('');
    expect(stdout.trim().split('\n')).toEqual(expected);
  });

  it.each(['zsh', 'fish'] as const)('%s takes its script', async (shell) => {
    expect(await run(['completion', shell])).toBe(0);
    expect(terminal.text).toContain('scale-up');
    const file = join(home, `clipyard.${shell}`);
    await writeFile(file, terminal.text);
    const { error, status, stderr } = spawnSync(shell, ['-n', file], { encoding: 'utf8' });
    // Without the shell there is nothing to ask.
    if (error === undefined) expect([status, stderr]).toEqual([0, '']);
  });
});
