import assert from 'node:assert';
import { parentPort, workerData } from 'node:worker_threads';
import { type Binding, loadBinding } from './binding.js';
import { LoadedProgram } from './loaded-program.js';
import type { Answer, Call, Greeting, Request, ThreadData } from './protocol.js';

// The thread that computes on TensorFlow: a run blocks it for a whole program, so that the rank's event loop never waits.
const port = parentPort;
assert(port !== null, 'not a thread');
const programs = new Map<number, LoadedProgram>();

function handle(binding: Binding, request: Request): Answer['results'] {
  switch (request.type) {
    case 'load': {
      const { id, program, tape, stop } = request;
      const first = tape.first === undefined ? undefined : programs.get(tape.first);
      programs.set(id, new LoadedProgram(binding, program, tape, first, stop));
      return undefined;
    }
    case 'run': {
      const program = programs.get(request.id);
      assert(program !== undefined, 'no such program');
      return program.run(request.inputs, request.outputs, request.tape);
    }
    case 'dispose': {
      programs.get(request.id)?.dispose();
      programs.delete(request.id);
      return undefined;
    }
  }
}

function answer(binding: Binding, { call, request }: Call): void {
  let reply: Answer;
  try {
    const results = handle(binding, request);
    reply = { call, ...(results === undefined ? {} : { results }) };
  } catch (error) {
    reply = { call, error: (error as Error).message };
  }
  port!.postMessage(
    reply,
    Object.values(reply.results ?? {}).map(({ buffer }) => buffer as ArrayBuffer),
  );
}

const greet = (greeting: Greeting): void => port.postMessage(greeting);
try {
  const binding = loadBinding((workerData as ThreadData).bindingPath);
  port.on('message', (call: Call) => answer(binding, call));
  greet({ type: 'loaded', version: binding.TF_Version, gpu: binding.isUsingGpuDevice() });
} catch (error) {
  greet({ type: 'failed', error: (error as Error).message });
}
