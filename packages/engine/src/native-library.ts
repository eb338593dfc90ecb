import koffi from 'koffi';

/** Stack of a call on another thread, bytes: ONNX Runtime's optimiser recurses over the graph. */
const STACK_BYTES = 8 << 20;

let configured = false;

/** Loads a library of C functions; null: those of this process. koffi takes its settings before the first of them only. */
export function loadLibrary(path: string | null): ReturnType<typeof koffi.load> {
  if (!configured) koffi.config({ async_stack_size: STACK_BYTES });
  configured = true;
  return koffi.load(path);
}
