import { setPriority } from 'node:os';
import { ClipyardError } from '@clipyard/contracts';
import { createLogger } from '@clipyard/runtime';
import type { InspectorAnswer, InspectorRequest } from './inspector-messages.js';
import { InspectorSession } from './inspector-session.js';

// The process that looks into one checkpoint for the API: it answers one request after the other, and ends with the API.
/** Whoever trains on this machine comes first. */
const NICE = 10;

try {
  setPriority(NICE);
} catch {
  // Some systems do not let a process give way.
}
const logger = createLogger({ name: 'inspector' });
const session = new InspectorSession((level, message, fields) => logger[level](fields ?? {}, message));
const stop = new AbortController();
process.once('disconnect', () => process.exit(0));
process.on('SIGTERM', () => process.exit(0));

let turn = Promise.resolve();
process.on('message', (request: InspectorRequest) => {
  turn = turn.then(async () => {
    process.send!(await answerTo(request));
  });
});

async function answerTo(request: InspectorRequest): Promise<InspectorAnswer> {
  try {
    return { ok: true, answer: await session.answer(request, stop.signal) };
  } catch (error) {
    return { ok: false, error: ClipyardError.from(error).serialize() };
  }
}
