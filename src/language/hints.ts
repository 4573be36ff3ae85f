import * as l10n from '@vscode/l10n';
import type { Problem } from '../common/problem.js';
import { ADVICE, HINT } from '../config/advice.js';
import type { Advice } from '../config/advice.js';
import { entryOf } from '../config/tree.js';
import type { ConfigNode, MapNode } from '../config/tree.js';
import type { RunDocument } from './runDocument.js';
import { schemaAt } from './schemaAt.js';

/** Numbers in the file that are far from what the field advises. */
export function hintsOf({ parsed: { tree } }: RunDocument): readonly Problem[] {
  if (tree === undefined) return [];
  return [
    ...methodsOf(tree).flatMap((method) => {
      const type = entryOf(method, 'type')?.value;
      if (type?.kind !== 'scalar') return [];
      const name = String(type.value);
      return [...sectionHints(method, name), ...(name === 'lora' ? scaleHints(method) : [])];
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
        message: l10n.t`\`${key}\` is ${value.value}, which is far from what is usual (${usual})`,
        where: value.at,
        mend: l10n.t`${l10n.t(advice.text)} (${l10n.t(advice.source)})`,
      },
    ];
  });
}

/** lora_alpha / r scales the update; between these it is a matter of taste. */
const SCALES = { minimum: 1 / 8, maximum: 8 };

/** A LoRA whose update is scaled by far more or less than is usual. */
function scaleHints(method: MapNode): readonly Problem[] {
  const [r, alpha, byRoot] = ['r', 'lora_alpha', 'use_rslora'].map((key) => entryOf(method, key)?.value);
  const [rank, scale] = [numberOf(r, 'r'), numberOf(alpha, 'lora_alpha')];
  const place = alpha?.at ?? r?.at;
  if (rank === undefined || scale === undefined || place === undefined) return [];
  // With it the scale is lora_alpha / √r, and larger values are the point of it.
  if (byRoot?.kind === 'scalar' && byRoot.value === true) return [];
  const usual = outside(scale / rank, SCALES);
  if (usual === undefined) return [];
  const advice = ADVICE['lora.lora_alpha']!;
  return [
    {
      code: `${HINT}lora_alpha`,
      severity: 'warning',
      message: l10n.t`\`lora_alpha\` / \`r\` is ${scale} / ${rank}, which is far from what is usual (${usual})`,
      where: place,
      mend: l10n.t`${l10n.t(advice.text)} (${l10n.t(advice.source)})`,
    },
  ];
}

/** An option of LoRA as written, or else its default; undefined for what is no number above 0, which the checks tell. */
function numberOf(node: ConfigNode | undefined, option: string): number | undefined {
  const otherwise: unknown = schemaAt(['method', 0, option], 'lora')?.default;
  const value = node === undefined ? otherwise : node.kind === 'scalar' ? node.value : undefined;
  return typeof value === 'number' && value > 0 ? value : undefined;
}

/** What is usual, when a value is outside of it. */
function outside(value: number, { minimum, maximum }: NonNullable<Advice['usual']>): string | undefined {
  if (minimum !== undefined && value < minimum) return l10n.t`${minimum} and more`;
  if (maximum !== undefined && value > maximum) return l10n.t`up to ${maximum}`;
  return undefined;
}
