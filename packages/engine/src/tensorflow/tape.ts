import type { Binding } from './binding.js';

interface KeptTensor {
  readonly id: number;
  /** It is to be deleted; a constant, which may be kept too, is not. */
  readonly own: boolean;
}

/** Tensors by name that stages of a program leave for later ones. */
export class Tape {
  private readonly tensors = new Map<string, KeptTensor>();

  constructor(private readonly binding: Binding) {}

  get(name: string): number | undefined {
    return this.tensors.get(name)?.id;
  }

  set(name: string, tensor: KeptTensor): void {
    this.tensors.set(name, tensor);
  }

  forget(names: Iterable<string>): void {
    for (const name of names) {
      const tensor = this.tensors.get(name);
      if (tensor?.own) this.binding.deleteTensor(tensor.id);
      this.tensors.delete(name);
    }
  }

  clear(): void {
    this.forget([...this.tensors.keys()]);
  }
}
