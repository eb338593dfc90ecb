import { referenceGroups, relativeDifference } from '@clipyard/testkit';
import { describe, expect, it } from 'vitest';
import { ClassificationTally } from '../classification-tally.js';
import { OPENAI_TEMPLATES } from './openai-templates.js';
import { taskClasses } from './task-classes.js';
import { buildZeroShot } from './zero-shot.js';

const SIGNAL = new AbortController().signal;
const D = 4;

/** Stands for the text tower: a direction made of the characters of a caption. */
function directionOf(caption: string): number[] {
  const sum = [0, 0, 0, 0];
  for (let i = 0; i < caption.length; i++) sum[i % D]! += Math.sin(caption.charCodeAt(i) * (i + 1));
  const norm = Math.hypot(...sum);
  return sum.map((value) => value / norm);
}
const embedder = {
  dimension: D,
  texts: async (captions: readonly string[]) => Float32Array.from(captions.flatMap(directionOf)),
};

describe('the zero-shot classifier', () => {
  it("has CLIP's 80 prompts", () => {
    expect(OPENAI_TEMPLATES).toHaveLength(80);
    expect(new Set(OPENAI_TEMPLATES).size).toBe(80);
    for (const template of OPENAI_TEMPLATES) expect(template.split('{}')).toHaveLength(2);
  });

  it('is the mean direction of the prompts of each class, on any number of ranks', async () => {
    const names = Array.from({ length: 31 }, (_, i) => `class $& ${i}`);
    const expected = names.flatMap((name) => {
      const mean = [0, 0, 0, 0];
      for (const template of OPENAI_TEMPLATES)
        directionOf(template.split('{}').join(name)).forEach((value, d) => {
          mean[d]! += value / 80;
        });
      return mean.map((value) => value / Math.hypot(...mean));
    });
    for (const worldSize of [1, 2, 4]) {
      const classifiers = await Promise.all(
        referenceGroups(worldSize).map((group) => buildZeroShot(embedder, group, names, OPENAI_TEMPLATES, SIGNAL)),
      );
      for (const { weights } of classifiers)
        expect(relativeDifference(weights, Float32Array.from(expected))).toBeLessThan(1e-6);
    }
  });
});

describe('classification', () => {
  it('by hand, with ties, a rare class and a class without samples', async () => {
    const tally = new ClassificationTally(7);
    tally.add([9, 1, 1, 1, 1, 1, 1], 0, 'seen');
    tally.add([9, 1, 1, 1, 1, 1, 1], 0, 'seen');
    tally.add([9, 9, 1, 1, 1, 1, 1], 0, 'seen');
    // The first place is taken; six tie for four places within the first five.
    tally.add([9, 1, 1, 1, 1, 1, 1], 1, 'unseen');
    const values = tally.values();
    expect(values.top1).toBeCloseTo(2.5 / 4);
    expect(values.top5).toBeCloseTo((3 + 4 / 6) / 4);
    expect(values.mean_per_class).toBeCloseTo((2.5 / 3 + 0) / 2);
    expect(values).toMatchObject({ seen: expect.closeTo(2.5 / 3), unseen: 0 });
    expect(tally.perClass()[6]).toEqual({ samples: 0, accuracy: null });
  });

  it('gives chance to a model that has collapsed, and nothing without labels', () => {
    const tally = new ClassificationTally(20);
    expect(tally.values()).toEqual({});
    for (let label = 0; label < 20; label++) tally.add(new Float32Array(20).fill(0.3), label);
    expect(tally.values()).toEqual({
      top1: expect.closeTo(0.05),
      top5: expect.closeTo(0.25),
      mean_per_class: expect.closeTo(0.05),
    });
  });
});

describe('the classes of a task', () => {
  const dataset = { names: ['cat', 'dog', 'hen'], templates: ['one {}'] };

  it('are those of the data, with its prompts, unless the task has its own', () => {
    expect(taskClasses({ type: 'zeroshot' }, dataset, 't')).toMatchObject({
      names: dataset.names,
      templates: ['one {}'],
    });
    expect(taskClasses({ type: 'zeroshot' }, { names: ['a', 'b'] }, 't').templates).toEqual(['a photo of a {}']);
    expect(taskClasses({ type: 'zeroshot', templates: 'openai-80' }, dataset, 't').templates).toBe(OPENAI_TEMPLATES);
  });

  it('are joined with those of the data by name, with numbers by order', () => {
    const named = taskClasses({ type: 'zeroshot', classes: ['hen', 'emu', 'cat'] }, dataset, 't');
    expect([0, 1, 2].map(named.indexOf)).toEqual([2, undefined, 0]);
    const numbered = taskClasses({ type: 'zeroshot', classes: ['hen', 'emu'] }, undefined, 't');
    expect(numbered.indexOf(1)).toBe(1);
    expect(() => numbered.indexOf(2)).toThrow(expect.objectContaining({ code: 'data_label_invalid' }));
  });

  it('are asked for where nobody names them', () => {
    expect(() => taskClasses({ type: 'zeroshot' }, undefined, 'evaluate.tasks[2]')).toThrow(
      expect.objectContaining({
        code: 'spec_invalid',
        fields: [expect.objectContaining({ path: 'evaluate.tasks[2].classes' })],
      }),
    );
  });
});
