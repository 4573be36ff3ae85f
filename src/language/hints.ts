import type { Problem } from '../common/problem.js';
import { ADVICE, HINT } from '../config/advice.js';
import type { Advice } from '../config/advice.js';
import { entryOf } from '../config/tree.js';
import type { ConfigNode, MapNode } from '../config/tree.js';
import type { RunDocument } from './runDocument.js';

/** Numbers in the file that are far from what the field advises. */
export function hintsOf({ parsed: { tree } }: RunDocument): readonly Problem[] {
  if (tree === undefined) return [];
  return [
    ...methodsOf(tree).flatMap((method) => {
      const type = entryOf(method, 'type')?.value;
      return type?.kind === 'scalar' ? sectionHints(method, String(type.value)) : [];
    }),
    ...tree.entries.flatMap(({ key, value }) => (value.kind === 'map' ? sectionHints(value, key) : [])),
  ];
}

function methodsOf(tree: MapNode): readonly MapNode[] {
  const node = entryOf(tree, 'method')?.value;
  const nodes: readonly ConfigNode[] = node === undefined ? [] : node.kind === 'list' ? node.items : [node];
  return nodes.filter((each) => each.kind === 'map');
}

function sectionHints(section: MapNode, name: string): readonly Problem[] {
  return section.entries.flatMap(({ key, value }): Problem[] => {
    const advice = ADVICE[`${name}.${key}`];
    if (advice?.usual === undefined || value.kind !== 'scalar' || typeof value.value !== 'number') return [];
    const usual = outside(value.value, advice.usual);
    if (usual === undefined) return [];
    return [
      {
        code: `${HINT}${key}`,
        severity: 'warning',
        message: `\`${key}\` is ${value.value}, which is far from what is usual (${usual})`,
        where: value.at,
        mend: `${advice.text} (${advice.source})`,
      },
    ];
  });
}

/** What is usual, when a value is outside of it. */
function outside(value: number, { minimum, maximum }: NonNullable<Advice['usual']>): string | undefined {
  if (minimum !== undefined && value < minimum) return `${minimum} and more`;
  if (maximum !== undefined && value > maximum) return `up to ${maximum}`;
  return undefined;
}
