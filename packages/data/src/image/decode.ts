import { ClipyardError } from '@clipyard/contracts';
import sharp, { type Sharp } from 'sharp';
import { type CropBox, randomCropBox } from './crop-box.js';

/** Most pixels of a picture that is decoded; a small file can claim any size. */
export const MAX_IMAGE_PIXELS = 100_000_000;

export interface DecodeOptions {
  /** Side S of the result, pixels. */
  readonly size: number;
  /** Draws a random resized crop; default: the centre crop of CLIP. */
  readonly crop?: { readonly seed: number; readonly position: number };
  /** Names the picture in errors, such as `sample 00012 of shards/00001.tar`. */
  readonly name: string;
}

/**
 * Decodes a picture (PNG, JPEG, WebP, GIF, AVIF, TIFF; the first frame of several) to RGB bytes, row-major [S, S, 3]:
 * turned upright by its EXIF tag, alpha laid on white, then either resized so that the shorter side is S (bicubic) and
 * cropped in the centre, or cropped at random and resized. Runs in libuv's threads. Throws `image_undecodable`.
 */
export async function decodeImage(bytes: Uint8Array, options: DecodeOptions): Promise<Uint8Array> {
  const { size, crop } = options;
  try {
    // Oriented first: every length below is one of the upright picture.
    const image = sharp(bytes, { failOn: 'error', limitInputPixels: MAX_IMAGE_PIXELS, autoOrient: true });
    if (crop === undefined) {
      image.resize(size, size, { fit: 'cover', position: 'centre', kernel: 'cubic' });
    } else {
      const { autoOrient } = await image.metadata();
      cropAndResize(image, size, randomCropBox(crop.seed, crop.position, autoOrient.width, autoOrient.height));
    }
    const pixels = await image
      .flatten({ background: '#ffffff' })
      .toColourspace('srgb')
      .raw({ depth: 'uchar' })
      .toBuffer();
    if (pixels.length !== size * size * 3) throw new Error(`it decodes to ${pixels.length / size / size} channels`);
    return pixels;
  } catch (error) {
    throw undecodable(options.name, error instanceof Error ? error.message : String(error), error);
  }
}

/**
 * Resizes the whole picture so that the box becomes S x S, then cuts it out: cropping first would switch off
 * libvips's shrink-on-load, which costs more than the few per cent around the box.
 */
function cropAndResize(image: Sharp, size: number, box: CropBox): void {
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
