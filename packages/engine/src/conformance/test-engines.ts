import { type Engine, openEngine } from '../index.js';
import { ENGINES } from './operation-case.js';

type EngineName = (typeof ENGINES)[number];

/** The engines that are tested here, given where the test run built the tensorflow engine, or why it could not. */
export interface TestEngines {
  readonly names: readonly EngineName[];
  /** Why the tensorflow engine is not among them; undefined: it is. */
  readonly missing: string | undefined;
  open(engine: EngineName, threads: number): Promise<Engine>;
}

export function testEngines(built: { readonly enginesDir: string } | { readonly missing: string }): TestEngines {
  const missing = 'missing' in built ? built.missing : undefined;
  return {
    names: ENGINES.filter((name) => name !== 'tensorflow' || missing === undefined),
    missing,
    open: (engine, threads) => openEngine({ engine, threads, ...('missing' in built ? {} : built) }),
  };
}
