/**
 * Our sides of `npm run bench -- loss`: the tiled loss, or one program that holds the whole matrix of logits and is
 * differentiated automatically. Takes its configuration as JSON. Collectives are copies: this measures the engine's part.
 */
import { openEngine, tf } from '@clipyard/engine';
import { compileContrastiveLoss } from '@clipyard/loss';
import { answerSteps, formulaValues } from '@clipyard/testkit';

const { side, localRows: b, globalRows: B, dimension: D, threads, warmup, logitScale } = JSON.parse(process.argv[2]);
/** Rows made at a time, as scripts/reference/torch_loss.py makes them. */
const BLOCK = 64;
const started = performance.now();
const engine = await openEngine({ engine: 'onnxruntime', threads });
const beforeMib = process.memoryUsage.rss() / 2 ** 20;

/** Rows of length 1. */
function unitRows(name) {
  const values_BD = engine.allocate('float32', B * D);
  for (let begin = 0; begin < B; begin += BLOCK) {
    const block = formulaValues(`${name} ${begin}`, BLOCK * D);
    for (let row = 0; row < BLOCK; row++) {
      let squares = 0;
      for (let k = row * D; k < (row + 1) * D; k++) squares += block[k] ** 2;
      for (let k = row * D; k < (row + 1) * D; k++) values_BD[begin * D + k] = block[k] / Math.sqrt(squares);
    }
  }
  return values_BD;
}

/** Rank 0 of as many as there are; the others have what it has, so that the loss is that of its rows. */
const copyingGroup = (worldSize) => ({
  rank: 0,
  worldSize,
  allGather: async (input, output) => {
    for (let rank = 0; rank < worldSize; rank++) output.set(input, rank * input.length);
  },
  allReduce: async (buffer) => buffer.forEach((value, i) => (buffer[i] = value * worldSize)),
});

async function tiled() {
  const outputs = { dImage_bD: engine.allocate('float32', b * D), dText_bD: engine.allocate('float32', b * D) };
  const loss = await compileContrastiveLoss(engine, { type: 'clip', localRows: b, globalRows: B, dimension: D });
  const inputs = { imageEmb_BD: unitRows('images'), textEmb_BD: unitRows('texts'), logitScale };
  const group = copyingGroup(B / b);
  return async () => (await loss.run({ ...inputs, group }, outputs)).loss;
}

async function wholeMatrix() {
  const [images, texts] = [unitRows('images'), unitRows('texts')];
  const [image, text] = [images, texts].map((rows) => rows.subarray(0, b * D));
  const values = { image, text, images, texts, scale: Float32Array.of(Math.exp(logitScale)) };
  const program = await engine.compile(
    ({ image, text, images, texts, scale }) => {
      const crossEntropy = (own, all, positives) => {
        const logits = tf.mul(tf.matMul(own, all, false, true), scale);
        const max = tf.max(logits, 1, true);
        const lse = tf.add(tf.log(tf.sum(tf.exp(tf.sub(logits, max)), 1, true)), max);
        return tf.mean(tf.sub(lse, tf.mul(scale, tf.sum(tf.mul(own, positives), 1, true))));
      };
      const loss = (image, text, images, texts) =>
        tf.div(tf.add(crossEntropy(image, texts, text), crossEntropy(text, images, image)), 2);
      const { value, grads } = tf.valueAndGrads(loss)([image, text, images, texts]);
      return { loss: value, dImage: grads[0], dText: grads[1], dImages: grads[2], dTexts: grads[3] };
    },
    {
      image: { shape: [b, D] },
      text: { shape: [b, D] },
      images: { shape: [B, D] },
      texts: { shape: [B, D] },
      scale: { shape: [1, 1] },
    },
    { name: 'whole matrix' },
  );
  const sizeOf = ({ shape }) => shape.reduce((product, extent) => product * extent, 1);
  const outputs = Object.fromEntries(
    Object.entries(program.outputs).map(([name, spec]) => [name, engine.allocate('float32', sizeOf(spec))]),
  );
  return async () => (await program.run(values, outputs)).loss[0];
}

const step = await { tiled, wholeMatrix }[side]();
await answerSteps({ step, warmup, started, ready: { beforeMib } });
await engine.close();
