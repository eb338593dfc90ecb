import type { Repositories } from '@clipyard/db';
import {
  messageKey,
  nodeQueue,
  type SchedulerMessage,
  schedulerQueue,
  type WebhookMessage,
  webhookQueue,
} from '@clipyard/queue';
import { newId } from '@clipyard/runtime';
import type { Fence, NodeMessage } from './control-plane.js';

/** Messages written to the outbox, in the transaction of the change that calls for them. */

export async function wakeScheduler(
  tx: Repositories,
  type: 'job.submitted' | 'attempt.ended',
  fence: Fence,
): Promise<void> {
  const action = type === 'job.submitted' ? 'submitted' : 'ended';
  await tx.outbox.add(schedulerQueue.name, messageKey(fence.jobId, fence.epoch, action), { type, id: fence.jobId });
}

/** Makes the scheduler look at the queue soon, however often that was asked for at this epoch. */
export async function wakeForChange(tx: Repositories, jobId: string): Promise<void> {
  const message: SchedulerMessage = { type: 'job.submitted', id: jobId };
  await tx.outbox.add(schedulerQueue.name, messageKey(jobId, 0, newId('wake')), message);
}

/** Makes the scheduler look at a sweep soon. */
export async function wakeForSweep(tx: Repositories, sweepId: string): Promise<void> {
  const message = { type: 'sweep.changed', id: sweepId };
  await tx.outbox.add(schedulerQueue.name, messageKey(sweepId, 0, newId('wake')), message);
}

/** Has the files of checkpoints removed that are tracked no more; their job has ended, so nothing is written there again. */
export async function removeFiles(
  tx: Repositories,
  jobId: string,
  dropped: readonly { readonly prefix: string }[],
): Promise<void> {
  const message: SchedulerMessage = { type: 'checkpoints.dropped', id: jobId, prefixes: dropped.map((d) => d.prefix) };
  await tx.outbox.add(schedulerQueue.name, messageKey(jobId, 0, newId('drop')), message);
}

/** Has a message to a webhook sent, after a while if asked. */
export async function wakeForDelivery(
  tx: Repositories,
  message: WebhookMessage,
  options: { readonly delayMs?: number } = {},
): Promise<void> {
  const key = messageKey(message.deliveryId, message.attempt, newId('try'));
  await tx.outbox.add(webhookQueue.name, key, message, options);
}

export async function tellNode(tx: Repositories, nodeId: string, message: NodeMessage): Promise<void> {
  const key = messageKey(message.jobId, message.epoch, message.type);
  await tx.outbox.add(nodeQueue<NodeMessage>(nodeId).name, key, message);
}
