import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, statfs, utimes, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ClipyardError } from '@clipyard/contracts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findTensorFlow } from '../installation.js';
import { buildTensorFlow } from './build-tensorflow.js';
import { findCompiler } from './compile-binding.js';
import { downloadWheel, findWheel, wheelPlatform } from './package-index.js';
import { checkSpace } from './unpack.js';
import { requirementsOf } from './versions.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'clipyard-build-'));
});
afterEach(() => rm(folder, { recursive: true }));

const failure = (promise: Promise<unknown>): Promise<ClipyardError> =>
  promise.then(
    () => expect.fail('it did not fail'),
    (error: unknown) => error as ClipyardError,
  );

describe('a source of no use', () => {
  const build = async (from: string): Promise<ClipyardError> => {
    const error = await failure(buildTensorFlow({ enginesDir: join(folder, 'engines'), from }));
    // Whole or not at all: nothing is left behind.
    expect(await readdir(join(folder, 'engines'))).toEqual([]);
    expect(error).toMatchObject({ code: 'request_invalid', fields: [{ path: '--from', value: from }] });
    expect(error.fields![0]!.remedy).toBeTruthy();
    return error;
  };
  const written = async (name: string, content: string | Uint8Array): Promise<string> => {
    await writeFile(join(folder, name), content);
    return join(folder, name);
  };

  it('takes away what a build left that was killed long ago', async () => {
    const [old, recent] = ['.building-old', '.building-new'].map((name) => join(folder, 'engines', name));
    for (const path of [old!, recent!]) await mkdir(path, { recursive: true });
    await utimes(old!, 0, 0);
    await failure(buildTensorFlow({ enginesDir: join(folder, 'engines'), from: folder }));
    expect(await readdir(join(folder, 'engines'))).toEqual(['.building-new']);
  });

  it('is named: missing', async () => {
    expect((await build(join(folder, 'missing.whl'))).message).toMatch(/platform|cannot be read/);
    expect((await build(join(folder, 'missing'))).message).toContain('cannot be read (ENOENT)');
  });

  it('is named: neither wheel nor archive', async () => {
    expect((await build(await written('notes.txt', 'hello'))).message).toContain('neither a wheel nor a .tar.gz');
    expect((await build(await written('empty', ''))).message).toContain('neither a wheel nor a .tar.gz');
  });

  it('is named: a wheel or an archive that ends too early', async () => {
    expect((await build(await written('wheel', 'PK\x03\x04 and no more'))).message).toContain('is damaged');
    expect((await build(await written('archive.tar.gz', Uint8Array.of(0x1f, 0x8b, 8, 0)))).message).toMatch(
      /is damaged|holds no TensorFlow/,
    );
  });

  it('is named: a wheel for another platform', async () => {
    const wheel = await written('tensorflow_cpu-2.21.0-cp311-cp311-macosx_12_0_arm64.whl', 'PK\x03\x04');
    expect((await build(wheel)).message).toContain('another platform');
  });

  it('is named: a folder without TensorFlow', async () => {
    expect((await build(folder)).message).toContain('libtensorflow_cc.so.2');
  });

  it('is named: a library for another machine', async () => {
    const root = join(folder, 'tensorflow');
    await mkdir(join(root, 'include/tensorflow/c'), { recursive: true });
    await writeFile(join(root, 'include/tensorflow/c/c_api.h'), '');
    for (const name of ['libtensorflow_cc.so.2', 'libtensorflow_framework.so.2'])
      await writeFile(join(root, name), Buffer.from([0x7f, 0x45, 0x4c, 0x46, ...new Array(14).fill(0), 243, 0]));
    expect((await build(folder)).message).toContain('another kind of machine');
  });
});

it('says what to install where there is no compiler', async () => {
  const error = await failure(findCompiler(undefined, ['no-such-compiler']));
  expect(error.code).toBe('engine_unavailable');
  expect(error.message).toContain('apt-get install g++');
});

it('refuses platforms that TensorFlow has no Linux library for', () => {
  expect(() => wheelPlatform('darwin', 'arm64')).toThrow(/this is darwin arm64/);
  expect(wheelPlatform('linux', 'arm64')).toBe('aarch64');
});

it('refuses what would not fit before it begins, with the space that there is', async () => {
  const { bavail, bsize } = await statfs(folder);
  const error = await failure(checkSpace(folder, bavail * bsize + 2 ** 40, 'a wheel', 2 ** 60));
  expect(error.code).toBe('disk_full');
  expect(error.message).toMatch(/a wheel needs [\d.]+ GB .* where [\d.]+ GB are free/);
  await checkSpace(folder, 1, 'a wheel');
});

describe('a package index', () => {
  let server: Server;
  let index: string;
  const serve = async (listener: RequestListener): Promise<void> => {
    server = createServer(listener).listen(0, '127.0.0.1');
    await once(server, 'listening');
    index = `http://127.0.0.1:${(server.address() as AddressInfo).port}/simple/`;
  };
  afterEach(() => server.close());

  const find = (indexUrl: string, machine = 'x86_64') =>
    findWheel({ indexUrl, packageName: 'tensorflow-cpu', machine });
  const wheel = (version: string, machine = 'x86_64', python = 'cp311') =>
    `tensorflow_cpu-${version}-${python}-${python}-manylinux_2_27_${machine}.whl`;
  const sha256 = 'ab'.repeat(32);

  it('is read as JSON: the newest release for this machine, none that was withdrawn', async () => {
    const files = [
      { filename: wheel('2.9.0') },
      { filename: wheel('2.21.0') },
      { filename: wheel('2.22.0'), yanked: 'broken' },
      { filename: wheel('2.23.0rc1') },
      { filename: wheel('2.24.0', 'aarch64') },
    ].map((file) => ({ url: `../files/${file.filename}`, hashes: { sha256 }, ...file }));
    await serve((request, response) => {
      expect(request.url).toBe('/simple/tensorflow-cpu/');
      response.setHeader('content-type', 'application/vnd.pypi.simple.v1+json').end(JSON.stringify({ files }));
    });
    expect(await find(index)).toEqual({
      name: wheel('2.21.0'),
      version: '2.21.0',
      url: new URL(`/simple/files/${wheel('2.21.0')}`, index).href,
      sha256,
    });
  });

  it('is read as HTML, with the login of its address, which no message repeats', async () => {
    let authorization: string | undefined;
    await serve((request, response) => {
      authorization = request.headers.authorization;
      const link = `<a href="/files/${wheel('2.21.0')}#sha256=${sha256}" data-requires-python="&gt;=3.9">${wheel('2.21.0')}</a>`;
      response.setHeader('content-type', 'text/html').end(`<html><body>${link}<br></body></html>`);
    });
    const withLogin = index.replace('//', '//me:se%63ret@');
    expect((await find(withLogin)).url).toBe(new URL(`/files/${wheel('2.21.0')}`, index).href);
    expect(authorization).toBe(`Basic ${Buffer.from('me:secret').toString('base64')}`);
    const { message } = await failure(find(withLogin, 'riscv64'));
    expect(message).toContain('no wheel for Linux on riscv64');
    expect(message).not.toContain('ret@');
  });

  it('that is out of reach or lacks the package is named, with the way around', async () => {
    await serve((_request, response) => response.writeHead(404).end());
    const missing = await failure(find(index));
    expect(missing.message).toMatch(/answered 404.*--from.*PIP_INDEX_URL/);
    server.close();
    await once(server, 'close');
    const unreachable = await failure(find(index));
    expect(unreachable.message).toMatch(/cannot be reached.*--from.*PIP_INDEX_URL/);
  });

  it('gives a wheel whose hash is checked', async () => {
    const content = Buffer.from('the wheel');
    await serve((_request, response) => response.end(content));
    const right = createHash('sha256').update(content).digest('hex');
    const found = { name: 'x.whl', version: '2.21.0', url: index, sha256: right };
    const path = await downloadWheel(found, folder, () => {});
    expect(await readFile(path)).toEqual(content);
    const damaged = await failure(downloadWheel({ ...found, name: 'y.whl', sha256 }, folder, () => {}));
    expect(damaged.message).toContain('damaged on its way');
  });
});

it('reads from a wheel which releases of the CUDA libraries it wants', () => {
  const metadata = [
    'Name: tensorflow',
    'Requires-Dist: numpy>=1.26.0',
    'Requires-Dist: nvidia-cublas-cu12<13.0,>=12.5.3.2; extra == "and-cuda"',
    'Requires-Dist: other; extra == "gcs"',
  ].join('\n');
  const [cublas, ...others] = requirementsOf(metadata, 'and-cuda');
  expect(others).toEqual([]);
  expect(cublas!.packageName).toBe('nvidia-cublas-cu12');
  const versions = ['12.5.3.1', '12.5.3.2', '12.10', '12.9.1.4', '13.0.0', '13'];
  expect(versions.filter((version) => cublas!.accepts(version))).toEqual(['12.5.3.2', '12.10', '12.9.1.4']);
});

describe('finding what was built', () => {
  const manifest = {
    ...{ format: 1, engine: 'tensorflow', version: '2.21.0', platform: process.platform, arch: process.arch },
    ...{ gpu: false, source: 'wheel', library: 'tensorflow', builtAt: '2026-01-01T00:00:00.000Z' },
  };
  const place = async (name: string, content: object): Promise<void> => {
    await mkdir(join(folder, name));
    await writeFile(join(folder, name, 'engine.json'), JSON.stringify(content));
  };

  it('finds nothing where nothing is, half is, or what another machine built', async () => {
    expect(await findTensorFlow(join(folder, 'none'))).toBeUndefined();
    await mkdir(join(folder, '.building-x'));
    await mkdir(join(folder, 'tensorflow-half'));
    await place('tensorflow-other', { ...manifest, arch: 'riscv64' });
    await place('tensorflow-later', { ...manifest, format: 2 });
    expect(await findTensorFlow(folder)).toBeUndefined();
  });

  it('prefers one that found a GPU, then the newest', async () => {
    await place('tensorflow-1', manifest);
    await place('tensorflow-2', { ...manifest, version: '2.22.0', builtAt: '2026-02-01T00:00:00.000Z' });
    expect((await findTensorFlow(folder))?.version).toBe('2.22.0');
    await place('tensorflow-3', { ...manifest, version: '2.20.0', gpu: true });
    expect(await findTensorFlow(folder)).toMatchObject({ version: '2.20.0', folder: join(folder, 'tensorflow-3') });
  });
});
