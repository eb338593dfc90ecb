import { nodeTooOld } from './node-version.mjs';

/**
 * Checks Node.js, sets up, then goes on with `main`. What fails is told in plain words, with exit code 1.
 * @param {(root: string) => Promise<void>} main
 */
export async function afterSetup(main) {
  const problem = nodeTooOld(process.versions.node);
  if (problem !== undefined) {
    console.error(problem);
    process.exitCode = 1;
    return;
  }
  // Imported only now: an old Node.js cannot even parse it.
  const { ROOT, SetupError, setup } = await import('./setup.mjs');
  try {
    await setup();
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
    return;
  }
  await main(ROOT);
}
