import { ClipyardError, fieldError } from '@clipyard/contracts';

/** The engine cannot be built on this machine; `message` ends with what to do. */
export const cannotBuild = (message: string, cause?: unknown): ClipyardError =>
  new ClipyardError('engine_unavailable', `The tensorflow engine cannot be built: ${message}`, { cause });

/** What `--from` names is of no use. */
export const wrongSource = (value: string, message: string, remedy = FROM_REMEDY): ClipyardError =>
  fieldError('request_invalid', { path: '--from', message, value, remedy });

export const FROM_REMEDY =
  'Give a TensorFlow wheel (.whl) for this platform, the C library of TensorFlow (.tar.gz), or a folder such as site-packages/tensorflow.';
