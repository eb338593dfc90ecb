import type { ClipyardError } from '@clipyard/contracts';
import { builtTensorFlow } from '@clipyard/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { printGraph } from '../graph/print.js';
import { record } from '../graph/recorder.js';
import { simplify } from '../graph/simplify.js';
import { splitGraph } from '../graph/split.js';
import { type Engine, type Tensor, tf } from '../index.js';
import { testEngines } from './test-engines.js';

const engines = testEngines(builtTensorFlow());
const FILE = 'packages/engine/src/conformance/call-sites.test.ts';

let line = 0;
/** Notes the line after the one that calls it. */
const nextLine = (): void => {
  line = 1 + Number(/:(\d+):\d+\)?$/.exec(new Error().stack!.split('\n')[2]!)![1]);
};

interface Mistake {
  readonly what: string;
  /** As tfjs calls it. */
  readonly operation?: string;
  /** Of it or of its gradient. */
  readonly where?: string;
  /** The plain JavaScript backend does it. */
  readonly isRightOnCpu?: boolean;
  /** Of x [2,3]; the failing operation stands at `line`. */
  readonly fn: (x: Tensor) => Tensor;
}

const MISTAKES: readonly Mistake[] = [
  {
    what: 'an operation that no engine has',
    operation: 'cumsum',
    isRightOnCpu: true,
    fn: (x) => {
      nextLine();
      return tf.cumsum(x);
    },
  },
  {
    what: 'a product of wrong shapes',
    operation: 'matMul',
    fn: (x) => {
      nextLine();
      return tf.matMul(x, x);
    },
  },
  {
    what: 'a sum of wrong shapes',
    operation: 'add',
    fn: (x) => {
      nextLine();
      return tf.add(x, tf.ones([2]));
    },
  },
  {
    what: 'a logical operation on floats',
    operation: 'logicalAnd',
    fn: (x) => {
      nextLine();
      return tf.logicalAnd(x, x);
    },
  },
  {
    what: 'a product of integers',
    operation: 'matMul',
    isRightOnCpu: true,
    fn: (x) => {
      const whole = tf.cast(x, 'int32');
      nextLine();
      return tf.matMul(whole, whole, false, true);
    },
  },
  {
    what: 'rows of other lengths put together',
    operation: 'concat',
    fn: (x) => {
      nextLine();
      return tf.concat([x, tf.ones([2, 2])], 0);
    },
  },
  {
    what: 'an operation that no engine has, of a gradient',
    operation: 'cumsum',
    isRightOnCpu: true,
    fn: (x) => {
      const running = tf.customGrad((of) => ({
        value: tf.neg(of as Tensor),
        gradFunc: (dy) => {
          nextLine();
          return tf.cumsum(dy as Tensor);
        },
      }));
      return tf.grad((of) => running(tf.mul(of, 2)))(x);
    },
  },
  {
    what: 'an operation that no engine has, in the gradient of a line that has none itself',
    operation: 'cumsum',
    where: ' (gradient)',
    isRightOnCpu: true,
    fn: (x) => {
      const running = tf.customGrad((of) => ({ value: tf.neg(of as Tensor), gradFunc: tf.cumsum as () => Tensor }));
      const squares = (of: Tensor): Tensor => {
        nextLine();
        const ran = running(tf.mul(of, 2));
        return tf.square(ran);
      };
      return tf.grad(squares)(x);
    },
  },
  {
    what: 'a line of which there is no gradient',
    where: ' (gradient)',
    fn: (x) =>
      tf.grad((of) => {
        const isPositive = tf.greater(of, 0);
        nextLine();
        const isSmall = tf.logicalAnd(isPositive, tf.less(of, 1));
        return tf.mul(of, tf.cast(isSmall, 'float32'));
      })(x),
  },
  {
    what: 'a wrong shape in what a gradient is taken of',
    operation: 'reshape',
    fn: (x) =>
      tf.grad((of) => {
        nextLine();
        return tf.reshape(tf.square(of), [4]);
      })(x),
  },
];

describe.each(engines.names)('compiling on %s', (name) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await engines.open(name, 1);
  });
  afterAll(() => engine.close());

  it.each(MISTAKES.filter(({ isRightOnCpu }) => name !== 'cpu' || isRightOnCpu !== true))(
    'names program, operation and line of $what',
    async ({ operation, where = '', fn }) => {
      const compiling = engine.compile(({ x }) => ({ y: fn(x!) }), { x: { shape: [2, 3] } }, { name: 'faulty' });
      const { code, message } = await compiling.then(
        () => expect.unreachable('it compiled'),
        (error: ClipyardError) => error,
      );
      expect(code).toBe('engine_unsupported');
      expect(message).toContain('`faulty`');
      expect(message).toContain(`(${operation === undefined ? '' : `\`${operation}\` at `}${FILE}:${line}${where})`);
    },
  );
});

describe('running on onnxruntime', () => {
  const rows = { x: { shape: [4, 2] }, at: { shape: [3], dtype: 'int32' } } as const;

  it('names the line of an operation that fails, also where equal programs share a session', async () => {
    const engine = await engines.open('onnxruntime', 1);
    const lines: number[] = [];
    const first = await engine.compile(
      ({ x, at }) => {
        nextLine();
        return { y: tf.gather(x!, at!) };
      },
      rows,
      { name: 'first' },
    );
    lines.push(line);
    const second = await engine.compile(
      ({ x, at }) => {
        nextLine();
        return { y: tf.gather(x!, at!) };
      },
      rows,
      { name: 'second' },
    );
    lines.push(line);
    for (const [i, program] of [first, second].entries()) {
      const running = program.run({ x: new Float32Array(8), at: Int32Array.of(0, 9, 1) });
      await expect(running).rejects.toMatchObject({ code: 'engine_failed' });
      await expect(running).rejects.toThrow(`(made at ${FILE}:${lines[i]}) (running \`${program.name}\`)`);
    }
    await engine.close();
  });
});

describe('a recorded graph', () => {
  const graph = () =>
    record(
      'sum of squares',
      ({ x, y }) => {
        nextLine();
        return { z: tf.add(tf.square(x!), y!) };
      },
      { x: { shape: [3] }, y: { shape: [3] } },
    );

  it('keeps the line of each node when simplified and split', () => {
    const { stages } = splitGraph(simplify(graph()), [['y']]);
    const sources = stages.flatMap(({ nodes }) => nodes.map(({ source }) => source));
    expect(sources).toEqual([`${FILE}:${line}`, `${FILE}:${line}`]);
  });

  it('names for each node of a backward pass the line whose gradient it is', () => {
    let squareLine = 0;
    let expLine = 0;
    const recorded = record(
      'gradient',
      ({ x }) => {
        const of = (x: Tensor): Tensor => {
          nextLine();
          const square = tf.square(x);
          squareLine = line;
          nextLine();
          const exp = tf.exp(square);
          expLine = line;
          return exp;
        };
        return { gradient: tf.grad(of)(x!) };
      },
      { x: { shape: [3] } },
    );
    const made = new Set(recorded.nodes.map(({ operation, source }) => `${operation.op} ${source}`));
    expect([...made].sort()).toEqual(
      [
        `mul ${FILE}:${squareLine}`,
        `exp ${FILE}:${expLine}`,
        `mul ${FILE}:${expLine} (gradient)`,
        `mul ${FILE}:${squareLine} (gradient)`,
      ].sort(),
    );
  });

  it('prints them only when asked', () => {
    const recorded = graph();
    expect(printGraph(recorded)).not.toContain('#');
    expect(printGraph(recorded, { sources: true })).toContain(`= add(%0, y)  # ${FILE}:${line}`);
  });
});
