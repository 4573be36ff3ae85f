import * as l10n from '@vscode/l10n';
import { formatBytes, formatCount, formatPercent } from '../common/format.js';
import { momentName } from '../memory/partNames.js';
import type { MemoryPart, MomentName } from '../memory/plan.js';
import type { EstimateDocument } from './estimateDocument.js';

/** What the parts are called. */
const NAMES: Readonly<Record<MemoryPart['name'], () => string>> = {
  weights: () => l10n.t`Base weights`,
  adapter: () => l10n.t`Trained numbers`,
  gradients: () => l10n.t`Gradients`,
  optimizer: () => l10n.t`Optimizer`,
  state: () => l10n.t`State of the method`,
  activations: () => l10n.t`Activations`,
  logits: () => l10n.t`Logits`,
  workspace: () => l10n.t`Workspace`,
  dequantization: () => l10n.t`Dequantized weights`,
  communication: () => l10n.t`Communication`,
  runtime: () => l10n.t`Runtime`,
  copies: () => l10n.t`Copies of results`,
};

/** An estimate as rows of a name and a value. */
export function estimateRows(found: EstimateDocument): readonly [string, string][] {
  const { trainable, parameters, parts, total, fileBacked, converted, results } = found;
  return [
    [
      l10n.t`Trainable`,
      l10n.t`${formatCount(trainable)} of ${formatCount(parameters)} numbers (${formatPercent(trainable / parameters)})`,
    ],
    ...parts
      .filter(({ bytes }) => bytes > 0)
      .map((part): [string, string] => [partName(part), formatBytes(part.bytes)]),
    [l10n.t`Together, at the peak (${momentName(peakOf(found))})`, formatBytes(total)],
    ...(fileBacked > 0
      ? [
          [
            l10n.t`Of it pages of files`,
            l10n.t`${formatBytes(fileBacked)}, which the system can take back`,
          ] satisfies [string, string],
        ]
      : []),
    ...(converted > 0
      ? [[l10n.t`Copy of the weights in the cache`, formatBytes(converted)] satisfies [string, string]]
      : []),
    ...results.map(({ method, what, bytes }): [string, string] => [
      what === 'adapter' ? l10n.t`On disk: adapter (${method})` : l10n.t`On disk: whole model (${method})`,
      formatBytes(bytes),
    ]),
  ];
}

function peakOf({ moments }: EstimateDocument): MomentName {
  return moments.reduce((most, each) => (each.bytes > most.bytes ? each : most)).name;
}

function partName({ name, fileBacked }: MemoryPart): string {
  return fileBacked === true ? l10n.t`${NAMES[name]()} (file pages)` : NAMES[name]();
}

/** An estimate as Markdown: the parts with how they come about, the peak, what was assumed. */
export function estimateMarkdown(name: string, found: EstimateDocument): string {
  const parts = new Set(found.parts.map(partName));
  return [
    l10n.t`# Estimate of ${name}`,
    '',
    ...estimateRows(found)
      .filter(([what]) => !parts.has(what))
      .map(([what, value]) => `- ${what}: ${value}`),
    '',
    l10n.t`| Part | Bytes | How |`,
    '| --- | ---: | --- |',
    ...found.parts.map((part) => `| ${partName(part)} | ${formatBytes(part.bytes)} | ${part.formula} |`),
    '',
    ...found.moments.map((moment) => `- ${momentName(moment.name)}: ${formatBytes(moment.bytes)}`),
    '',
    ...[...found.assumptions, ...found.notes].map((line) => `- ${line}`),
    '',
    l10n.t`Counted from the run file and the header of the model; no weight was read.`,
    '',
  ].join('\n');
}
