import koffi from 'koffi';

/** Memory that several threads of this process see. ONNX Runtime takes no SharedArrayBuffer, but it takes views of this. */
export interface Region {
  readonly id: number;
  readonly address: bigint;
  readonly bytes: number;
}

const ALIGNMENT = 64;

/** Allocates regions and finds the region of an array. */
export class SharedMemory {
  private readonly regions = new Map<ArrayBufferLike, Region>();
  private readonly owners = new Map<number, { pointer: unknown; buffer: ArrayBuffer }>();
  private nextId = 0;

  /** Zeroed, 64-byte aligned; `announce` is told before anybody can use it. */
  constructor(private readonly announce: (region: Region) => void) {}

  allocate(bytes: number): ArrayBuffer {
    const pointer = koffi.alloc('uint8_t', bytes + ALIGNMENT);
    const start = BigInt(koffi.address(pointer));
    const address = start + ((BigInt(ALIGNMENT) - (start % BigInt(ALIGNMENT))) % BigInt(ALIGNMENT));
    const region: Region = { id: this.nextId++, address, bytes };
    const buffer = viewRegion(region);
    new Uint8Array(buffer).fill(0);
    this.regions.set(buffer, region);
    this.owners.set(region.id, { pointer, buffer });
    this.announce(region);
    return buffer;
  }

  find(array: ArrayBufferView): Region | undefined {
    return this.regions.get(array.buffer);
  }

  /** Gives memory back; no array on it may be used afterwards. */
  free(buffer: ArrayBuffer): void {
    const region = this.regions.get(buffer);
    if (region === undefined) return;
    this.regions.delete(buffer);
    koffi.free(this.owners.get(region.id)!.pointer);
    this.owners.delete(region.id);
  }
}

/** This thread's view of a region. */
export function viewRegion(region: Region): ArrayBuffer {
  return koffi.view(region.address, region.bytes);
}
