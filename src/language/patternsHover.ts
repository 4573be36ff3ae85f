import * as l10n from '@vscode/l10n';
import { formatCount } from '../common/format.js';
import { ProblemError } from '../common/problem.js';
import { trainsWhole } from '../methods/loraParameters.js';
import { matchTargets, patternValue } from '../methods/targets.js';
import type { Site } from '../models/site.js';
import { attachToHeader } from './modelAttach.js';
import { soundSections } from './modelDraft.js';
import { modelOf } from './modelSource.js';
import { code } from './modelText.js';
import { layerRanges, methodNode } from './patternsNames.js';
import type { Cursor, RunDocument } from './runDocument.js';

/** The options that name modules. */
const PATTERNS = new Set([
  'target_modules',
  'exclude_modules',
  'modules_to_save',
  'rank_pattern',
  'alpha_pattern',
]);

/** Modules listed by their path. */
const LISTED = 8;

/**
 * The modules that a target pattern, a key of `rank_pattern` or `alpha_pattern`, or a module to save matches: how many,
 * in which layers, their shapes, and what trains in them. In Markdown; undefined where the cursor is on nothing of it.
 */
export async function patternHover(
  document: RunDocument,
  { path, part }: Cursor,
  signal?: AbortSignal,
): Promise<string | undefined> {
  const [, index, option, below] = typeof path[1] === 'number' ? path : ['method', 0, ...path.slice(1)];
  if (typeof index !== 'number' || typeof option !== 'string') return undefined;
  const { tree } = document.parsed;
  const node = tree && methodNode(tree, ['method', index, option, ...(below === undefined ? [] : [below])]);
  const written = node?.kind === 'scalar' && typeof node.value === 'string' ? node.value : undefined;
  const isKey = (option === 'rank_pattern' || option === 'alpha_pattern') && typeof below === 'string';
  const entry = isKey ? below : part === 'value' ? written : undefined;
  if (entry === undefined || !PATTERNS.has(option)) return undefined;
  const reading = await modelOf(document, signal);
  if (reading === undefined || 'problem' in reading) return undefined;
  const { facts } = reading;
  const configs = soundSections(document).method;
  const modules = (configs && attachToHeader(configs, facts).methods[index]?.coverage.modules) ?? [];
  const trainable = new Map(modules.map((each) => [each.path, each.trainable]));
  let sites: readonly Site[];
  try {
    sites = matching(option, entry, below !== undefined, facts.model.sites, trainable);
  } catch (error) {
    // The check of the file says what is wrong with the expression.
    if (error instanceof ProblemError) return undefined;
    throw error;
  }
  const numbers = sites.reduce((sum, site) => sum + trained(site, trainable), 0);
  return option === 'exclude_modules' ? describe(entry, sites, undefined) : describe(entry, sites, numbers);
}

/** The sites that an entry stands for in its option. */
function matching(
  option: string,
  entry: string,
  inList: boolean,
  sites: readonly Site[],
  adapted: ReadonlyMap<string, number>,
): readonly Site[] {
  switch (option) {
    case 'target_modules': {
      const match = matchTargets({ target_modules: inList ? [entry] : entry }, sites, () => true, 'gather');
      return adapted.size === 0 ? match.sites : match.sites.filter((site) => adapted.has(site.path));
    }
    case 'exclude_modules':
      return matchTargets({ target_modules: inList ? [entry] : entry }, sites, () => true, 'gather').sites;
    case 'modules_to_save':
      return sites.filter((site) => trainsWhole([entry], site.path));
    case 'rank_pattern':
    case 'alpha_pattern': {
      const pattern = { [entry]: 1 };
      const among = adapted.size === 0 ? sites : sites.filter((site) => adapted.has(site.path));
      return among.filter((site) => patternValue(pattern, site.path) !== undefined);
    }
    default:
      return [];
  }
}

function trained({ path }: Site, trainable: ReadonlyMap<string, number>): number {
  const parts = [path, `${path}.weight`, `${path}.bias`];
  return parts.reduce((sum, part) => sum + (trainable.get(part) ?? 0), 0);
}

function matchWords(entry: string, sites: readonly Site[]): string {
  const count = sites.length;
  const layers = sites.flatMap(({ layer }) => layer ?? []);
  if (layers.length === 0) {
    return count === 1 ? l10n.t`${entry} matches 1 module` : l10n.t`${entry} matches ${count} modules`;
  }
  const where = layerRanges(layers);
  return count === 1
    ? l10n.t`${entry} matches 1 module in layers ${where}`
    : l10n.t`${entry} matches ${count} modules in layers ${where}`;
}

function describe(entry: string, sites: readonly Site[], trainable: number | undefined): string {
  if (sites.length === 0) return l10n.t`${code(entry)} matches no module.`;
  const matched = matchWords(code(entry), sites);
  const head =
    trainable === undefined || trainable === 0
      ? l10n.t`${matched}.`
      : l10n.t`${matched}; ${formatCount(trainable)} trainable parameters.`;
  const lines = sites.slice(0, LISTED).map(({ path, shape }) => `- ${code(path)} [${shape.join(', ')}]`);
  const more = sites.length > LISTED ? [`- ${l10n.t`and ${sites.length - LISTED} more`}`] : [];
  return [head, '', ...lines, ...more].join('\n');
}
