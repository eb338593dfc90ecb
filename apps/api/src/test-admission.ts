import type { Authenticator, ControlPlane } from '@clipyard/control';
import { Admission } from './admission.js';

const nobody: Authenticator = {
  authenticate: () => Promise.reject(new Error('a test without tokens was sent one')),
  hasAdmin: async () => false,
};

/** For tests: whoever is on this machine, as the embedded default has it. */
export const localAdmission = new Admission({ authenticator: nobody }, { requireToken: false, corsOrigins: [] });

/** A control plane with some of its calls replaced, for every caller. */
export function withCalls(control: ControlPlane, calls: Partial<ControlPlane>): ControlPlane {
  const changed: ControlPlane = { ...control, ...calls, as: () => changed };
  return changed;
}
