import { placeOfTensor } from '../src/engines/masks/maskTensor.js';
import { valueAt } from './siteHistory.js';
import type { SiteFrame, SiteHistory } from './siteHistory.js';

/** Numbers of some tensors that train, of how many. */
export interface Share {
  readonly name: string;
  readonly kept: number;
  readonly size: number;
}

/** A site is named after its module, or a method's own tensor. */
const WHOLE_NAME = /\.(?:weight|bias|lora_\w+)$/;

/** What trains by layer and by kind of module, of the tensors whose shape is told; what belongs to no layer is last, as ''. */
export function sharesOf(
  { paths, shapes }: SiteHistory,
  frame: SiteFrame,
): { readonly layers: readonly Share[]; readonly kinds: readonly Share[] } {
  const layers = new Map<string, Share>();
  const kinds = new Map<string, Share>();
  paths.forEach((path, site) => {
    const [shape, density] = [shapes.get(path), valueAt(frame, 'density', site)];
    if (shape === undefined || density === undefined) return;
    const size = shape.reduce((product, length) => product * length, 1);
    const { layer = '', kind } = placeOfTensor(WHOLE_NAME.test(path) ? path : `${path}.weight`, false);
    for (const [groups, name] of [[layers, layer] as const, [kinds, kind] as const]) {
      const { kept, size: before } = groups.get(name) ?? { kept: 0, size: 0 };
      groups.set(name, { name, kept: kept + Math.round(density * size), size: before + size });
    }
  });
  const last = (one: Share, other: Share): number => Number(one.name === '') - Number(other.name === '');
  return { layers: [...layers.values()].sort(last), kinds: [...kinds.values()] };
}
