import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, open, readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { ClipyardError, fieldError } from '@clipyard/contracts';
import {
  parseSafetensorsHeader,
  readSafetensorsHeaderLength,
  type SafetensorsEntry,
  tensorFloats,
  tensorValues,
} from '@clipyard/tensor';
import { z } from 'zod';
import {
  AVERAGE_FILE,
  CONFIG_FILE,
  MANIFEST_FILE,
  MODEL_FILE,
  manifestSchema,
  parseJson,
  STATE_FILE,
  stateSchema,
  TOKENIZER_FILE,
} from '../checkpoint/checkpoint-format.js';
import type { WeightSource } from './weight-source.js';

/** The name of the weights in a directory that open_clip loads. */
export const OPEN_CLIP_WEIGHTS_FILE = 'open_clip_model.safetensors';
/** The name of our tokenizer there, where others keep theirs under `tokenizer.json`. */
export const EXPORTED_TOKENIZER_FILE = 'clipyard_tokenizer.json';

const WEIGHT_FILES = [OPEN_CLIP_WEIGHTS_FILE, 'open_clip_pytorch_model.safetensors', MODEL_FILE];
const PICKLE_FILE = /\.(bin|pt|pth|ckpt)$/i;
/** In hexadecimal: a zip, as PyTorch writes since 1.6, or a bare pickle, as it wrote before. */
const PICKLE_START = /^(504b0304|800[2-5])/;

export const openClipConfigSchema = z.looseObject({
  model_cfg: z.looseObject({}),
  preprocess_cfg: z.looseObject({}).optional(),
});

/**
 * Opens a safetensors file, or a directory that holds one beside an open_clip_config.json: an export of ours, a checkpoint,
 * or what open_clip's hub has. Tensors are read one by one. `average`: a
 * checkpoint's moving average of the weights instead of the weights, also only if it holds one. `field` is where the path stands in the input. Throws
 * `data_not_found`, `weights_format_unsupported` for PyTorch's pickles, or `checkpoint_damaged`.
 */
export async function openWeights(
  path: string,
  field: string,
  { average = false }: { readonly average?: boolean | 'if-kept' } = {},
): Promise<WeightSource> {
  const info = await statOf(path);
  if (info === undefined) throw missing(field, path, 'there is no such file or directory');
  const file = info.isDirectory() ? await weightsIn(path, field, average) : path;
  const directory = dirname(file);
  const bytes = (await stat(file)).size;
  const handle = await open(file, 'r');
  try {
    const start = await readPart(handle, 0, 9);
    if (isPickle(file, start)) throw pickle(field, file);
    const header = parseSafetensorsHeader(await readPart(handle, 0, 8 + readSafetensorsHeaderLength(start)), bytes);
    await verify(directory, basename(file));
    const config = await readJson(join(directory, CONFIG_FILE), openClipConfigSchema);
    const isCheckpoint = (await statOf(join(directory, MANIFEST_FILE))) !== undefined;
    const state = isCheckpoint ? await readJson(join(directory, STATE_FILE), stateSchema) : undefined;
    const readTensor = async (name: string): Promise<[SafetensorsEntry, Uint8Array]> => {
      const entry = header.entries.get(name)!;
      const data = await readPart(handle, header.dataOffset + entry.start, header.dataOffset + entry.end);
      return [{ ...entry, start: 0, end: data.byteLength }, data];
    };
    return {
      where: path,
      step: state?.step,
      entries: header.entries,
      metadata: header.metadata,
      modelConfig: config?.model_cfg,
      preprocess: config?.preprocess_cfg,
      tokenizer:
        (await readJson(join(directory, EXPORTED_TOKENIZER_FILE), z.unknown())) ??
        (await readJson(join(directory, TOKENIZER_FILE), z.unknown())),
      floats: async (name) => tensorFloats(...(await readTensor(name))),
      integer: async (name) => Number(tensorValues(...(await readTensor(name)))[0]),
      close: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** By its beginning: 8 bytes of length and a brace make safetensors of a file whatever its name. */
function isPickle(file: string, start: Uint8Array): boolean {
  if (start[8] === '{'.charCodeAt(0)) return false;
  return PICKLE_FILE.test(file) || PICKLE_START.test(Buffer.from(start).toString('hex'));
}

async function weightsIn(directory: string, field: string, average: boolean | 'if-kept'): Promise<string> {
  const names = await readdir(directory);
  if (average !== false) {
    if (names.includes(AVERAGE_FILE)) return join(directory, AVERAGE_FILE);
    if (average === true) throw missing(field, directory, `holds no average of the weights (${AVERAGE_FILE})`);
  }
  const known = WEIGHT_FILES.find((name) => names.includes(name));
  const others = names.filter((name) => name.endsWith('.safetensors') && !name.startsWith('optim-'));
  const chosen = known ?? (others.length === 1 ? others[0] : undefined);
  if (chosen !== undefined) return join(directory, chosen);
  const pickled = names.find((name) => PICKLE_FILE.test(name));
  if (pickled !== undefined) throw pickle(field, join(directory, pickled));
  const message =
    others.length === 0 ? 'holds no .safetensors file' : `holds several .safetensors files: ${others.join(', ')}`;
  throw missing(field, directory, message);
}

/** Where the directory is a checkpoint, its manifest says what the file must be. */
async function verify(directory: string, name: string): Promise<void> {
  const manifest = await readJson(join(directory, MANIFEST_FILE), manifestSchema);
  const expected = manifest?.files.find((file) => file.name === name)?.sha256;
  if (expected === undefined) return;
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(join(directory, name))) hash.update(chunk as Buffer);
  if (hash.digest('hex') !== expected)
    throw new ClipyardError('checkpoint_damaged', `${join(directory, name)} does not match its sha256 in the manifest`);
}

async function statOf(path: string) {
  try {
    return await stat(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}

async function readJson<T>(path: string, schema: z.ZodType<T>): Promise<T | undefined> {
  if ((await statOf(path)) === undefined) return undefined;
  return parseJson(schema, await readFile(path), path);
}

async function readPart(handle: FileHandle, start: number, end: number): Promise<Uint8Array> {
  const out = new Uint8Array(end - start);
  let filled = 0;
  while (filled < out.length) {
    const { bytesRead } = await handle.read(out, filled, out.length - filled, start + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return out.subarray(0, filled);
}

const missing = (path: string, value: string, message: string) =>
  fieldError('data_not_found', {
    path,
    message,
    value,
    remedy: `Give a .safetensors file, or a directory with ${WEIGHT_FILES[0]} in it.`,
  });

const pickle = (path: string, value: string) =>
  fieldError('weights_format_unsupported', {
    path,
    message: 'is a pickle of PyTorch, which can run any program when it is read',
    value,
    remedy:
      'Convert it where you trust it: `python scripts/reference/pickle_to_safetensors.py FILE OUT.safetensors` (needs torch and safetensors).',
  });
