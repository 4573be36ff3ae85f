import { checkTensor } from './checkTensor.js';
import type { Site } from './site.js';

/** Makes the sites of a model whose checkpoint may leave the backbone's name out of its tensors' names. */
export interface NamedSites {
  /** The first of these names that the checkpoint has, under the name that it has there; else the first. */
  stored(...names: readonly string[]): string;
  /** Whether the checkpoint has a tensor of this name. */
  has(name: string): boolean;
  /** A tensor's name, once its shape is found right: `model.tensor`. */
  checked(name: string, shape: readonly number[]): string;
  embedding(path: string, rows: number, width: number): Site;
  /** With a bias. */
  linear(path: string, outSize: number, inSize: number, layer?: number): Site;
  /** A layer norm, with a bias. The first checkpoints came from TensorFlow: gamma and beta. */
  norm(path: string, size: number, layer?: number): Site;
}

/**
 * @param root the backbone's name: `bert`
 * @param bare a tensor that a checkpoint without that name has
 */
export function namedSites(
  root: string,
  bare: string,
  tensors: ReadonlyMap<string, readonly number[]>,
  source: string,
): NamedSites {
  const isBare = tensors.has(bare);
  const own = (name: string): string =>
    isBare && name.startsWith(`${root}.`) ? name.slice(root.length + 1) : name;
  const stored = (...names: readonly string[]): string =>
    names.map(own).find((name) => tensors.has(name)) ?? own(names[0]!);
  const checked = (name: string, shape: readonly number[]): string => {
    checkTensor(tensors, name, shape, source);
    return name;
  };
  return {
    stored,
    checked,
    has: (name) => tensors.has(name),
    embedding: (path, rows, width) => ({
      kind: 'embedding',
      path,
      layer: undefined,
      shape: [rows, width],
      weight: checked(stored(`${path}.weight`), [rows, width]),
      bias: undefined,
      isOutput: false,
    }),
    linear: (path, outSize, inSize, layer) => ({
      kind: 'linear',
      path,
      layer,
      shape: [outSize, inSize],
      weight: checked(stored(`${path}.weight`), [outSize, inSize]),
      bias: checked(stored(`${path}.bias`), [outSize]),
      isOutput: false,
    }),
    norm: (path, size, layer) => ({
      kind: 'norm',
      path,
      layer,
      shape: [size],
      weight: checked(stored(`${path}.weight`, `${path}.gamma`), [size]),
      bias: checked(stored(`${path}.bias`, `${path}.beta`), [size]),
      isOutput: false,
    }),
  };
}
