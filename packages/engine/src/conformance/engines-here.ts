import { builtTensorFlow } from '@clipyard/testkit';
import { type Engine, openEngine } from '../index.js';
import { ENGINES } from './operation-case.js';

const built = builtTensorFlow();

/** Why the tensorflow engine is not tested here; undefined: it is. */
export const missingTensorFlow = 'missing' in built ? built.missing : undefined;

/** The engines that are tested here. */
export const ENGINES_HERE = ENGINES.filter((name) => name !== 'tensorflow' || missingTensorFlow === undefined);

export const openHere = (engine: (typeof ENGINES)[number], threads: number): Promise<Engine> =>
  openEngine({ engine, threads, ...('missing' in built ? {} : built) });
