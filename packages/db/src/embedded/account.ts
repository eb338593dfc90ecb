import { readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ClipyardError } from '@clipyard/contracts';

/** The account that PostgreSQL runs as when we are root; PostgreSQL refuses to run as root. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** Undefined: PostgreSQL runs as ourselves. */
export type RunAs = Account | undefined;

const PREFERRED = ['postgres', '_postgres', 'nobody'];

/**
 * Picks an account for PostgreSQL: ourselves unless we are root, then the owner of data that is already there, else a
 * system account that exists everywhere. (It must have an entry in the password file: `initdb` looks itself up.)
 */
export async function pickAccount(dataDir: string): Promise<RunAs> {
  if (process.getuid?.() !== 0) return undefined;
  const owner = await stat(dataDir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (owner !== undefined && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
  const accounts = (await readFile('/etc/passwd', 'utf8'))
    .split('\n')
    .map((line) => line.split(':'))
    .filter((fields) => fields.length >= 4 && Number(fields[2]) !== 0)
    // macOS writes the uid of nobody as -2.
    .map((fields) => ({ name: fields[0]!, uid: Number(fields[2]) >>> 0, gid: Number(fields[3]) >>> 0 }));
  for (const name of PREFERRED) {
    const account = accounts.find((candidate) => candidate.name === name);
    if (account !== undefined) return { uid: account.uid, gid: account.gid };
  }
  throw new ClipyardError(
    'config_invalid',
    'The embedded PostgreSQL refuses to run as root, and there is no account `postgres` or `nobody`. Add one, run as an ordinary user, or set DATABASE_URL.',
  );
}

/** Whether `account` may pass through every directory above `path`, which must be absolute and free of symlinks. */
export async function isReachable(path: string, account: Account): Promise<boolean> {
  for (let at = dirname(path); ; at = dirname(at)) {
    const { mode, uid, gid } = await stat(at);
    const bit = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001;
    if ((mode & bit) === 0) return false;
    if (at === dirname(at)) return true;
  }
}
