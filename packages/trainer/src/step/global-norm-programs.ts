import assert from 'node:assert';
import { type Engine, type NormExchange, type StagedProgram, type Tensor, tf } from '@clipyard/engine';
import { isResNet, normOrder } from '@clipyard/model';
import { compileEncodeThenBackward, type TowerProgramOptions, vectorJacobian } from './tower-programs.js';

/** What a norm's rows of one micro-batch give, and all rows together: an output and an input of the programs. */
export type NormQuantity = 'mean' | 'variance' | 'cotangent' | 'product';
export const ownName = (quantity: string, norm: string): string => `own ${quantity}:${norm}`;
export const allName = (quantity: string, norm: string): string => `all ${quantity}:${norm}`;

export interface GlobalNormPrograms {
  /** Stage 0, one for each of `forward`, one for the cotangents, one for each of `backward`. */
  readonly program: StagedProgram;
  /** The norms that have statistics to exchange before each of these stages. */
  readonly forward: readonly (readonly string[])[];
  /** Likewise with means of cotangents to exchange. */
  readonly backward: readonly (readonly string[])[];
  /** By norm: its channels, and its rows in a micro-batch. */
  readonly channels: ReadonlyMap<string, number>;
  readonly rows: ReadonlyMap<string, number>;
}

/** The passes of a ResNet whose batch norms work on the statistics of the global batch, in stages between which they are exchanged. */
export async function compileGlobalNorms(
  engine: Engine,
  options: TowerProgramOptions,
  tapes: number,
): Promise<GlobalNormPrograms> {
  const { vision_cfg: vision } = options.config;
  assert(isResNet(vision), 'only ResNets have batch norm');
  const { forward, backward } = normOrder(vision);
  const shapes = new Map(options.parameters.map(({ name, shape }) => [name, shape]));
  const channels = new Map(forward.flat().map((norm) => [norm, shapes.get(`${norm}.weight`)![0]!]));
  const rows = new Map<string, number>();

  const through = (inputs: Record<string, Tensor>, outputs: Record<string, Tensor>) => {
    const pass = <Values extends object>(norm: string, own: Values): Values =>
      Object.fromEntries(
        Object.entries(own).map(([quantity, value]) => {
          outputs[ownName(quantity, norm)] = tf.keep(value);
          return [quantity, inputs[allName(quantity, norm)]!];
        }),
      ) as Values;
    const exchange = (norm: string): NormExchange => ({
      statistics: (own, n) => {
        rows.set(norm, n);
        return pass(norm, own);
      },
      cotangents: (own) => pass(norm, own),
    });
    return { exchange };
  };
  const namesOf = (groups: readonly (readonly string[])[], ...quantities: NormQuantity[]): string[][] =>
    groups.map((norms) => norms.flatMap((norm) => quantities.map((quantity) => allName(quantity, norm))));
  const quantities: NormQuantity[] = ['mean', 'variance', 'cotangent', 'product'];
  const specs = Object.fromEntries(
    [...channels].flatMap(([norm, c]) => quantities.map((quantity) => [allName(quantity, norm), { shape: [c] }])),
  );
  const program = await compileEncodeThenBackward(engine, options, tapes, vectorJacobian(options, through), {
    specs,
    forward: namesOf(forward, 'mean', 'variance'),
    backward: namesOf(backward, 'cotangent', 'product'),
  });
  return { program, forward, backward, channels, rows };
}
