export type { AccessPlane } from './access/access-plane.js';
export { type Authenticator, createAuthenticator } from './access/authenticate.js';
export { Behalf } from './access/behalf.js';
export { type Caller, LOCAL } from './access/caller.js';
export { createAccessPlane } from './access/create-access-plane.js';
export type {
  ControlPlane,
  ExpectedAttempt,
  Fence,
  LogEntry,
  NodeControl,
  NodeLease,
  NodeMessage,
  NodeRegistration,
  RankAssignment,
  RankEnd,
  RankKey,
  RunPlanReport,
} from './control-plane.js';
export { type ControlPlaneDeps, type ControlPlaneOptions, createControlPlane } from './create-control-plane.js';
export { createNodeControl, type NodeControlDeps, type NodeControlOptions } from './create-node-control.js';
export { createScheduler, type Scheduler, type SchedulerDeps, type SchedulerOptions } from './scheduler.js';
export { planTrials, type TrialPlan } from './sweeps/plan-trials.js';
export type { SweepPlane } from './sweeps/sweep-plane.js';
export type { WebhookPlane } from './webhooks/webhook-plane.js';
export { WebhookSender, type WebhookSenderDeps, type WebhookSenderOptions } from './webhooks/webhook-sender.js';
