import type { Repositories } from '@clipyard/db';
import { messageKey, nodeQueue, schedulerQueue } from '@clipyard/queue';
import type { Fence, NodeMessage } from './control-plane.js';

/** Messages written to the outbox, in the transaction of the change that calls for them. */

export async function wakeScheduler(
  tx: Repositories,
  type: 'job.submitted' | 'attempt.ended',
  fence: Fence,
): Promise<void> {
  const action = type === 'job.submitted' ? 'submitted' : 'ended';
  await tx.outbox.add(schedulerQueue.name, messageKey(fence.jobId, fence.epoch, action), { type, jobId: fence.jobId });
}

export async function tellNode(tx: Repositories, nodeId: string, message: NodeMessage): Promise<void> {
  const key = messageKey(message.jobId, message.epoch, message.type);
  await tx.outbox.add(nodeQueue<NodeMessage>(nodeId).name, key, message);
}
