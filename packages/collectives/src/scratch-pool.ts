/** Buffers that are used again. Those that are not in use hold at most `keepBytes`. */
export class ScratchPool {
  readonly #keepBytes: number;
  readonly #free: ArrayBuffer[] = [];
  #freeBytes = 0;

  constructor({ keepBytes }: { keepBytes: number }) {
    this.#keepBytes = keepBytes;
  }

  /** A buffer of at least `bytes`, its content arbitrary. */
  take(bytes: number): ArrayBuffer {
    const index = this.#free.findIndex((buffer) => buffer.byteLength >= bytes);
    if (index < 0) return new ArrayBuffer(bytes);
    const [buffer] = this.#free.splice(index, 1);
    this.#freeBytes -= buffer!.byteLength;
    return buffer!;
  }

  /** Takes back a buffer that nobody uses any more. */
  give(buffer: ArrayBuffer): void {
    if (this.#freeBytes + buffer.byteLength > this.#keepBytes) return;
    this.#free.push(buffer);
    this.#freeBytes += buffer.byteLength;
    this.#free.sort((a, b) => a.byteLength - b.byteLength);
  }
}
