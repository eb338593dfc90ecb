import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { ClipyardError } from '@clipyard/contracts';
import koffi from 'koffi';
import { loadLibrary } from '../native-library.js';

/**
 * ONNX Runtime's C API, out of the library inside the npm package onnxruntime-node. Its JavaScript binding copies every
 * output to a new array, given ones too, and has a thread pool per session; the C API does neither (docs/adr/0009).
 *
 * Pointers are bigints. `struct OrtApi` only grows: a function's place in it is the same in every release.
 */
const API_VERSION = 17;
const FUNCTIONS = {
  GetErrorMessage: [2, 'str', ['void *']],
  CreateSessionFromArray: [8, 'void *', ['void *', 'void *', 'size_t', 'void *', 'void *']],
  Run: [9, 'void *', ['void *', 'void *', 'void *', 'void *', 'size_t', 'void *', 'size_t', 'void *']],
  CreateSessionOptions: [10, 'void *', ['void *']],
  DisableMemPattern: [17, 'void *', ['void *']],
  SetSessionLogSeverityLevel: [22, 'void *', ['void *', 'int']],
  SetSessionGraphOptimizationLevel: [23, 'void *', ['void *', 'int']],
  SetIntraOpNumThreads: [24, 'void *', ['void *', 'int']],
  SetInterOpNumThreads: [25, 'void *', ['void *', 'int']],
  CreateRunOptions: [39, 'void *', ['void *']],
  RunOptionsSetTerminate: [46, 'void *', ['void *']],
  CreateTensorWithDataAsOrtValue: [49, 'void *', ['void *', 'void *', 'size_t', 'void *', 'size_t', 'int', 'void *']],
  CreateCpuMemoryInfo: [69, 'void *', ['int', 'int', 'void *']],
  ReleaseStatus: [93, 'void', ['void *']],
  ReleaseSession: [95, 'void', ['void *']],
  ReleaseValue: [96, 'void', ['void *']],
  ReleaseRunOptions: [97, 'void', ['void *']],
  ReleaseSessionOptions: [100, 'void', ['void *']],
  CreateEnvWithGlobalThreadPools: [119, 'void *', ['int', 'str', 'void *', 'void *']],
  DisablePerSessionThreads: [120, 'void *', ['void *']],
  CreateThreadingOptions: [121, 'void *', ['void *']],
  AddSessionConfigEntry: [130, 'void *', ['void *', 'str', 'str']],
  CreateAndRegisterAllocator: [144, 'void *', ['void *', 'void *', 'void *']],
  SetGlobalIntraOpNumThreads: [147, 'void *', ['void *', 'int']],
  SetGlobalInterOpNumThreads: [148, 'void *', ['void *', 'int']],
} as const satisfies Record<string, readonly [place: number, result: string, parameters: readonly string[]]>;

type Name = keyof typeof FUNCTIONS;
type Argument = bigint | number | string | NodeJS.TypedArray | null;
type StatusFunction = Exclude<Name, 'GetErrorMessage' | `Release${string}`>;

interface NativeFunction {
  (...args: Argument[]): unknown;
  async(...args: [...Argument[], (error: unknown, result: unknown) => void]): void;
}

export class OrtApi {
  private readonly functions: Readonly<Record<Name, NativeFunction>>;
  /** What calls under way use: nothing else need refer to it. */
  private readonly inFlight = new Set<readonly unknown[]>();

  private constructor(
    api: bigint,
    /** Unloaded when nothing refers to it. */
    readonly library: unknown,
  ) {
    this.functions = Object.fromEntries(
      Object.entries(FUNCTIONS).map(([name, [place, result, parameters]]) => {
        const address = koffi.decode(api, place * koffi.sizeof('void *'), 'void *') as bigint;
        return [name, koffi.decode(address, koffi.proto(result, [...parameters])) as NativeFunction];
      }),
    ) as unknown as Record<Name, NativeFunction>;
  }

  /** Loads the library. Throws `engine_unavailable` where the package has none for this machine. */
  static load(): OrtApi {
    const library = loadLibrary(libraryPath());
    const base = library.func('OrtGetApiBase', 'void *', [])() as bigint;
    const getApi = koffi.decode(koffi.decode(base, 'void *'), koffi.proto('void *', ['uint32_t']));
    return new OrtApi(getApi(API_VERSION), library);
  }

  /** Calls a function that returns a status. Throws what ONNX Runtime says of a failure. */
  call(name: StatusFunction, ...args: Argument[]): void {
    this.check(this.functions[name](...args));
  }

  /**
   * Likewise on a thread of its own. Arrays among the arguments, and those in `used` that they point to, are kept alive
   * and must not be touched before it resolves.
   */
  callAsync(name: StatusFunction, args: readonly Argument[], used: readonly unknown[] = []): Promise<void> {
    return new Promise((resolve, reject) => {
      const kept = [...args, ...used];
      this.inFlight.add(kept);
      this.functions[name].async(...args, (error, status) => {
        this.inFlight.delete(kept);
        try {
          if (error) throw error;
          this.check(status);
          resolve();
        } catch (caught) {
          reject(caught);
        }
      });
    });
  }

  /** What a function makes, whose last parameter takes the pointer to it. */
  make(name: StatusFunction, ...args: Argument[]): bigint {
    const made = new BigUint64Array(1);
    this.call(name, ...args, made);
    return made[0]!;
  }

  release(kind: 'Session' | 'SessionOptions' | 'RunOptions' | 'Value', object: bigint): void {
    this.functions[`Release${kind}`](object);
  }

  private check(status: unknown): void {
    if (status === null || status === 0n) return;
    const message = this.functions.GetErrorMessage(status as bigint) as string;
    this.functions.ReleaseStatus(status as bigint);
    throw new Error(message);
  }
}

function libraryPath(): string {
  const root = dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'));
  const { platform, arch } = process;
  const name =
    platform === 'win32' ? 'onnxruntime.dll' : platform === 'darwin' ? 'libonnxruntime.1.dylib' : 'libonnxruntime.so.1';
  const path = join(root, 'bin', 'napi-v6', platform, arch, name);
  if (existsSync(path)) return path;
  throw new ClipyardError('engine_unavailable', `onnxruntime-node has no library for ${platform} ${arch} (${path})`);
}
