import * as l10n from '@vscode/l10n';
import type { JsonObject } from '../common/json.js';
import type { FoundModule } from './findAdapters.js';

/** More sentences than this help nobody in a tooltip. */
const MAX_SENTENCES = 6;

const LOW_RANK_KEY = /\.lora_(?:embedding_)?[ABE](?:\.weight)?$/;

/**
 * What differs between the layers of a low-rank adapter, in sentences: kinds of module that some layers lack, and halves
 * without their other. PEFT's `get_model_status` says "irregular" where the
 * layers of a model are not in one state; this is that for the layers of an adapter on disk.
 *
 * @param modules with both halves
 * @param keys of all tensors
 */
export function irregularities(
  modules: readonly FoundModule[],
  keys: Iterable<string>,
  config: JsonObject,
): readonly string[] {
  const sentences: string[] = [];
  const paired = new Set(modules.map(({ path }) => path));
  const lonely = new Set<string>();
  for (const key of keys) {
    if (!LOW_RANK_KEY.test(key)) continue;
    const path = key.replace(LOW_RANK_KEY, '').replace(/^base_model\.model\./, '');
    if (!paired.has(path)) lonely.add(path);
  }
  // MoRA has one matrix for both.
  if (lonely.size > 0 && config['use_mora'] !== true)
    sentences.push(l10n.t`${some([...lonely])} without A or without B`);
  // The layers to be changed were chosen: nothing is missing in the others.
  if (!isSet(config['layers_to_transform']) && !areNamed(paired, config['target_modules'])) {
    sentences.push(...gaps(modules));
  }
  return sentences.slice(0, MAX_SENTENCES);
}

const LAYER = /\.(\d+)\./;

/** Whether the config names each module by its path, as methods do that leave some with no rank: then it has all it should. */
function areNamed(paths: ReadonlySet<string>, targets: unknown): boolean {
  return (
    Array.isArray(targets) && targets.length === paths.size && targets.every((path) => paths.has(String(path)))
  );
}

/** Kinds of module (`self_attn.q_proj`) that only some of the adapted layers have. */
function gaps(modules: readonly FoundModule[]): string[] {
  const layers = new Set<string>();
  const kinds = new Map<string, Set<string>>();
  for (const { path } of modules) {
    const layer = LAYER.exec(path);
    if (layer === null) continue;
    layers.add(layer[1]!);
    const kind = path.slice(layer.index + layer[0].length);
    kinds.set(kind, (kinds.get(kind) ?? new Set()).add(layer[1]!));
  }
  return (
    [...kinds]
      .filter(([, having]) => having.size < layers.size)
      // A file may name as many kinds as layers: the rest is not shown, so it is not worked out.
      .slice(0, MAX_SENTENCES)
      .map(([kind, having]) => {
        const missing = [...layers].filter((layer) => !having.has(layer)).map(Number);
        return l10n.t`${kind} in ${having.size} of ${layers.size} layers (not in ${some(missing.sort((a, b) => a - b).map(String))})`;
      })
  );
}

/** Neither absent nor empty. */
function isSet(value: unknown): boolean {
  if (value === undefined || value === null || value === false) return false;
  return typeof value !== 'object' || Object.keys(value).length > 0;
}

function some(names: readonly string[]): string {
  return names.length > 3
    ? l10n.t`${names.slice(0, 3).join(', ')} and ${names.length - 3} more`
    : names.join(', ');
}
