import { ClipyardError, type FieldProblem } from '@clipyard/contracts';
import type { NamedShape } from '@clipyard/tensor';
import { resizeGrid, resizeLine } from './resize-positions.js';
import type { WeightSource } from './weight-source.js';

/** What open_clip and OpenAI keep in a state dict besides parameters. */
const NO_PARAMETER =
  /(^|\.)(attn_mask|position_ids|num_batches_tracked)$|^(input_resolution|context_length|vocab_size)$/;
/** Parameters that only some losses have: their initial value serves where the source has none. */
const OPTIONAL = ['logit_bias'];

const VISUAL_POSITIONS = 'visual.positional_embedding';
const TEXT_POSITIONS = 'positional_embedding';

/** Fields that an error lists at most; its message says how many there are. */
const LISTED_PROBLEMS = 20;

/** How a parameter of the model is read from a source. */
export interface MatchedWeight {
  readonly name: string;
  /** Its name in the source. */
  readonly source: string;
  /** What happens to the values on the way, for people; undefined: nothing. */
  readonly change?: string;
  convert(values: Float32Array): Float32Array;
}

export interface MatchedWeights {
  readonly weights: readonly MatchedWeight[];
  /** What the source has and the model does not, and the reverse, where that does no harm. */
  readonly notes: readonly string[];
}

/**
 * Finds each parameter in the source. Position embeddings of another number of positions are resampled as open_clip does,
 * the prefixes `module.` (of parallel training) and `text.` (of open_clip's models with a text tower of its own) taken
 * away. Throws `checkpoint_incompatible`, naming every parameter that is missing, of another shape, or not the model's.
 */
export function matchWeights(shapes: readonly NamedShape[], source: WeightSource, field: string): MatchedWeights {
  const names = sourceNames(source, shapes);
  const notes: string[] = [];
  const problems: FieldProblem[] = [];
  const problem = (name: string, message: string, value?: unknown): void => {
    problems.push({ path: field, message: `\`${name}\` ${message}`, ...(value === undefined ? {} : { value }) });
  };
  const weights: MatchedWeight[] = [];
  for (const { name, shape } of shapes) {
    const found = names.get(name);
    names.delete(name);
    if (found === undefined) {
      if (OPTIONAL.includes(name)) notes.push(`\`${name}\` is not in the source and keeps its initial value`);
      else problem(name, `[${shape}] is missing`);
      continue;
    }
    const given = source.entries.get(found)!.shape;
    const fitted = fit(name, given, shape);
    if (fitted === undefined) problem(name, `has the shape [${given}], the model's has [${shape}]`, [...given]);
    else weights.push({ name, source: found, ...fitted });
  }
  for (const [name, found] of names) {
    if (OPTIONAL.includes(name)) notes.push(`\`${name}\` of the source is left out`);
    else problem(name, 'is not a parameter of the model', [...source.entries.get(found)!.shape]);
  }
  if (problems.length > 0) throw incompatible(source.where, field, problems);
  for (const { name, change } of weights) if (change !== undefined) notes.push(`\`${name}\` ${change}`);
  return { weights, notes };
}

/** Names of the model's parameters to those in the file. */
function sourceNames(source: WeightSource, shapes: readonly NamedShape[]): Map<string, string> {
  const wanted = new Set(shapes.map(({ name }) => name));
  const names = new Map<string, string>();
  for (const found of source.entries.keys()) {
    const bare = found.replace(/^module\./, '');
    const name = !wanted.has(bare) && wanted.has(bare.replace(/^text\./, '')) ? bare.replace(/^text\./, '') : bare;
    if (!NO_PARAMETER.test(name) || wanted.has(name)) names.set(name, found);
  }
  return names;
}

function fit(
  name: string,
  given: readonly number[],
  wanted: readonly number[],
): Pick<MatchedWeight, 'change' | 'convert'> | undefined {
  const same = given.length === wanted.length && given.every((extent, i) => extent === wanted[i]);
  // A logit scale is [] or [1].
  const scalar = [...given, ...wanted].every((extent) => extent === 1);
  if (same || scalar) return { convert: (values) => values };
  const [before, width] = given;
  const [after] = wanted;
  if (given.length !== 2 || wanted.length !== 2 || width !== wanted[1]) return undefined;
  if (name === TEXT_POSITIONS) {
    return {
      change: `was resampled from ${before} to ${after} positions`,
      convert: (values) => resizeLine(values, width!, before!, after!),
    };
  }
  if (name !== VISUAL_POSITIONS) return undefined;
  const [from, to] = [Math.sqrt(before! - 1), Math.sqrt(after! - 1)];
  if (!Number.isInteger(from) || !Number.isInteger(to)) return undefined;
  return {
    change: `was resampled from a ${from} x ${from} to a ${to} x ${to} grid`,
    // The class token's position comes first and stays.
    convert: (values) => {
      const out = new Float32Array(after! * width!);
      out.set(values.subarray(0, width!));
      out.set(resizeGrid(values.subarray(width!), width!, from, to), width!);
      return out;
    },
  };
}

function incompatible(where: string, field: string, problems: readonly FieldProblem[]): ClipyardError {
  const remedy = 'Give the model config that the weights were made with (model_cfg of their open_clip_config.json).';
  const shown = problems.slice(0, LISTED_PROBLEMS).map((problem) => ({ ...problem, remedy }));
  const more = problems.length - shown.length;
  const list = shown.map(({ message }) => message).join('; ');
  return new ClipyardError(
    'checkpoint_incompatible',
    `${field}: the weights of ${where} do not fit the model: ${list}${more > 0 ? `; and ${more} more` : ''}. ${remedy}`,
    { fields: shown },
  );
}
