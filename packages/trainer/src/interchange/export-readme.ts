import type { ModelConfig, SerializedTokenizer } from '@clipyard/model';
import { EXPORTED_TOKENIZER_FILE } from './weights-file.js';

/** A byte-pair vocabulary as open_clip reads it. */
export const MERGES_FILE = 'merges.txt.gz';

/** Tokens of the tokenizer that open_clip has for most of its models. */
const OPEN_CLIP_VOCABULARY = 49_408;

/** What a README of an export tells. */
export interface ReadmeFacts {
  readonly where: string;
  readonly config: ModelConfig;
  /** exp(logit scale): the factor on the cosine similarities. */
  readonly scale: number;
  /** Undefined: none came with the weights. */
  readonly tokenizer: SerializedTokenizer['type'] | undefined;
}

export const openClipReadme = (facts: ReadmeFacts): string => `# ${title(facts)}

Made by \`clipyard export\` from ${facts.where}. With open_clip (\`pip install open_clip_torch\`), this directory as DIR:

\`\`\`python
import open_clip
model, _, preprocess = open_clip.create_model_and_transforms("local-dir:DIR")
image = model.encode_image(preprocess(picture)[None], normalize=True)
\`\`\`

${tokens(facts)}

Weights are float32, whatever format they were trained in. Similarities are cosines times ${facts.scale.toPrecision(6)} (exp of \`logit_scale\`).
`;

export const onnxReadme = (facts: ReadmeFacts, batch: number | 'open'): string => {
  const { vision_cfg: vision, text_cfg: text, embed_dim: width } = facts.config;
  const n = batch === 'open' ? 'n' : batch;
  return `# ${title(facts)}

Made by \`clipyard export --format onnx\` from ${facts.where}. ONNX's own operators, opset 17, float32, weights inside${
    batch === 'open' ? '; any number n of samples' : `; always ${batch} samples at once`
  }.

| file | input | output |
|---|---|---|
| visual.onnx | \`pixel_values\` float32 [${n}, 3, ${vision.image_size}, ${vision.image_size}] | \`image_embeds\` float32 [${n}, ${width}] |
| textual.onnx | \`input_ids\` int64 [${n}, ${text.context_length}] | \`text_embeds\` float32 [${n}, ${width}] |

Embeddings have length 1. Pictures: RGB, the shorter side resized to ${vision.image_size} (bicubic), the centre cut out, values divided
by 255, less the mean and divided by the standard deviation of \`preprocess_cfg\` in open_clip_config.json.

${tokens(facts)}

Similarities are cosines times ${facts.scale.toPrecision(6)}: \`softmax(${facts.scale.toPrecision(6)} * image_embeds @ text_embeds.T)\`.
`;
};

const title = ({ config }: ReadmeFacts): string =>
  `A CLIP model: pictures of ${config.vision_cfg.image_size} pixels, captions of ${config.text_cfg.context_length} tokens`;

function tokens({ config, tokenizer }: ReadmeFacts): string {
  const { context_length: length, vocab_size: size } = config.text_cfg;
  if (tokenizer === 'bpe')
    return `Captions: a byte-pair vocabulary of its own, ${MERGES_FILE}, which open_clip's tokenizer reads:\n\`open_clip.SimpleTokenizer("DIR/${MERGES_FILE}", context_length=${length})\`.`;
  if (tokenizer === undefined && size !== OPEN_CLIP_VOCABULARY)
    return `Captions: no tokenizer came with these weights. Tokens are below ${size}; the largest one of a row ends its caption, zeros follow.`;
  if (tokenizer !== 'word')
    return `Captions: open_clip's tokenizer, \`open_clip.tokenize(texts, context_length=${length})\`: start, tokens, end-of-text, zeros.`;
  return `Captions: **not open_clip's tokenizer**. The vocabulary is in ${EXPORTED_TOKENIZER_FILE}: normalise to NFKC, lower-case, split into runs of
letters, marks and digits and into single other characters; word i of \`words\` is ${'`'}i + 2${'`'}, an unknown one 1. A row is ${size - 2}
(start), at most ${length - 2} words, ${size - 1} (end of text), zeros. In Python:

\`\`\`python
import json, unicodedata, regex  # pip install regex
words = {w: i + 2 for i, w in enumerate(json.load(open("${EXPORTED_TOKENIZER_FILE}"))["words"])}
def tokenize(text):
    found = regex.findall(r"[\\p{L}\\p{M}\\p{N}]+|[^\\s\\p{L}\\p{M}\\p{N}]", unicodedata.normalize("NFKC", text).lower())[:${length - 2}]
    row = [${size - 2}, *(words.get(w, 1) for w in found), ${size - 1}]
    return row + [0] * (${length} - len(row))
\`\`\``;
}
