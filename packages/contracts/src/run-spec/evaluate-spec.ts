import { fieldError } from '../errors.js';
import type { RunSpec } from './run-spec.js';

/**
 * A run spec of type `evaluate` as written, with what it has no use for filled in: it trains nothing, so `batch` and
 * `duration` may be missing, and `data.train` where no task learns from it. Other specs come back as they are. Throws
 * `spec_invalid` for evaluation data that is missing, or for training data that a task would learn from.
 */
export function withoutTraining(input: unknown): unknown {
  if (!isObject(input) || input.type !== 'evaluate') return input;
  const { batch = { global: 1 }, duration = { steps: 1 }, data = {}, ...rest } = input;
  return { ...rest, batch, duration, data: isObject(data) ? withTrainingData(data, input.evaluate) : data };
}

function withTrainingData(data: Record<string, unknown>, evaluate: unknown): Record<string, unknown> {
  if (data.train !== undefined) return data;
  if (data.eval === undefined) {
    throw fieldError('spec_invalid', {
      path: 'data.eval',
      message: 'is missing, but an evaluation needs it',
      remedy: 'Name the evaluation data.',
    });
  }
  const tasks = isObject(evaluate) && Array.isArray(evaluate.tasks) ? (evaluate.tasks as unknown[]) : [];
  const learns = tasks.findIndex(
    (task) => isObject(task) && (task.type === 'linear-probe' || task.type === 'few-shot') && task.train === undefined,
  );
  if (learns >= 0) {
    throw fieldError('spec_invalid', {
      path: `evaluate.tasks[${learns}].train`,
      message: 'is missing, and there is no data.train to take its place',
      remedy: 'Name samples with classes to learn from.',
    });
  }
  return { ...data, train: data.eval };
}

/** What an evaluation of a run's weights takes from the spec of the run. */
export function evaluationSections(
  run: RunSpec,
): Pick<RunSpec, 'model' | 'data' | 'loss' | 'precision' | 'evaluate' | 'resources' | 'restarts' | 'seed'> {
  const { model, data, loss, evaluate, resources, restarts, seed } = run;
  return {
    model,
    data,
    loss: withoutTeacher(loss),
    // A run evaluates in fp32, whatever it trains in.
    precision: { compute: 'fp32', textWeights: 'fp32', wire: 'fp32' },
    evaluate: { ...evaluate, everySteps: null, mode: 'inline' },
    resources,
    restarts,
    seed,
  };
}

/** A teacher has nothing to say to an evaluation, and its checkpoint may be gone. */
function withoutTeacher(loss: RunSpec['loss']): RunSpec['loss'] {
  if (loss.type !== 'clip') return loss;
  const { distill: _, ...own } = loss;
  return own;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
