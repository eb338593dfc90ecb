import { ClipyardError } from '@clipyard/contracts';
import sharp, { type Sharp } from 'sharp';
import { type CropBox, randomCropBox } from './crop-box.js';
import { type DecodedPicture, resample } from './resample.js';

/** Most pixels of a picture that is decoded; a small file can claim any size. */
export const MAX_IMAGE_PIXELS = 100_000_000;
/**
 * Pictures of at most so many pixels, for results of at most this side, are decoded whole and resampled by ourselves:
 * libvips takes three times as long for them, and whole they can be kept for the next epoch (docs/log.md).
 */
const SMALL_PICTURE_PIXELS = 128 * 128;
const SMALL_RESULT_SIDE = 64;

export interface CropOptions {
  /** Side S of the result, pixels. */
  readonly size: number;
  /** Draws a random resized crop; default: the centre crop of CLIP. */
  readonly crop?: { readonly seed: number; readonly position: number };
}

export interface DecodeOptions extends CropOptions {
  /** Names the picture in errors, such as `sample 00012 of shards/00001.tar`. */
  readonly name: string;
}

/**
 * Decodes a picture (PNG, JPEG, WebP, GIF, AVIF, TIFF; the first frame of several) to RGB bytes, row-major [S, S, 3]:
 * turned upright by its EXIF tag, alpha laid on white, then either resized so that the shorter side is S (bicubic) and
 * cropped in the centre, or cropped at random and resized. Runs in libuv's threads. Throws `image_undecodable`.
 */
export async function decodeImage(bytes: Uint8Array, options: DecodeOptions): Promise<Uint8Array> {
  const decoded = await decodeOrKeep(bytes, options);
  return decoded instanceof Uint8Array ? decoded : cropPicture(decoded, options);
}

/** As `decodeImage`, or for a small picture the whole of it, to be kept and given to `cropPicture`. */
export async function decodeOrKeep(bytes: Uint8Array, options: DecodeOptions): Promise<Uint8Array | DecodedPicture> {
  const { size, crop } = options;
  try {
    // Oriented first: every length below is one of the upright picture.
    const image = sharp(bytes, { failOn: 'error', limitInputPixels: MAX_IMAGE_PIXELS, autoOrient: true });
    const { width, height } = (await image.metadata()).autoOrient;
    if (size <= SMALL_RESULT_SIDE && width * height <= SMALL_PICTURE_PIXELS) {
      return { width, height, pixels: await rgb(image, width * height) };
    }
    if (crop === undefined) image.resize(size, size, { fit: 'cover', position: 'centre', kernel: 'cubic' });
    else resizeAndCut(image, size, randomCropBox(crop.seed, crop.position, width, height));
    return await rgb(image, size * size);
  } catch (error) {
    throw undecodable(options.name, error instanceof Error ? error.message : String(error), error);
  }
}

/** The square [S, S, 3] of a picture in memory, cut as `decodeImage` does. */
export function cropPicture(picture: DecodedPicture, { size, crop }: CropOptions): Uint8Array {
  const { width, height } = picture;
  const side = Math.min(width, height);
  const centre = { x: (1 - side / width) / 2, y: (1 - side / height) / 2, width: side / width, height: side / height };
  const box = crop === undefined ? centre : randomCropBox(crop.seed, crop.position, width, height);
  return resample(picture, box, size);
}

async function rgb(image: Sharp, pixels: number): Promise<Uint8Array> {
  const out = await image.flatten({ background: '#ffffff' }).toColourspace('srgb').raw({ depth: 'uchar' }).toBuffer();
  if (out.length !== pixels * 3) throw new Error(`it decodes to ${out.length / pixels} channels`);
  return out;
}

/**
 * Resizes the whole picture so that the box becomes S x S, then cuts it out: cropping first would switch off
 * libvips's shrink-on-load, which costs more than the few per cent around the box.
 */
function resizeAndCut(image: Sharp, size: number, box: CropBox): void {
  const width = Math.max(size, Math.round(size / box.width));
  const height = Math.max(size, Math.round(size / box.height));
  const left = Math.min(width - size, Math.round(box.x * width));
  const top = Math.min(height - size, Math.round(box.y * height));
  image.resize(width, height, { fit: 'fill', kernel: 'cubic' }).extract({ left, top, width: size, height: size });
}

/** The error of one picture that cannot be used, for whatever reason. */
export function undecodable(name: string, reason: string, cause?: unknown): ClipyardError {
  const remedy = 'Replace or remove the file; up to maxBadFraction of the samples may be bad.';
  return new ClipyardError('image_undecodable', `The picture of ${name} cannot be decoded: ${reason}. ${remedy}`, {
    cause,
    fields: [{ path: 'image', message: reason, value: name, remedy }],
  });
}
