import type { InspectedTensors } from '../methods/peftFormat.js';
import { splitAtLayer } from '../models/tensorPlace.js';

/** What was trained in one layer, or in the modules of one kind. */
export interface TrainedShare {
  /** `model.layers.3`, or `q_proj`; '' for what stands beside the layers. */
  readonly name: string;
  readonly trainable: number;
  /** √Σ‖ΔW‖² of its modules; undefined where one of them is not known, or there is none. */
  readonly norm: number | undefined;
}

/** A trained tensor or module, by its path in the model. */
interface Trained {
  readonly layer: string;
  readonly kind: string;
  readonly trainable: number;
  /** Absent for what is no module. */
  readonly norm?: number | undefined;
  readonly isModule: boolean;
}

/** What of the trained numbers is in which layer, in the order of the model, and in which kind of module. */
export function trainedShares(found: {
  readonly modules: InspectedTensors['modules'];
  readonly shared: NonNullable<InspectedTensors['shared']>;
  readonly whole: readonly { readonly key: string; readonly trainable: number }[];
}): { readonly layers: readonly TrainedShare[]; readonly kinds: readonly TrainedShare[] } {
  const all: Trained[] = [
    ...found.modules.map(({ path, trainable, norm }) => {
      return { ...placeOfModule(path), trainable, norm, isModule: true };
    }),
    ...found.shared.map(({ modules, trainable }) => {
      const places = modules.map(placeOfModule);
      return {
        layer: commonOf(places.map(({ layer }) => layer)),
        kind: commonOf(places.map(({ kind }) => kind)),
        trainable,
        isModule: false,
      };
    }),
    ...found.whole.map(({ key, trainable }) => ({ ...placeOfTensor(key), trainable, isModule: false })),
  ];
  return { layers: grouped(all, 'layer').sort(inOrder), kinds: grouped(all, 'kind') };
}

/** Where a module belongs: `model.layers.3` and `q_proj`; '' beside the layers. */
export function placeOfModule(path: string): { readonly layer: string; readonly kind: string } {
  const { layer = '', inside } = splitAtLayer(path);
  return { layer, kind: inside.split('.').at(-1)! };
}

/** A layer before what stands beside the layers, the tenth behind the second. */
export function inOrder(one: { readonly name: string }, other: { readonly name: string }): number {
  if (one.name === '' || other.name === '') return Number(one.name === '') - Number(other.name === '');
  return byNumber.compare(one.name, other.name);
}

const byNumber = new Intl.Collator('en', { numeric: true });

/** `bias` for the bias of any module; else the name of the module. */
function placeOfTensor(key: string): { readonly layer: string; readonly kind: string } {
  const path = key.replace(/^base_model\.model\./, '');
  if (!path.endsWith('.bias')) return placeOfModule(path.replace(/\.weight$/, ''));
  return { layer: placeOfModule(path).layer, kind: 'bias' };
}

/** What all are; '' where they differ. */
function commonOf(names: readonly string[]): string {
  const [first = '', ...others] = names;
  return others.every((each) => each === first) ? first : '';
}

function grouped(all: readonly Trained[], by: 'layer' | 'kind'): TrainedShare[] {
  const groups = new Map<string, Trained[]>();
  for (const each of all) {
    const group = groups.get(each[by]) ?? [];
    groups.set(each[by], group);
    group.push(each);
  }
  return [...groups].map(([name, group]) => {
    const modules = group.filter(({ isModule }) => isModule);
    let squares: number | undefined = modules.length === 0 ? undefined : 0;
    for (const { norm } of modules) {
      squares = squares === undefined || norm === undefined ? undefined : squares + norm * norm;
    }
    return {
      name,
      trainable: group.reduce((sum, { trainable }) => sum + trainable, 0),
      norm: squares === undefined ? undefined : Math.sqrt(squares),
    };
  });
}
