import { formatBytes, formatCount, formatPercent } from '../common/format.js';
import type { MemoryPart } from '../memory/plan.js';
import type { EstimateDocument } from './estimate.js';

/** What the parts are called. */
const NAMES: Readonly<Record<MemoryPart['name'], string>> = {
  weights: 'Base weights',
  adapter: 'Trained numbers',
  gradients: 'Gradients',
  optimizer: 'Optimizer',
  state: 'State of the method',
  activations: 'Activations',
  logits: 'Logits',
  workspace: 'Workspace',
  dequantization: 'Dequantized weights',
  communication: 'Communication',
  runtime: 'Runtime',
};

/** An estimate as rows of a name and a value. */
export function estimateRows(found: EstimateDocument): readonly [string, string][] {
  const { trainable, parameters, parts, total, fileBacked, converted, results } = found;
  return [
    [
      'Trainable',
      `${formatCount(trainable)} of ${formatCount(parameters)} numbers (${formatPercent(trainable / parameters)})`,
    ],
    ...parts
      .filter(({ bytes }) => bytes > 0)
      .map((part): [string, string] => [partName(part), formatBytes(part.bytes)]),
    [`Together, at the peak (${peakOf(found)})`, formatBytes(total)],
    ...(fileBacked > 0
      ? [
          ['Of it pages of files', `${formatBytes(fileBacked)}, which the system can take back`] satisfies [
            string,
            string,
          ],
        ]
      : []),
    ...(converted > 0
      ? [['Copy of the weights in the cache', formatBytes(converted)] satisfies [string, string]]
      : []),
    ...results.map(({ method, what, bytes }): [string, string] => [
      `On disk: ${what === 'adapter' ? 'adapter' : 'whole model'} (${method})`,
      formatBytes(bytes),
    ]),
  ];
}

function peakOf({ moments }: EstimateDocument): string {
  return moments.reduce((most, each) => (each.bytes > most.bytes ? each : most)).name;
}

function partName({ name, fileBacked }: MemoryPart): string {
  return fileBacked === true ? `${NAMES[name]} (file pages)` : NAMES[name];
}

/** An estimate as Markdown: the parts with how they come about, the peak, what was assumed. */
export function estimateMarkdown(name: string, found: EstimateDocument): string {
  const parts = new Set(found.parts.map(partName));
  return [
    `# Estimate of ${name}`,
    '',
    ...estimateRows(found)
      .filter(([what]) => !parts.has(what))
      .map(([what, value]) => `- ${what}: ${value}`),
    '',
    '| Part | Bytes | How |',
    '| --- | ---: | --- |',
    ...found.parts.map((part) => `| ${partName(part)} | ${formatBytes(part.bytes)} | ${part.formula} |`),
    '',
    ...found.moments.map((moment) => `- ${moment.name}: ${formatBytes(moment.bytes)}`),
    '',
    ...[...found.assumptions, ...found.notes].map((line) => `- ${line}`),
    '',
    'Counted from the run file and the header of the model; no weight was read.',
    '',
  ].join('\n');
}
