import * as l10n from '@vscode/l10n';
import type { Place, Problem } from '../common/problem.js';
import { readYaml } from './readYaml.js';
import { describeNode, pathText } from './tree.js';
import type { ConfigNode, MapNode } from './tree.js';

/** The deepest option is five levels down. */
const MAX_STEPS = 64;

/**
 * Puts `a.b=c` overrides (the CLI's `--set`) into the tree, before any check. A path goes through keys and list
 * indices (`method.0.r=4`; `method.r=4` and `method.0.r=4` mean the same where `method` is not a list); the index after
 * the last appends. The value is YAML: a scalar or a flow collection (`[q_proj, v_proj]`). Keys that hold a dot are
 * set with their mapping: `method.rank_pattern={layers.0.q_proj: 4}`. Everything set has `--set a.b=c` for its place.
 */
export function applyOverrides(
  root: MapNode,
  overrides: readonly string[],
): { root: MapNode; problems: Problem[] } {
  const problems: Problem[] = [];
  let current = root;
  for (const text of overrides) {
    const place: Place = { file: `--set ${text}` };
    const split = text.indexOf('=');
    const path = text.slice(0, Math.max(split, 0)).trim().split('.');
    if (split < 1 || path.some((step) => step === '')) {
      problems.push({
        code: 'config.bad-override',
        message: l10n.t`the override \`${text}\` has no key before \`=\``,
        where: place,
        expected: l10n.t`\`key.key=value\`, such as \`training.learning_rate=1e-4\``,
      });
      continue;
    }
    if (path.length > MAX_STEPS) {
      problems.push({
        code: 'config.bad-override',
        message: l10n.t`the key of the override has ${path.length} parts`,
        where: place,
        expected: l10n.t`at most ${MAX_STEPS}`,
      });
      continue;
    }
    const read = readYaml(text.slice(split + 1), place.file);
    problems.push(...read.problems.map((problem) => ({ ...problem, where: place })));
    if (!read.root) continue;
    const changed = set(current, path, 0, relocate(read.root, place), place);
    if ('code' in changed) problems.push(changed);
    else if (changed.kind === 'map') current = changed;
  }
  return { root: current, problems };
}

/** A copy of `node` with the value at `path` replaced, or why that cannot be. */
function set(
  node: ConfigNode,
  path: readonly string[],
  depth: number,
  value: ConfigNode,
  place: Place,
): ConfigNode | Problem {
  const step = path[depth];
  if (step === undefined) return value;
  const below = (child: ConfigNode): ConfigNode | Problem => set(child, path, depth + 1, value, place);
  const empty: MapNode = { kind: 'map', at: place, entries: [] };
  if (node.kind === 'list') {
    if (!/^\d+$/.test(step) || Number(step) > node.items.length) {
      return cannot(
        path,
        depth,
        l10n.t`is a list of ${node.items.length}`,
        l10n.t`an index from 0 to ${node.items.length}`,
        place,
      );
    }
    const item = below(node.items[Number(step)] ?? empty);
    return 'code' in item ? item : { ...node, items: node.items.toSpliced(Number(step), 1, item) };
  }
  if (node.kind === 'scalar') {
    if (node.value === null) return set(empty, path, depth, value, place);
    return cannot(path, depth, l10n.t`is ${describeNode(node)}`, l10n.t`a mapping or a list`, place);
  }
  const index = node.entries.findIndex(({ key }) => key === step);
  const old = node.entries[index];
  if (!old && step === '0' && depth === 1 && path[0] === 'method') return below(node);
  const child = below(old?.value ?? empty);
  if ('code' in child) return child;
  const entry = { key: step, keyAt: place, value: child };
  // An override below a key leaves the key itself where the file has it.
  const kept = old && depth < path.length - 1 ? { ...entry, keyAt: old.keyAt } : entry;
  return { ...node, entries: old ? node.entries.toSpliced(index, 1, kept) : [...node.entries, kept] };
}

function cannot(path: readonly string[], depth: number, found: string, expected: string, place: Place): Problem {
  return {
    code: 'config.bad-override',
    message: l10n.t`\`${pathText(path.slice(0, depth))}\` ${found}; \`${String(path[depth])}\` cannot be set in it`,
    where: place,
    expected,
  };
}

function relocate(node: ConfigNode, at: Place): ConfigNode {
  if (node.kind === 'list') return { ...node, at, items: node.items.map((item) => relocate(item, at)) };
  if (node.kind === 'scalar') return { ...node, at };
  return {
    ...node,
    at,
    entries: node.entries.map(({ key, value }) => ({ key, keyAt: at, value: relocate(value, at) })),
  };
}
