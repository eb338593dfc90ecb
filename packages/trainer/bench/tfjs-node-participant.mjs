/**
 * A baseline of `npm run bench -- engine`: the same model on @tensorflow/tfjs-node's own backend, eager and one operation
 * at a time, with the differentiation of tfjs; loss and AdamW of tfjs operations. Its backend runs on the binding that
 * `clipyard engines build tensorflow` built. Takes its configuration as JSON.
 */
import { CLIP_PIXEL_STATISTICS, normalizePixels } from '@clipyard/data';
import { tf } from '@clipyard/engine';
import { encodeImage, encodeText, parameterSpecs, parseModelConfig, pooledRows } from '@clipyard/model';
import { adamw, adamwScalars } from '@clipyard/optim';
import { answerSteps } from '@clipyard/testkit';
import { useTfjsNode } from '../../engine/bench/tfjs-node.mjs';
import { batchOf, weightsOf } from './bench-problem.mjs';

const { batch, micro, adamw: optimizer, warmup, bindingPath, ...options } = JSON.parse(process.argv[2]);
const config = parseModelConfig(options.model);
const started = performance.now();
await useTfjsNode(bindingPath);

const specs = parameterSpecs(config);
const parameters = specs.map((spec) => tf.variable(tf.tensor(weightsOf(spec), spec.shape), true, spec.name));
const moments = specs.map(({ shape }) => ({
  m: tf.variable(tf.fill(shape, 0), false),
  v: tf.variable(tf.fill(shape, 0), false),
}));
const scaleIndex = specs.findIndex(({ name }) => name === 'logit_scale');
const towers = parameters.filter((_, i) => i !== scaleIndex);
const scale = parameters[scaleIndex];
const { update } = adamw(optimizer);

const { image_size: size } = config.vision_cfg;
const { context_length: length } = config.text_cfg;
const { pixels, tokens } = batchOf(config, batch);
const parts = Array.from({ length: batch / micro }, (_, i) => {
  const slice = (array, width) => array.slice(i * micro * width, (i + 1) * micro * width);
  const [bytes, words] = [slice(pixels, size * size * 3), slice(tokens, length)];
  const images = normalizePixels(bytes, CLIP_PIXEL_STATISTICS, new Float32Array(bytes.length));
  return {
    images: tf.tensor(images, [micro, size, size, 3]),
    tokens: tf.tensor(words, [micro, length], 'int32'),
    ends: tf.tensor(pooledRows(config.text_cfg, words), [micro], 'int32'),
  };
});
const own = tf.eye(batch);

/** [image, text] of a part, both [m,D]. */
function encode({ images, tokens, ends }, values) {
  const byName = Object.fromEntries(values.map((value, i) => [towers[i].name, value]));
  return [encodeImage(config, byName, images), encodeText(config, byName, tokens, ends)];
}

function contrastiveLoss(image, text, logitScale) {
  const logits = tf.mul(tf.matMul(image, text, false, true), tf.exp(logitScale));
  const { softmaxCrossEntropy } = tf.losses;
  return tf.div(tf.add(softmaxCrossEntropy(own, logits), softmaxCrossEntropy(own, tf.transpose(logits))), 2);
}

/** Loss and gradients of towers and scale, through one tape. */
function whole() {
  const { value, grads } = tf.valueAndGrads((...values) =>
    contrastiveLoss(...encode(parts[0], values.slice(0, -1)), values.at(-1)),
  )([...towers, scale]);
  return { value, grads };
}

/** The same in micro-batches by gradient caching (Gao et al., arXiv 2101.06983), as the product's step. */
function cached() {
  const pairs = parts.map((part) => tf.tidy(() => encode(part, towers)));
  const [image, text] = [0, 1].map((side) => tf.concat(pairs.map((pair) => pair[side])));
  const { value, grads: cotangents } = tf.valueAndGrads(contrastiveLoss)([image, text, scale]);
  const [dImages, dTexts] = cotangents.slice(0, 2).map((cotangent) => tf.split(cotangent, parts.length));
  const sums = towers.map(({ shape }) => tf.fill(shape, 0));
  parts.forEach((part, i) => {
    const { value: embeddings, grads } = tf.valueAndGrads((...values) => tf.concat(encode(part, values)))(
      towers,
      tf.concat([dImages[i], dTexts[i]]),
    );
    embeddings.dispose();
    grads.forEach((grad, j) => {
      const before = sums[j];
      sums[j] = tf.add(before, grad);
      tf.dispose([before, grad]);
    });
  });
  return { value, grads: [...sums, cotangents[2]] };
}

function updateAll(grads, step) {
  [...towers, scale].forEach((parameter, i) => {
    const { m, v } = moments[parameters.indexOf(parameter)];
    const weightDecay = parameter.shape.length >= 2 ? optimizer.weightDecay : 0;
    tf.tidy(() => {
      const scalars = adamwScalars({ ...optimizer, weightDecay }, { lr: optimizer.lr, step });
      const next = update({ param: parameter, grad: grads[i], m, v }, scalars);
      parameter.assign(next.param);
      m.assign(next.m);
      v.assign(next.v);
    });
    grads[i].dispose();
  });
}

let steps = 0;
const step = () =>
  tf.tidy(() => {
    const { value, grads } = micro === batch ? whole() : cached();
    updateAll(grads, ++steps);
    return value.dataSync()[0];
  });

await answerSteps({ step, warmup, started });
