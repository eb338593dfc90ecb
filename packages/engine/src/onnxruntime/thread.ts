import { parentPort } from 'node:worker_threads';
import * as ort from 'onnxruntime-node';
import { BYTES_PER_ELEMENT, type Placement, type Port, type ThreadRequest, type ThreadResponse } from './protocol.js';
import { viewRegion } from './shared-memory.js';

/** The thread that runs sessions: a run blocks its thread for a whole program, so the rank's sockets must live elsewhere. */
interface OpenProgram {
  readonly session: ort.InferenceSession;
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  /** Tensors by port and place: making one costs more than finding it. */
  readonly tensors: Map<string, ort.Tensor>;
}

/** Tensors over shared memory that the thread of the engine keeps for the next run. */
const MAX_CACHED_TENSORS = 8192;
const regions = new Map<number, ArrayBuffer>();
const programs = new Map<number, OpenProgram>();
const port = parentPort!;

function tensorAt(program: OpenProgram, spec: Port, [region, byteOffset]: readonly [number, number]): ort.Tensor {
  const key = `${spec.name}@${region}:${byteOffset}`;
  let tensor = program.tensors.get(key);
  if (tensor === undefined) {
    const length = spec.shape.reduce((product, extent) => product * extent, 1);
    const buffer = regions.get(region)!;
    const data =
      spec.dtype === 'float32'
        ? new Float32Array(buffer, byteOffset, length)
        : spec.dtype === 'int32'
          ? new Int32Array(buffer, byteOffset, length)
          : new Uint8Array(buffer, byteOffset, length * BYTES_PER_ELEMENT.bool);
    tensor = new ort.Tensor(spec.dtype, data as Float32Array, spec.shape);
    if (program.tensors.size >= MAX_CACHED_TENSORS) program.tensors.clear();
    program.tensors.set(key, tensor);
  }
  return tensor;
}

function place(program: OpenProgram, ports: readonly Port[], placement: Placement): Record<string, ort.Tensor> {
  const tensors: Record<string, ort.Tensor> = {};
  ports.forEach((spec, i) => {
    tensors[spec.name] = tensorAt(program, spec, placement[i]!);
  });
  return tensors;
}

async function handle(request: ThreadRequest): Promise<void> {
  switch (request.type) {
    case 'region':
      regions.set(request.region.id, viewRegion(request.region));
      return;
    case 'open': {
      // One arena a session, without the memory pattern: fixed shapes, so it settles after the first run.
      const session = await ort.InferenceSession.create(request.model, {
        executionProviders: ['cpu'],
        intraOpNumThreads: request.threads,
        interOpNumThreads: 1,
        graphOptimizationLevel: 'all',
        enableCpuMemArena: true,
        enableMemPattern: false,
        logSeverityLevel: 3,
      });
      programs.set(request.program, { session, inputs: request.inputs, outputs: request.outputs, tensors: new Map() });
      return;
    }
    case 'run': {
      const program = programs.get(request.program)!;
      await program.session.run(
        place(program, program.inputs, request.inputs),
        place(program, program.outputs, request.outputs),
      );
      return;
    }
    case 'dispose':
      await programs.get(request.program)?.session.release();
      programs.delete(request.program);
      for (const region of request.regions) regions.delete(region);
      return;
  }
}

let last: Promise<void> = Promise.resolve();
port.on('message', (request: ThreadRequest) => {
  last = last.then(async () => {
    let error: string | undefined;
    try {
      await handle(request);
    } catch (caught) {
      error = caught instanceof Error ? caught.message : String(caught);
    }
    if (request.type !== 'region') port.postMessage({ call: request.call, error } satisfies ThreadResponse);
  });
});
