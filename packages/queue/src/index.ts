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
  type WebhookMessage,
  webhookQueue,
} from './message-bus.js';
