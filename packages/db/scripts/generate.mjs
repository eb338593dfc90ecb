// Generates the Prisma client into src/generated. Prisma's command wants a schema-engine binary that it would download
// from elsewhere and that generating does not use; any existing executable satisfies it, so this works offline.
import { spawnSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const packageDir = dirname(dirname(fileURLToPath(import.meta.url)));
const root = join(packageDir, '..', '..');
const prismaDir = dirname(createRequire(join(packageDir, 'package.json')).resolve('prisma/package.json'));
const generated = join(packageDir, 'src', 'generated');

rmSync(generated, { recursive: true, force: true });
const result = spawnSync(
  process.execPath,
  [join(prismaDir, 'build', 'index.js'), 'generate', '--no-hints', `--config=${join(root, 'prisma.config.ts')}`],
  {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
    env: {
      ...process.env,
      PRISMA_SCHEMA_ENGINE_BINARY: process.env.PRISMA_SCHEMA_ENGINE_BINARY ?? process.execPath,
      PRISMA_HIDE_UPDATE_MESSAGE: '1',
      CHECKPOINT_DISABLE: '1',
    },
  },
);
if (result.error) throw result.error;
if (result.status !== 0 || !existsSync(join(generated, 'client.ts'))) {
  process.stderr.write(`${result.stdout}${result.stderr}\n`);
  process.stderr.write(
    `prisma generate failed (exit code ${result.status}): packages/db/src/generated was not made.\n`,
  );
  process.exit(1);
}
