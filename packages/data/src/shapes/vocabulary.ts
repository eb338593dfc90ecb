import type { ClassSet, SampleGroup } from '../dataset.js';

export type Rgb = readonly [number, number, number];

/** None begins with a vowel, so "a" is right before every one of them. */
export const COLOURS = [
  { name: 'red', rgb: [222, 30, 38] },
  { name: 'yellow', rgb: [250, 218, 20] },
  { name: 'green', rgb: [28, 160, 50] },
  { name: 'cyan', rgb: [20, 214, 222] },
  { name: 'blue', rgb: [34, 62, 224] },
  { name: 'purple', rgb: [136, 32, 190] },
  { name: 'pink', rgb: [255, 134, 196] },
  { name: 'brown', rgb: [134, 78, 30] },
] as const satisfies readonly { name: string; rgb: Rgb }[];

export const SHAPES = ['circle', 'square', 'triangle', 'diamond', 'star', 'heart', 'cross', 'ring'] as const;
export type ShapeName = (typeof SHAPES)[number];

/** Grey levels lie far enough apart for the words, whatever their jitter. */
export const BACKGROUNDS = [
  { name: 'white', level: 243 },
  { name: 'gray', level: 128 },
  { name: 'black', level: 12 },
] as const;

/** Offset of the shape's centre, as a share of the room that its size leaves to either side. */
export const PLACES = [
  { phrase: 'in the middle', x: 0, y: 0 },
  { phrase: 'on the left', x: -1, y: 0 },
  { phrase: 'on the right', x: 1, y: 0 },
  { phrase: 'at the top', x: 0, y: -1 },
  { phrase: 'at the bottom', x: 0, y: 1 },
] as const;

/** Side of the shape as a share of the picture's: big, for a model must see it in few patches (docs/log.md). */
export const SIZES = [
  { name: 'small', low: 0.54, high: 0.62 },
  { name: 'big', low: 0.68, high: 0.78 },
] as const;

export interface CaptionParts {
  readonly colour: string;
  readonly shape: string;
  readonly size: string;
  readonly place: string;
  readonly background: string;
}

/** Every caption names colour and shape; what else it tells differs, so that captions within a batch rarely coincide. */
export const CAPTION_TEMPLATES: readonly ((parts: CaptionParts) => string)[] = [
  (p) => `a ${p.colour} ${p.shape}`,
  (p) => `a picture of a ${p.colour} ${p.shape}`,
  (p) => `a ${p.size} ${p.colour} ${p.shape}`,
  (p) => `a ${p.colour} ${p.shape} ${p.place}`,
  (p) => `a ${p.colour} ${p.shape} on a ${p.background} background`,
  (p) => `a ${p.size} ${p.colour} ${p.shape} ${p.place}`,
  (p) => `a ${p.size} ${p.colour} ${p.shape} ${p.place} on a ${p.background} background`,
];

const PROMPT_TEMPLATES = [
  'a {}',
  'a picture of a {}',
  'a small {}',
  'a big {}',
  'a {} in the middle',
  'a {} on a white background',
  'a {} on a gray background',
  'a {} on a black background',
];

/** A colour-shape pair; its index is `colour * 8 + shape`. */
export interface Pair {
  readonly index: number;
  readonly colour: number;
  readonly shape: number;
  readonly group: SampleGroup;
}

/** Eight of the 64 pairs are never shown in training: each colour once and each shape once, the purple star among them. */
const heldOutShape = (colour: number): number => (colour + 7) % SHAPES.length;

export const PAIRS: readonly Pair[] = COLOURS.flatMap((_, colour) =>
  SHAPES.map((_, shape) => ({
    index: colour * SHAPES.length + shape,
    colour,
    shape,
    group: shape === heldOutShape(colour) ? ('unseen' as const) : ('seen' as const),
  })),
);

export const SHAPE_CLASSES = {
  names: PAIRS.map(({ colour, shape }) => `${COLOURS[colour]!.name} ${SHAPES[shape]}`),
  templates: PROMPT_TEMPLATES,
} satisfies ClassSet;
