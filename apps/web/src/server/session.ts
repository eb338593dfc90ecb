import { ClipyardError, problemSchema } from '@clipyard/contracts';
import { useSyncExternalStore } from 'react';

/** Whether the server lets this browser in; `number` grows with each sign-in, after which streams begin anew. */
export interface Session {
  readonly signedOut: boolean;
  readonly number: number;
}

let session: Session = { signedOut: false, number: 0 };
const listeners = new Set<() => void>();

function set(next: Session): void {
  session = next;
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export const useSession = (): Session => useSyncExternalStore(subscribe, () => session);

/** The server asked for a token. */
export function tokenWanted(): void {
  if (!session.signedOut) set({ ...session, signedOut: true });
}

/** Trades a token for a cookie that pages cannot read. Throws `token_invalid`, or `server_unreachable`. */
export async function signIn(token: string): Promise<void> {
  const response = await ask({
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ token }),
  });
  if (!response.ok) {
    const problem = problemSchema.safeParse(await response.json().catch(() => undefined));
    if (!problem.success) throw new ClipyardError('server_unreachable', `The server answered ${response.status}`);
    const { code, detail, errors } = problem.data;
    throw new ClipyardError(code, detail, { fields: errors });
  }
  set({ signedOut: false, number: session.number + 1 });
}

/** The token stays valid. */
export async function signOut(): Promise<void> {
  await ask({ method: 'DELETE' });
  set({ ...session, signedOut: true });
}

async function ask(init: RequestInit): Promise<Response> {
  try {
    return await fetch('/v1/session', init);
  } catch (error) {
    throw new ClipyardError('server_unreachable', 'The server does not answer', { cause: error });
  }
}
