import * as l10n from '@vscode/l10n';
import { asValue } from '../config/asValue.js';
import type { ConfigPath } from '../config/tree.js';
import type { Site } from '../models/site.js';
import { modelOf } from './modelSource.js';
import { code } from './modelText.js';
import { describeModules, layerRanges, methodNode, modulesByName } from './patternsNames.js';
import type { NamedModules } from './patternsNames.js';
import type { Cursor, RunDocument, Suggestion } from './runDocument.js';

/** Layer numbers offered; no supported model has more layers. */
const MAX_LAYERS = 200;

/** Methods that can act on norms too. */
const TAKES_NORMS = new Set(['intrinsic', 'fish_mask', 'fish_dip', 'pafi', 'sam', 'lt_sft']);

/**
 * The names of the model's modules where an option takes them: last parts first (`q_proj`), then with the block that
 * holds them (`self_attn.q_proj`); those that are listed already are left out.
 */
export async function moduleSuggestions(
  document: RunDocument,
  { path, part }: Cursor,
  signal?: AbortSignal,
): Promise<readonly Suggestion[]> {
  const reading = await modelOf(document, signal);
  if (reading === undefined || 'problem' in reading) return [];
  const optionAt = path.findIndex((step, at) => at > 0 && typeof step === 'string');
  const option = String(path[optionAt]);
  const holder = path.slice(0, optionAt + 1);
  const inList = path.length > holder.length;
  const listed = listedAt(document, holder, path.at(-1));
  const withNorms = option === 'modules_to_save' || TAKES_NORMS.has(methodType(document, path));
  const sites = reading.facts.model.sites.filter(({ kind }) => kind !== 'norm' || withNorms);
  const groups = [
    ...modulesByName(sites).map((group, index) => ({ ...group, order: `${rank(group)}${pad(index)}` })),
    ...inBlocks(sites).map((group, index) => ({ ...group, order: `4${pad(index)}` })),
  ];
  const names = groups
    .filter(({ name }) => !listed.has(name))
    .map(({ name, sites: found, order }): Suggestion => {
      // A lone text would be an expression that has to match whole paths.
      const insert = part === 'key' || inList ? asValue(name, document.file) : `[${asValue(name, document.file)}]`;
      return {
        label: name,
        kind: 'module',
        detail: describeModules(found),
        documentation: documentation(found),
        order,
        ...(insert !== name && { insert }),
      };
    });
  if (option !== 'target_modules' || inList) return names;
  const linears = sites.filter(({ kind, isOutput }) => kind === 'linear' && !isOutput);
  const insert = asValue('all-linear', document.file);
  const all: Suggestion = {
    label: 'all-linear',
    kind: 'value',
    detail: l10n.t`${linears.length} modules`,
    documentation: l10n.t`Every linear layer except the output layer.`,
    order: '0',
    ...(insert !== 'all-linear' && { insert }),
  };
  return [all, ...names];
}

/** The numbers of the model's layers. */
export async function layerSuggestions(
  document: RunDocument,
  signal?: AbortSignal,
): Promise<readonly Suggestion[]> {
  const reading = await modelOf(document, signal);
  if (reading === undefined || 'problem' in reading) return [];
  const { layers } = reading.facts.model;
  return Array.from({ length: Math.min(layers, MAX_LAYERS) }, (_, layer) => ({
    label: String(layer),
    kind: 'value',
    detail: l10n.t`layer ${layer} of 0–${layers - 1}`,
    order: pad(layer),
  }));
}

/** Linear layers of the blocks first, then the output layer, embeddings, norms. */
function rank({ kind, sites }: NamedModules): number {
  if (kind === 'linear') return sites.some(({ isOutput }) => isOutput) ? 2 : 1;
  return kind === 'embedding' ? 2 : 3;
}

/** Modules by the last two parts of their path, where these hold no number of a layer. */
function inBlocks(sites: readonly Site[]): NamedModules[] {
  const groups = new Map<string, Site[]>();
  for (const site of sites) {
    const name = site.path.split('.').slice(-2).join('.');
    if (site.layer === undefined || !name.includes('.') || /(^|\.)\d+(\.|$)/.test(name)) continue;
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [site]);
    else group.push(site);
  }
  return [...groups].map(([name, found]) => ({ name, kind: found[0]!.kind, sites: found }));
}

function documentation(sites: readonly Site[]): string {
  const layers = sites.flatMap(({ layer }) => layer ?? []);
  const first = code(sites[0]!.path);
  if (layers.length === 0) return first;
  return l10n.t`${sites.length > 1 ? `${first} …` : first}, layers ${layerRanges(layers)}`;
}

/** What the option names already, but for the entry that is being written. */
function listedAt(
  { parsed: { tree } }: RunDocument,
  holder: ConfigPath,
  own: string | number | undefined,
): ReadonlySet<string> {
  const node = tree && methodNode(tree, holder);
  if (node?.kind === 'map') return new Set(node.entries.flatMap(({ key }) => (key === own ? [] : key)));
  const items = node?.kind === 'list' ? node.items : [];
  return new Set(
    items.flatMap((item, index) => (item.kind === 'scalar' && index !== own ? String(item.value) : [])),
  );
}

function methodType({ parsed: { tree } }: RunDocument, path: ConfigPath): string {
  const node = tree && methodNode(tree, [...path.slice(0, typeof path[1] === 'number' ? 2 : 1), 'type']);
  return node?.kind === 'scalar' ? String(node.value) : '';
}

function pad(index: number): string {
  return String(index).padStart(3, '0');
}
