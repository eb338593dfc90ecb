import { execFile } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { s3Gateway } from '@clipyard/testkit';

const run = promisify(execFile);
export const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
export const IMAGE_TAG = 'test';

/** Why no image can be built and run here; undefined when it can. */
export async function whyNoImages(): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'the packages installed here are not those of a Linux image';
  try {
    await run('docker', ['info', '--format', '{{.ServerVersion}}']);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/**
 * Builds `clipyard-api:test` and `clipyard-worker:test` by the last stage of their Dockerfiles, as it stands. The stages
 * before it, which would install and build again, give way to what this checkout has installed and built.
 */
export async function buildImages(): Promise<void> {
  const context = await mkdtemp(join(tmpdir(), 'clipyard-images-'));
  try {
    const script = join(ROOT, 'scripts', 'production-modules.mjs');
    await run(process.execPath, [script, join(context, 'modules'), 'apps/api', 'apps/worker']);
    const packages = (await readdir(join(ROOT, 'packages'))).map((name) => `packages/${name}/dist`);
    const built = [...packages, 'apps/api/dist', 'apps/web/dist', 'apps/worker/dist', 'prisma', 'LICENSE'];
    for (const path of built) await cp(join(ROOT, path), join(context, 'out', path), { recursive: true });
    for (const app of ['api', 'worker']) {
      const dockerfile = join(context, `Dockerfile.${app}`);
      await writeFile(dockerfile, onBuilt(await readFile(join(ROOT, 'apps', app, 'Dockerfile'), 'utf8')));
      await run('docker', ['build', '-q', '-t', `clipyard-${app}:${IMAGE_TAG}`, '-f', dockerfile, context]);
    }
  } finally {
    await rm(context, { recursive: true, force: true });
  }
}

/**
 * Builds `clipyard-test-s3:test`, what docker-compose.yml expects of versitygw's image, around the binary that the set-up of
 * the tests found, for a machine that reaches no registry of images. Undefined where there is none: it is pulled then.
 */
export async function buildS3Image(): Promise<string | undefined> {
  const gateway = s3Gateway();
  if (!('binary' in gateway) || !isAbsolute(gateway.binary)) return undefined;
  const context = await mkdtemp(join(tmpdir(), 'clipyard-s3-image-'));
  try {
    const image = `clipyard-test-s3:${IMAGE_TAG}`;
    await cp(gateway.binary, join(context, 'versitygw'));
    const dockerfile = await readFile(join(ROOT, 'apps', 'api', 'Dockerfile'), 'utf8');
    const base = dockerfile.match(/^FROM (\S+) AS base$/m)?.[1];
    await writeFile(
      join(context, 'Dockerfile'),
      `FROM ${base}\nCOPY versitygw /app/versitygw\nENTRYPOINT ["/app/versitygw"]\n`,
    );
    await run('docker', ['build', '-q', '-t', image, context]);
    return image;
  } finally {
    await rm(context, { recursive: true, force: true });
  }
}

/** The base and the last stage of a Dockerfile, which copies folders of the context in place of those of stages. */
function onBuilt(dockerfile: string): string {
  const base = dockerfile.match(/^FROM \S+ AS base$/m)?.[0];
  const last = dockerfile
    .slice(dockerfile.lastIndexOf('\nFROM base\n'))
    .replace('\nCOPY --from=install /modules .\n', '\nCOPY modules .\n')
    .replace('\nCOPY --from=build /out .\n', '\nCOPY out .\n');
  if (base === undefined || !last.includes('COPY modules .\nCOPY out .\n'))
    throw new Error('the stages of the Dockerfile are others than this knows');
  return `${base}${last}`;
}
