import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { cannotBuild } from './build-error.js';
import { compareVersions } from './versions.js';

export const DEFAULT_INDEX = 'https://pypi.org/simple';
/** Largest wheel that is downloaded. */
export const MAX_WHEEL_BYTES = 2 * 1024 * 1024 * 1024;
/** Largest page of an index that is read. */
const MAX_INDEX_BYTES = 32 * 1024 * 1024;
const WITHOUT_NETWORK =
  'Where this machine has no way to a package index, fetch the wheel elsewhere (`pip download --no-deps tensorflow-cpu`) and give it as --from, or name a mirror in PIP_INDEX_URL.';

export interface Wheel {
  readonly name: string;
  readonly version: string;
  readonly url: string;
  readonly sha256: string;
}

interface IndexedFile {
  readonly filename: string;
  readonly url: string;
  readonly sha256: string | undefined;
  readonly yanked: boolean;
}

/** The part of a wheel's name that says which machines it is for. Throws where TensorFlow has none. */
export function wheelPlatform(platform: string = process.platform, arch: string = process.arch): string {
  const machine = platform === 'linux' ? { x64: 'x86_64', arm64: 'aarch64' }[arch] : undefined;
  if (machine === undefined)
    throw cannotBuild(`it runs on Linux (x64, arm64), and this is ${platform} ${arch}. Choose resources.engine: auto.`);
  return machine;
}

export interface WheelQuery {
  readonly indexUrl: string;
  /** As the index spells it. */
  readonly packageName: string;
  /** Which releases will do; unset: all. */
  readonly accepts?: (version: string) => boolean;
  readonly machine?: string;
  readonly signal?: AbortSignal | undefined;
}

/** The newest release of a package with a wheel for this machine, from an index of the simple API (PEP 503, 691). */
export async function findWheel({
  indexUrl,
  packageName,
  accepts = () => true,
  machine = wheelPlatform(),
  signal,
}: WheelQuery): Promise<Wheel> {
  if (!/^https?:/.test(indexUrl) || !URL.canParse(indexUrl))
    throw cannotBuild(
      `the package index ${indexUrl} has no address that begins with http:// or https://. ${WITHOUT_NETWORK}`,
    );
  const page = new URL(`${indexUrl.replace(/\/+$/, '')}/${packageName}/`);
  // fetch takes no password in an address, and none belongs in a message.
  const login = page.username === '' ? undefined : decodeURIComponent(`${page.username}:${page.password}`);
  page.username = page.password = '';
  const files = await readIndex(page.href, login, signal);
  const name = new RegExp(`^${packageName.replaceAll('-', '_')}-(\\d+(?:\\.\\d+)*)-\\w+-\\w+-([\\w.]+)\\.whl$`);
  const wheels = files.flatMap(({ filename, url, sha256, yanked }): Wheel[] => {
    const [, version, platforms] = name.exec(filename) ?? [];
    if (yanked || sha256 === undefined || version === undefined || !accepts(version)) return [];
    if (!platforms!.split('.').some((tag) => tag.startsWith('manylinux') && tag.endsWith(`_${machine}`))) return [];
    return [{ name: filename, version, url, sha256 }];
  });
  wheels.sort((a, b) => compareVersions(b.version, a.version));
  if (wheels[0] === undefined)
    throw cannotBuild(
      `${page.href} has no wheel for Linux on ${machine}. Name another index in PIP_INDEX_URL, or use --from.`,
    );
  return wheels[0];
}

async function readIndex(
  page: string,
  login: string | undefined,
  signal: AbortSignal | undefined,
): Promise<IndexedFile[]> {
  const accept = 'application/vnd.pypi.simple.v1+json, text/html;q=0.1';
  const headers: Record<string, string> = { accept };
  if (login !== undefined) headers.authorization = `Basic ${Buffer.from(login).toString('base64')}`;
  const response = await get(page, headers, signal);
  const text = await response.text();
  if (text.length > MAX_INDEX_BYTES) throw cannotBuild(`${page} is longer than ${MAX_INDEX_BYTES} bytes.`);
  if (response.headers.get('content-type')?.includes('json')) return fromJson(text, page);
  return fromHtml(text, page);
}

function fromJson(text: string, page: string): IndexedFile[] {
  const { files } = JSON.parse(text) as {
    files: { filename: string; url: string; hashes: { sha256?: string }; yanked?: boolean | string }[];
  };
  return files.map(({ filename, url, hashes, yanked }) => ({
    filename,
    url: new URL(url, page).href,
    sha256: hashes.sha256,
    yanked: yanked !== undefined && yanked !== false,
  }));
}

function fromHtml(text: string, page: string): IndexedFile[] {
  return [...text.matchAll(/<a\s([^>]*)>\s*([^<\s]+)\s*<\/a>/gi)].flatMap(([, attributes, filename]) => {
    const href = /href\s*=\s*["']([^"']+)["']/i.exec(attributes!)?.[1];
    if (href === undefined) return [];
    const url = new URL(href.replaceAll('&amp;', '&'), page);
    const sha256 = /sha256=([0-9a-f]{64})/.exec(url.hash)?.[1];
    url.hash = '';
    return [{ filename: filename!, url: url.href, sha256, yanked: /data-yanked/i.test(attributes!) }];
  });
}

/** Downloads a wheel into `folder` and checks its hash. Resolves with its path. */
export async function downloadWheel(
  { name, url, sha256 }: Wheel,
  folder: string,
  progress: (text: string) => void,
  signal?: AbortSignal,
): Promise<string> {
  const response = await get(url, {}, signal);
  const total = Number(response.headers.get('content-length') ?? 0);
  const path = join(folder, name);
  const file = await open(path, 'wx');
  try {
    const hash = createHash('sha256');
    let [bytes, told] = [0, 0];
    for await (const chunk of response.body!) {
      bytes += chunk.length;
      if (bytes > MAX_WHEEL_BYTES) throw cannotBuild(`${url} is longer than ${MAX_WHEEL_BYTES / 2 ** 30} GiB.`);
      hash.update(chunk);
      await file.writeFile(chunk);
      if (total > 0 && bytes / total >= told + 0.25) {
        told = Math.floor((4 * bytes) / total) / 4;
        progress(`downloaded ${Math.round(100 * told)}% of ${Math.round(total / 1e6)} MB`);
      }
    }
    const actual = hash.digest('hex');
    if (actual !== sha256)
      throw cannotBuild(`${url} was damaged on its way: its SHA-256 is ${actual}, not ${sha256}. Try again.`);
  } finally {
    await file.close();
  }
  return path;
}

async function get(url: string, headers: Record<string, string>, signal: AbortSignal | undefined): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, { headers, ...(signal === undefined ? {} : { signal }) });
  } catch (error) {
    if (signal?.aborted) throw error;
    const reason = ((error as Error).cause as Error | undefined)?.message ?? (error as Error).message;
    throw cannotBuild(`${url} cannot be reached (${reason}). ${WITHOUT_NETWORK}`, error);
  }
  if (!response.ok) throw cannotBuild(`${url} answered ${response.status}. ${WITHOUT_NETWORK}`);
  return response;
}
