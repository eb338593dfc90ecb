import { access, open } from 'node:fs/promises';
import { join } from 'node:path';
import { wrongSource } from './build-error.js';

/** TensorFlow's libraries and the headers of its C interface. */
export interface Library {
  /** Where the libraries lie. */
  readonly folder: string;
  readonly include: string;
  /** Names of the files to link. */
  readonly names: readonly string[];
}

const FRAMEWORK = 'libtensorflow_framework.so.2';
/** As the wheels and the C library lay it out, below the folder that was given or unpacked into. */
const LAYOUTS = [
  { folder: '.', include: 'include', names: ['libtensorflow_cc.so.2', FRAMEWORK] },
  { folder: 'tensorflow', include: 'tensorflow/include', names: ['libtensorflow_cc.so.2', FRAMEWORK] },
  { folder: 'lib', include: 'include', names: ['libtensorflow.so.2', FRAMEWORK] },
];
/** e_machine of an ELF header. */
const MACHINES: Readonly<Record<string, number>> = { x64: 62, arm64: 183 };

/** Finds the library in `root`. Throws `request_invalid` about `source`, where it comes from, with what is missing. */
export async function findLibrary(root: string, source: string): Promise<Library> {
  for (const { folder, include, names } of LAYOUTS) {
    const library = { folder: join(root, folder), include: join(root, include), names };
    const files = [...names.map((name) => join(library.folder, name)), join(library.include, 'tensorflow/c/c_api.h')];
    if (!(await Promise.all(files.map(exists))).every(Boolean)) continue;
    if (!(await isForThisMachine(files[0]!)))
      throw wrongSource(source, `holds libraries for another kind of machine than ${process.platform} ${process.arch}`);
    return library;
  }
  throw wrongSource(
    source,
    `holds no TensorFlow for ${process.platform} ${process.arch}: libtensorflow_cc.so.2 or libtensorflow.so.2, ${FRAMEWORK} and include/tensorflow/c/c_api.h are needed`,
  );
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
    throw error;
  }
}

async function isForThisMachine(library: string): Promise<boolean> {
  const file = await open(library);
  try {
    const { buffer } = await file.read(Buffer.alloc(20), 0, 20, 0);
    return buffer.toString('latin1', 0, 4) === '\x7fELF' && buffer.readUInt16LE(18) === MACHINES[process.arch];
  } finally {
    await file.close();
  }
}
