import { type EvaluationTask, fieldError } from '@clipyard/contracts';
import type { ClassSet } from '@clipyard/data';
import { OPENAI_TEMPLATES } from './openai-templates.js';

type ZeroShotTask = Extract<EvaluationTask, { type: 'zeroshot' }>;

const DEFAULT_TEMPLATES = ['a photo of a {}'];

/** What a zero-shot task classifies into. */
export interface TaskClasses {
  readonly names: readonly string[];
  readonly templates: readonly string[];
  /** Whether these are the classes of the data set as they are, so that its groups of classes mean something. */
  readonly ofDataset: boolean;
  /**
   * The class of a sample by its label; undefined when the task leaves that class out. Throws `data_label_invalid` for a
   * number that has no name.
   */
  indexOf(label: number): number | undefined;
}

/** Joins a task's classes with those of the data set. `path` is the task's place in the spec. Throws `spec_invalid`. */
export function taskClasses(task: ZeroShotTask, dataset: ClassSet | undefined, path: string): TaskClasses {
  const names = task.classes ?? dataset?.names;
  if (names === undefined) {
    throw fieldError('spec_invalid', {
      path: `${path}.classes`,
      message: 'is missing, and data.eval does not name its classes',
      remedy: 'List the names of the classes, or set `classes` of data.eval.',
    });
  }
  const templates =
    task.templates === 'openai-80' ? OPENAI_TEMPLATES : (task.templates ?? dataset?.templates ?? DEFAULT_TEMPLATES);
  return { names, templates, ofDataset: task.classes === undefined, indexOf: indexer(names, task, dataset) };
}

function indexer(
  names: readonly string[],
  task: ZeroShotTask,
  dataset: ClassSet | undefined,
): (label: number) => number | undefined {
  if (dataset !== undefined && task.classes !== undefined) {
    const byName = new Map(names.map((name, i) => [name, i]));
    return (label) => byName.get(dataset.names[label]!);
  }
  return (label) => {
    if (label < names.length) return label;
    throw fieldError('data_label_invalid', {
      path: 'label',
      message: `${label} of a sample of data.eval has no name among ${names.length} classes`,
      value: label,
      remedy: 'Name every class of the data, in the order of their numbers from 0 on.',
    });
  };
}
