/** Sites of a model as a map: a row for each kind of module, a column for each layer. */
export interface SiteGrid {
  /** Numbers of the layers that have a site, ascending. */
  readonly layers: readonly number[];
  readonly rows: readonly SiteRow[];
  /** Sites that belong to no layer (embeddings, the last norm), as indices of the paths. */
  readonly others: readonly number[];
}

export interface SiteRow {
  /** `self_attn.q_proj` */
  readonly kind: string;
  /** For each of the grid's layers the index of its path; undefined where the layer has no such site. */
  readonly sites: readonly (number | undefined)[];
}

/** Where a module stands: `model.layers.3.self_attn.q_proj` is `self_attn.q_proj` of layer 3 of `model.layers`. */
export interface SitePlace {
  readonly stack: string;
  readonly layer: number;
  readonly kind: string;
}

const IN_A_LAYER = /^(.*?)\.(\d{1,9})\.(.+)$/;

/** The place of a module within the layers; undefined where it stands beside them. */
export function placeOf(path: string): SitePlace | undefined {
  const [, stack, layer, kind] = IN_A_LAYER.exec(path) ?? [];
  return stack === undefined || kind === undefined ? undefined : { stack, layer: Number(layer), kind };
}

/**
 * Lays paths out. Kinds come in the order in which a path first had them. Where a model has several stacks of layers
 * (encoder and decoder) each has rows of its own, named after it.
 */
export function gridOf(paths: readonly string[]): SiteGrid {
  const places = paths.map(placeOf);
  const stacks = new Set(places.flatMap((place) => place?.stack ?? []));
  const layers = [...new Set(places.flatMap((place) => place?.layer ?? []))].sort((a, b) => a - b);
  const columnOf = new Map(layers.map((layer, column) => [layer, column]));
  const rows = new Map<string, (number | undefined)[]>();
  const others: number[] = [];
  places.forEach((place, site) => {
    if (place === undefined) {
      others.push(site);
      return;
    }
    const kind = stacks.size > 1 ? `${place.stack}: ${place.kind}` : place.kind;
    const row = rows.get(kind) ?? Array.from(layers, () => undefined);
    rows.set(kind, row);
    row[columnOf.get(place.layer) ?? 0] = site;
  });
  return { layers, rows: [...rows].map(([kind, sites]) => ({ kind, sites })), others };
}
