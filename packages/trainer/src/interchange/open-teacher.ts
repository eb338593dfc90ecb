import { isDeepStrictEqual } from 'node:util';
import { type BlobStore, ClipyardError, type Group, type RankStart } from '@clipyard/contracts';
import type { Engine } from '@clipyard/engine';
import { isResNet, type ModelConfig, parameterSpecs, parseModelConfig, type Tokenizer } from '@clipyard/model';
import { FlatLayout } from '@clipyard/tensor';
import type { TeacherWeights } from '../step/teacher.js';
import { isTowerParameter, LOGIT_SCALE } from '../step/tower-programs.js';
import type { TrainLog } from '../train-log.js';
import { fillOnAllRanks, openReferredWeights } from './initial-weights.js';
import type { WeightSource } from './weight-source.js';

/** Where the teacher stands in a run spec. */
const FIELD = 'loss.distill.from';

export interface OpenTeacherDeps {
  readonly engine: Engine;
  readonly group: Group;
  readonly store: BlobStore;
  readonly log: TrainLog;
}

/**
 * On all ranks together: the teacher of a run; undefined: none. Throws as `openReferredWeights` does, and
 * `checkpoint_incompatible` for one that does not read what the student reads.
 */
export async function openTeacher(
  deps: OpenTeacherDeps,
  { spec, teacher: checkpoint, dataDir }: Pick<RankStart, 'spec' | 'teacher' | 'dataDir'>,
  student: { readonly config: ModelConfig; readonly tokenizer: Tokenizer },
  signal: AbortSignal,
): Promise<TeacherWeights | undefined> {
  if (spec.loss.type !== 'clip' || spec.loss.distill === undefined) return undefined;
  const { engine, store, log } = deps;
  const reference = { field: FIELD, value: spec.loss.distill.from, checkpoint, dataDir, file: 'average' as const };
  const source = await openReferredWeights(store, reference, signal);
  try {
    const config = teacherConfig(source, student);
    const specs = parameterSpecs(config);
    const layout = new FlatLayout(specs);
    const buffer = engine.allocate('float32', layout.total);
    const viewOf = (name: string) => layout.view(buffer, name);
    await fillOnAllRanks(source, deps, { config, parameters: specs, viewOf, field: FIELD }, signal);
    log('info', `Learning from the teacher ${source.where}`);
    const towers = specs.filter(({ name }) => isTowerParameter(name));
    return {
      config,
      specs,
      towerViews: Object.fromEntries(towers.map(({ name }) => [name, viewOf(name)])),
      logitScale: viewOf(LOGIT_SCALE)[0]!,
    };
  } finally {
    await source.close();
  }
}

function teacherConfig(
  source: WeightSource,
  student: { readonly config: ModelConfig; readonly tokenizer: Tokenizer },
): ModelConfig {
  if (source.modelConfig === undefined)
    throw refused(source, 'has no open_clip_config.json that tells its model', 'Put it beside the weights.');
  const config = parseModelConfig(source.modelConfig, FIELD);
  const [size, own] = [config, student.config].map((of) => of.vision_cfg.image_size);
  if (size !== own)
    throw refused(
      source,
      `reads pictures of ${size} pixels, the student of ${own}`,
      `Use a teacher for ${own} pixels.`,
    );
  const tokenizer = JSON.parse(JSON.stringify(student.tokenizer.serialize()));
  if (!isDeepStrictEqual(source.tokenizer, tokenizer)) {
    const message =
      source.tokenizer === undefined ? 'has no tokenizer of ours beside it' : 'has another tokenizer than the run';
    const remedy = 'Train the teacher with the same tokenizer, vocabulary and context length, on the same captions.';
    throw refused(source, message, remedy);
  }
  // A teacher sees whole pictures.
  const { vision_cfg: vision } = config;
  return isResNet(vision) ? config : { ...config, vision_cfg: { ...vision, patch_dropout: 0 } };
}

const refused = ({ where }: WeightSource, message: string, remedy: string): ClipyardError =>
  new ClipyardError('checkpoint_incompatible', `${FIELD}: the teacher ${where} ${message}. ${remedy}`, {
    fields: [{ path: FIELD, message, value: where, remedy }],
  });
