/** Modules of one shape that have L and R in common. */
export interface SharingGroup<S> {
  /** The tensors' name before `.lotr_L`: `model.layers.*.self_attn.q_proj`, or `shape.768x768`. */
  readonly name: string;
  /** [out, in] */
  readonly shape: readonly [rows: number, columns: number];
  readonly sites: readonly S[];
}

/** What grouping needs to know of a module. */
interface Groupable {
  readonly path: string;
  /** [out, in] */
  readonly shape: readonly number[];
}

/**
 * Modules by what they share: the name without the number of the layer, or nothing but the shape. Modules of one name whose
 * shapes differ are groups of their own, with the shape behind the name.
 */
export function groupedSites<S extends Groupable>(
  sites: readonly S[],
  share: 'projection' | 'shape',
): readonly SharingGroup<S>[] {
  const kinds = new Map<string, Map<string, S[]>>();
  for (const site of sites) {
    const kind = share === 'shape' ? 'shape' : site.path.replace(/\.\d+\./, '.*.');
    const shapes = kinds.get(kind) ?? new Map<string, S[]>();
    kinds.set(kind, shapes);
    const shape = site.shape.join('x');
    shapes.set(shape, [...(shapes.get(shape) ?? []), site]);
  }
  return [...kinds].flatMap(([kind, shapes]) =>
    [...shapes].map(([shape, found]) => ({
      name: share === 'projection' && shapes.size === 1 ? kind : `${kind}.${shape}`,
      shape: found[0]!.shape as readonly [rows: number, columns: number],
      sites: found,
    })),
  );
}
