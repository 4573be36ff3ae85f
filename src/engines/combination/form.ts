import type { SignMethod } from '../../adapters/combining/deltaSum.js';
import { isJsonObject } from '../../common/json.js';

/**
 * What adapters are combined of: LoRAs (`factors`), differences of one kind that stay of that kind (see
 * `PeftFormat.differences`), or updates of several kinds, which become a LoRA.
 */
export type CombinationKind = 'factors' | 'updates' | 'places' | 'tensors';

/** Whether a LoRA comes out: then there are several ways. */
export function becomesLora(kind: CombinationKind): boolean {
  return kind === 'factors' || kind === 'updates';
}

/** Values of `combine --how`, in the order in which they are offered; `cat` is `linear`. */
export const WAYS = [
  'linear',
  'task_arithmetic',
  'svd',
  'ties',
  'dare_linear',
  'dare_ties',
  'magnitude_prune',
] as const;
export type Way = (typeof WAYS)[number];

export const SIGNS = ['total', 'frequency'] as const satisfies readonly SignMethod[];
export type Sign = (typeof SIGNS)[number];

/** How much of each module's sum is kept: as the way has it, singular values up to a rank, or a share of their squares. */
export const KEEPS = ['usual', 'rank', 'energy'] as const;
export type Keep = (typeof KEEPS)[number];

/** What is written into the page's fields; null stands in a field that holds no number. */
export interface CombinationForm {
  readonly version: typeof FORM_VERSION;
  readonly parts: readonly FormPart[];
  /** Other weights in some layers. */
  readonly layers: readonly FormLayers[];
  /** The base model, where it is not the one that the adapters name. */
  readonly model?: string;
  readonly way: Way;
  readonly density: number | null;
  readonly sign: Sign;
  readonly keep: Keep;
  readonly rank: number | null;
  readonly energy: number | null;
  readonly asPeft: boolean;
  readonly seed: number | null;
}

/** An adapter and its weight. */
export interface FormPart {
  readonly folder: string;
  readonly weight: number | null;
}

/** Layers in which the adapters have other weights. */
export interface FormLayers {
  /** As `combine --layer-weights` takes them: `0-11`, `3,5`, or modules by name or pattern. */
  readonly layers: string;
  /** By folder; an adapter that has none here has that of all layers. */
  readonly weights: Readonly<Record<string, number | null>>;
}

/** Of the form's own form: one of another version is not read. */
const FORM_VERSION = 1;

/** Adapters as they are, added up. The share of 0.2 is that of TIES (Yadav et al. 2023, section 4). */
export function freshForm(folders: readonly string[], model?: string): CombinationForm {
  return {
    version: FORM_VERSION,
    parts: folders.map((folder) => ({ folder, weight: 1 })),
    layers: [],
    ...(model === undefined ? {} : { model }),
    way: 'linear',
    density: 0.2,
    sign: 'total',
    keep: 'usual',
    rank: 16,
    energy: 0.95,
    asPeft: false,
    seed: 0,
  };
}

/** Fields of {@link CombinationForm} that some ways do not read. */
export type Option = 'density' | 'sign' | 'keep' | 'asPeft' | 'seed';

/** The options that what is chosen reads. Adapters that do not become a LoRA are added as they are. */
export function optionsRead({ way, asPeft }: CombinationForm, kind: CombinationKind): readonly Option[] {
  if (!becomesLora(kind)) return [];
  // PEFT combines LoRAs only, and its `svd` is ours.
  const mayBePeft = kind === 'factors' && way !== 'svd';
  const prunes = way === 'ties' || way === 'magnitude_prune' || draws(way);
  return [
    ...(prunes ? (['density'] as const) : []),
    ...(way === 'ties' || way === 'dare_ties' ? (['sign'] as const) : []),
    ...(draws(way) ? (['seed'] as const) : []),
    ...(mayBePeft ? (['asPeft'] as const) : []),
    ...(mayBePeft && asPeft ? [] : (['keep'] as const)),
  ];
}

function draws(way: Way): boolean {
  return way === 'dare_linear' || way === 'dare_ties';
}

/** Adapters that are added: one whose weight is 0 everywhere is left out. */
export function partsAdded({ parts, layers }: CombinationForm): readonly FormPart[] {
  return parts.filter((part) => part.weight !== 0 || layers.some((each) => weightIn(each, part) !== 0));
}

/** An adapter's weight in some layers. */
export function weightIn({ weights }: FormLayers, { folder, weight }: FormPart): number | null {
  return Object.hasOwn(weights, folder) ? weights[folder]! : weight;
}

/** What keeps a form from being computed, the first in the order of its fields. */
export type FormFault =
  | { readonly kind: 'weight'; readonly folder: string }
  | { readonly kind: 'layers' }
  | { readonly kind: 'few'; readonly least: number }
  | { readonly kind: 'density' }
  | { readonly kind: 'rank' }
  | { readonly kind: 'energy' }
  | { readonly kind: 'seed' };

/** Undefined: it can be computed. */
export function formFault(form: CombinationForm, kind: CombinationKind): FormFault | undefined {
  const wrong = form.parts.find(
    (part) => part.weight === null || form.layers.some((each) => weightIn(each, part) === null),
  );
  if (wrong !== undefined) return { kind: 'weight', folder: wrong.folder };
  const named = form.layers.map(({ layers }) => layers.trim());
  if (named.includes('') || new Set(named).size < named.length) return { kind: 'layers' };
  // What becomes a LoRA may be scaled, or cut to a rank, alone.
  const least = becomesLora(kind) ? 1 : 2;
  if (partsAdded(form).length < least) return { kind: 'few', least };
  const read = optionsRead(form, kind);
  if (read.includes('density') && !isShare(form.density)) return { kind: 'density' };
  if (read.includes('keep')) {
    if (form.keep === 'rank' && !(isWhole(form.rank) && form.rank > 0)) return { kind: 'rank' };
    if (form.keep === 'energy' && !isShare(form.energy)) return { kind: 'energy' };
  }
  return read.includes('seed') && !isWhole(form.seed) ? { kind: 'seed' } : undefined;
}

function isShare(value: number | null): value is number {
  return value !== null && value > 0 && value <= 1;
}

function isWhole(value: number | null): value is number {
  return value !== null && Number.isInteger(value) && value >= 0;
}

/** What `peft-studio` is called with for a form without a fault, but for `--out` or `--preview`. */
export function combineArguments(form: CombinationForm, kind: CombinationKind): readonly string[] {
  const parts = partsAdded(form);
  const read = optionsRead(form, kind);
  const weighs = parts.some(({ weight }) => weight !== 1);
  return [
    'combine',
    ...parts.map(({ folder }) => folder),
    // With `=`, for a value that begins with a minus would be taken for an option.
    ...(weighs ? [`--weights=${parts.map(({ weight }) => weight).join(',')}`] : []),
    ...form.layers.map((each) => {
      const weights = parts.map((part) => weightIn(each, part));
      return `--layer-weights=${each.layers.trim()}=${weights.join(',')}`;
    }),
    ...(becomesLora(kind) && form.way !== 'linear' ? [`--how=${form.way}`] : []),
    ...(read.includes('density') ? [`--density=${form.density}`] : []),
    ...(read.includes('sign') && form.sign !== 'total' ? [`--majority-sign=${form.sign}`] : []),
    ...(read.includes('seed') && form.seed !== 0 ? [`--seed=${form.seed}`] : []),
    ...(read.includes('keep') && form.keep === 'rank' ? [`--rank=${form.rank}`] : []),
    ...(read.includes('keep') && form.keep === 'energy' ? [`--energy=${form.energy}`] : []),
    ...(read.includes('asPeft') && form.asPeft ? ['--as-peft'] : []),
    ...(form.model === undefined ? [] : [`--model=${form.model}`]),
  ];
}

/** A form that a page kept over a reload of the window; undefined where another version kept it. */
export function restoredForm(kept: unknown): CombinationForm | undefined {
  if (!isJsonObject(kept) || kept['version'] !== FORM_VERSION || !Array.isArray(kept['parts'])) return undefined;
  const parts = kept['parts'].flatMap((part): FormPart[] =>
    isJsonObject(part) && typeof part['folder'] === 'string'
      ? [{ folder: part['folder'], weight: numberOr(part['weight'], null) }]
      : [],
  );
  const { way, sign, keep, model, layers } = kept;
  const fresh = freshForm([], typeof model === 'string' ? model : undefined);
  return {
    ...fresh,
    parts,
    layers: Array.isArray(layers) ? layers.flatMap(restoredLayers) : [],
    way: WAYS.find((name) => name === way) ?? fresh.way,
    sign: SIGNS.find((name) => name === sign) ?? fresh.sign,
    keep: KEEPS.find((name) => name === keep) ?? fresh.keep,
    density: numberOr(kept['density'], fresh.density),
    rank: numberOr(kept['rank'], fresh.rank),
    energy: numberOr(kept['energy'], fresh.energy),
    seed: numberOr(kept['seed'], fresh.seed),
    asPeft: kept['asPeft'] === true,
  };
}

function restoredLayers(kept: unknown): readonly FormLayers[] {
  if (!isJsonObject(kept) || typeof kept['layers'] !== 'string' || !isJsonObject(kept['weights'])) return [];
  const weights = Object.entries(kept['weights']).map(
    ([folder, weight]) => [folder, numberOr(weight, null)] as const,
  );
  return [{ layers: kept['layers'], weights: Object.fromEntries(weights) }];
}

function numberOr(value: unknown, otherwise: number | null): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : otherwise;
}
