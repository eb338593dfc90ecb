/** How a parameter begins, as open_clip and PyTorch's default layers do it. */
export type Initializer =
  | { readonly type: 'constant'; readonly value: number }
  | { readonly type: 'normal'; readonly std: number }
  /** Uniform in [-bound, bound). */
  | { readonly type: 'uniform'; readonly bound: number };

export const constant = (value: number): Initializer => ({ type: 'constant', value });
export const normal = (std: number): Initializer => ({ type: 'normal', std });
/** PyTorch's default of Linear and Conv2d, weight and bias alike: kaiming_uniform(a = √5). */
export const fanIn = (inputs: number): Initializer => ({ type: 'uniform', bound: 1 / Math.sqrt(inputs) });
/** xavier_uniform of a matrix. */
export const xavier = (rows: number, columns: number): Initializer => ({
  type: 'uniform',
  bound: Math.sqrt(6 / (rows + columns)),
});
