import { formatBytes, formatCount, formatPercent } from '../common/format.js';
import type { Estimate } from './estimate.js';

/** An estimate as rows of a name and a value, and as sentences. */
export function estimateRows({
  trainable,
  total,
  memory,
  converted,
  results,
}: Estimate): readonly [string, string][] {
  const sum = memory.weights + memory.trainables + memory.gradients + memory.optimizer + memory.state;
  return [
    [
      'Trainable',
      `${formatCount(trainable)} of ${formatCount(total)} numbers (${formatPercent(trainable / total)})`,
    ],
    ['Base weights (mapped, float32)', formatBytes(memory.weights)],
    ['Trained numbers', formatBytes(memory.trainables)],
    ['Gradients', formatBytes(memory.gradients)],
    ['Optimizer', formatBytes(memory.optimizer)],
    ...(memory.state > 0 ? [['State of the method', formatBytes(memory.state)] satisfies [string, string]] : []),
    ['Together, without activations', formatBytes(sum)],
    ...(converted > 0
      ? [['Copy of the weights in the cache', formatBytes(converted)] satisfies [string, string]]
      : []),
    ...results.map(({ method, what, bytes }): [string, string] => [
      `On disk: ${what === 'adapter' ? 'adapter' : 'whole model'} (${method})`,
      formatBytes(bytes),
    ]),
  ];
}

/** An estimate as Markdown. */
export function estimateMarkdown(name: string, estimate: Estimate): string {
  return [
    `# Estimate of ${name}`,
    '',
    ...estimateRows(estimate).map(([what, value]) => `- ${what}: ${value}`),
    '',
    ...estimate.notes,
    '',
    'Counted from the run file and the header of the model; no weight was read.',
    '',
  ].join('\n');
}
