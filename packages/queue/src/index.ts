export type { BackendChoice } from './backend.js';
export {
  MessageBus,
  type MessageBusDeps,
  messageKey,
  nodeQueue,
  type QueueRef,
  type SchedulerMessage,
  type Subscription,
  schedulerQueue,
} from './message-bus.js';
