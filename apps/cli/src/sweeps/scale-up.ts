import { parseRunSpec, type RunSpec, type RunSpecInput, type Sweep, type Trial } from '@clipyard/contracts';
import { isResNet, paperRecipe, parameterSpecs, resolveModelConfig } from '@clipyard/model';
import { formatNumber } from '../output/format.js';

/** Learning rate ∝ parameters^-0.2: the least-squares fit of the eight rates above, for models that are not among them. */
export const RATE_EXPONENT = -0.2;

/** A model of the paper for each kind of picture tower, whose β2 and ε are those of all of the kind (table 18). */
const OF_KIND = { 'residual network': 'RN50', transformer: 'ViT-B-32' } as const;

export interface ScaleUp {
  readonly preset: string;
  readonly batch?: number;
  readonly epochs?: number;
  readonly name?: string;
}

export interface ScaledSpec {
  readonly spec: RunSpec;
  /** What was changed and why, a line each. */
  readonly rules: readonly string[];
}

/**
 * A run spec for a larger model from a trial of a sweep, by the paper's way (section 2.5: tuned on RN50 for one epoch, then
 * set for larger models by heuristics). Throws `preset_unknown`, or what `parseRunSpec` throws.
 */
export function scaleUp(sweep: Sweep, trial: Trial, from: RunSpec, to: ScaleUp): ScaledSpec {
  const rules: string[] = [];
  const spec = structuredClone(from) as unknown as RunSpecInput & { optimizer: RunSpec['optimizer'] };
  const target = { preset: to.preset };
  resolveModelConfig(target);
  spec.name = to.name ?? `${sweep.name}-${to.preset}`;
  const { sweep: _, trial: __, ...labels } = from.labels;
  spec.labels = { ...labels, scaledFrom: `${sweep.id}/${trial.index}` };
  const { config: ___, preset: ____, init, ...model } = from.model;
  spec.model = { ...model, ...target };
  rules.push(`model.preset: ${to.preset}, from trial ${trial.index} of ${sweep.id} (${nameOf(from.model)})`);

  if (init !== undefined) rules.push(`model.init: left out, since the weights of ${init} are of another model`);

  const { factor, why } = rateFactor(from.model, target);
  spec.optimizer.lr = Number((from.optimizer.lr * factor).toPrecision(3));
  rules.push(`optimizer.lr: ${formatNumber(from.optimizer.lr)} × ${factor.toFixed(3)} = ${spec.optimizer.lr}: ${why}`);

  const [before, after] = [towerOf(from.model), towerOf(target)];
  if (before !== after) {
    const { betas, eps } = paperRecipe(OF_KIND[after])!.optimizer;
    const isSearched = (path: string) => Object.hasOwn(trial.values, path);
    if (!isSearched('optimizer.betas')) spec.optimizer.betas = [from.optimizer.betas[0], betas![1]];
    if (!isSearched('optimizer.eps')) spec.optimizer.eps = eps!;
    rules.push(`optimizer.betas, optimizer.eps: table 18's of a ${after}, unless they were searched`);
  }
  if (to.batch !== undefined) {
    spec.batch = { ...from.batch, global: to.batch };
    rules.push(`batch.global: ${to.batch}, as given; the learning rate does not follow it`);
  }
  if (to.epochs !== undefined) {
    spec.duration = { epochs: to.epochs };
    rules.push(`duration.epochs: ${to.epochs}, as given`);
  }
  rules.push(
    'all else as in the trial (weight decay and warm-up are the same for all sizes in table 18: 0.2 and 2,000 steps)',
  );
  return { spec: parseRunSpec(spec), rules };
}

type Model = Pick<RunSpec['model'], 'preset' | 'config'>;

const nameOf = ({ preset }: Model): string => preset ?? 'its own config';
const paperName = ({ preset = '' }: Model): string => preset.replace(/-quickgelu$/, '');

/** The paper's rate for training from scratch; undefined for models that are not the paper's. */
export function paperRate(model: Model): number | undefined {
  // ViT-L-14-336 is ViT-L-14, trained on at a higher resolution.
  return paperRecipe(paperName(model).replace(/-336$/, ''))?.optimizer.lr;
}

/** The learning rate of a model over that of another; never more than 1. */
export function rateFactor(from: Model, to: Model): { factor: number; why: string } {
  const [before, after] = [paperRate(from), paperRate(to)];
  if (before !== undefined && after !== undefined) {
    const why = `tables 19 and 20 have ${before} for ${paperName(from)} and ${after} for ${paperName(to)}`;
    return { factor: Math.min(1, after / before), why };
  }
  const [small, large] = [parametersOf(from), parametersOf(to)];
  const why = `${millions(small)} to ${millions(large)} parameters, and parameters^${RATE_EXPONENT} fits tables 19 and 20`;
  return { factor: Math.min(1, (large / small) ** RATE_EXPONENT), why };
}

const millions = (count: number): string => `${formatNumber(count / 1e6)} M`;

function parametersOf(model: Model): number {
  // The initial temperature is no matter here.
  const specs = parameterSpecs(resolveModelConfig(model as RunSpec['model']), 0.07);
  return specs.reduce((total, { shape }) => total + shape.reduce((a, b) => a * b, 1), 0);
}

function towerOf(model: Model): keyof typeof OF_KIND {
  const { vision_cfg: vision } = resolveModelConfig(model as RunSpec['model']);
  return isResNet(vision) ? 'residual network' : 'transformer';
}
