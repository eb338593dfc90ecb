import { inject } from 'vitest';

/** The tensorflow engine as the set-up of the test run built it, or why it could not. */
export type BuiltTensorFlow = { readonly enginesDir: string } | { readonly missing: string };

declare module 'vitest' {
  interface ProvidedContext {
    builtTensorFlow: BuiltTensorFlow;
  }
}

/** Tests that need the tensorflow engine ask here for where it lies, and skip with the reason where it is missing. */
export const builtTensorFlow = (): BuiltTensorFlow => inject('builtTensorFlow');
