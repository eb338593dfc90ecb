/**
 * One rank's contrastive loss with all gradients: tiled, against one program that holds the whole matrix of logits and is
 * differentiated automatically. The whole matrix is measured at a smaller size, and compared there and per logit.
 * `--smoke` runs everything at a hundredth of the size. Collectives are copies: this measures the engine's part.
 */
import { execFileSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { openEngine, tf } from '@clipyard/engine';
import { compileContrastiveLoss } from '@clipyard/loss';

const SMOKE = process.argv.includes('--smoke');
const THREADS = Math.min(2, availableParallelism());
const DIMENSION = 512;
const FULL = SMOKE ? { localRows: 512, globalRows: 4096 } : { localRows: 4096, globalRows: 32768 };
const SMALL = SMOKE ? { localRows: 128, globalRows: 1024 } : { localRows: 1024, globalRows: 8192 };
const REPEATS = 3;
const LOGIT_SCALE = Math.log(1 / 0.07);

/** Rank 0 of as many as there are; the others have what it has. */
const copyingGroup = (worldSize) => ({
  rank: 0,
  worldSize,
  allGather: async (input, output) => {
    for (let rank = 0; rank < worldSize; rank++) output.set(input, rank * input.length);
  },
  allReduce: async (buffer) => buffer.forEach((value, i) => (buffer[i] = value * worldSize)),
});

function unitRows(engine, rows) {
  const values = engine.allocate('float32', rows * DIMENSION);
  for (let row = 0; row < rows; row++) {
    const at = values.subarray(row * DIMENSION, (row + 1) * DIMENSION);
    let squares = 0;
    for (let k = 0; k < DIMENSION; k++) {
      at[k] = Math.random() - 0.5;
      squares += at[k] ** 2;
    }
    for (let k = 0; k < DIMENSION; k++) at[k] /= Math.sqrt(squares);
  }
  return values;
}

/** Median seconds of a call after one to warm up, and the largest growth of resident memory in MiB from `before` on. */
async function measure(call, before) {
  let peak = process.memoryUsage.rss();
  const timer = setInterval(() => (peak = Math.max(peak, process.memoryUsage.rss())), 10);
  await call();
  const seconds = [];
  for (let i = 0; i < REPEATS; i++) {
    const start = performance.now();
    await call();
    seconds.push((performance.now() - start) / 1000);
  }
  clearInterval(timer);
  return { seconds: seconds.sort((a, b) => a - b)[REPEATS >> 1], mib: (peak - before) / 2 ** 20 };
}

async function tiled({ localRows, globalRows }) {
  const engine = await openEngine({ engine: 'onnxruntime', threads: THREADS });
  const before = process.memoryUsage.rss();
  const imageEmb_BD = unitRows(engine, globalRows);
  const textEmb_BD = unitRows(engine, globalRows);
  const outputs = {
    dImage_bD: engine.allocate('float32', localRows * DIMENSION),
    dText_bD: engine.allocate('float32', localRows * DIMENSION),
  };
  const loss = await compileContrastiveLoss(engine, { localRows, globalRows, dimension: DIMENSION });
  const inputs = { imageEmb_BD, textEmb_BD, logitScale: LOGIT_SCALE, group: copyingGroup(globalRows / localRows) };
  const result = await measure(() => loss.run(inputs, outputs), before);
  await engine.close();
  return result;
}

async function wholeMatrix({ localRows: b, globalRows: B }) {
  const engine = await openEngine({ engine: 'onnxruntime', threads: THREADS });
  const before = process.memoryUsage.rss();
  const values = {
    image: unitRows(engine, b),
    text: unitRows(engine, b),
    images: unitRows(engine, B),
    texts: unitRows(engine, B),
    scale: Float32Array.of(Math.exp(LOGIT_SCALE)),
  };
  const program = await engine.compile(
    ({ image, text, images, texts, scale }) => {
      const crossEntropy = (own, all, positives) => {
        const logits = tf.mul(tf.matMul(own, all, false, true), scale);
        const max = tf.max(logits, 1, true);
        const lse = tf.add(tf.log(tf.sum(tf.exp(tf.sub(logits, max)), 1, true)), max);
        return tf.mean(tf.sub(lse, tf.mul(scale, tf.sum(tf.mul(own, positives), 1, true))));
      };
      const loss = (image, text, images, texts) =>
        tf.add(crossEntropy(image, texts, text), crossEntropy(text, images, image));
      const { value, grads } = tf.valueAndGrads(loss)([image, text, images, texts]);
      return { loss: value, dImage: grads[0], dText: grads[1], dImages: grads[2], dTexts: grads[3] };
    },
    {
      image: { shape: [b, DIMENSION] },
      text: { shape: [b, DIMENSION] },
      images: { shape: [B, DIMENSION] },
      texts: { shape: [B, DIMENSION] },
      scale: { shape: [1, 1] },
    },
    { name: 'whole matrix' },
  );
  const outputs = Object.fromEntries(
    Object.entries(program.outputs).map(([name, { shape }]) => [
      name,
      engine.allocate(
        'float32',
        shape.reduce((product, extent) => product * extent, 1),
      ),
    ]),
  );
  const result = await measure(() => program.run(values, outputs), before);
  await engine.close();
  return result;
}

/** Each in a process of its own: memory that one left behind would hide what the next takes. */
const PARTS = { full: () => tiled(FULL), small: () => tiled(SMALL), whole: () => wholeMatrix(SMALL) };
const part = process.argv.find((argument) => Object.hasOwn(PARTS, argument));
if (part !== undefined) {
  console.log(JSON.stringify(await PARTS[part]()));
  process.exit();
}
const inChild = (name) =>
  JSON.parse(execFileSync(process.execPath, [...process.argv.slice(1), name], { encoding: 'utf8' }));

const full = inChild('full');
const small = inChild('small');
const whole = inChild('whole');
const logitsOf = ({ localRows, globalRows }) => localRows * globalRows;
const row = ({ localRows, globalRows }, { seconds, mib }) => ({
  local: localRows,
  global: globalRows,
  seconds: Number(seconds.toFixed(3)),
  'ns a logit': Number(((seconds * 1e9) / logitsOf({ localRows, globalRows })).toFixed(1)),
  'memory MiB': Math.round(mib),
});
console.log(`D = ${DIMENSION}, ${THREADS} threads, median of ${REPEATS}, both directions, all gradients`);
console.table({ tiled: row(FULL, full), 'tiled, small': row(SMALL, small), 'whole matrix, small': row(SMALL, whole) });
const ratios = {
  seconds: small.seconds / whole.seconds,
  secondsPerLogit: full.seconds / logitsOf(FULL) / (whole.seconds / logitsOf(SMALL)),
  memory: small.mib / whole.mib,
};
console.log(JSON.stringify({ bench: 'loss', ratios, seconds: full.seconds, memoryMib: full.mib }));
