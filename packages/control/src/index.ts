export type {
  ControlPlane,
  Fence,
  LogEntry,
  NodeControl,
  NodeMessage,
  NodeRegistration,
  RankAssignment,
  RankEnd,
  RankKey,
} from './control-plane.js';
