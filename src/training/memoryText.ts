import { formatBytes } from '../common/format.js';
import type { MemoryPlan, MomentName } from '../memory/plan.js';
import type { MeasuredPart, MeasuredParts, Memory } from './events.js';

/** Measured parts by name, in the order in which they are stacked: what the system can take back first. */
export const MEASURED_PARTS: Readonly<Record<MeasuredPart, string>> = {
  mappedWeights: 'mapped weights',
  program: 'program files',
  changedWeights: 'trained copies of weights',
  trainables: 'trained numbers',
  gradients: 'sums of gradients',
  optimizer: 'optimizer',
  state: 'state of methods',
  graph: 'graph buffers',
  node: 'Node',
  native: 'runtime',
};

/** Measured parts that there are, in the order of {@link MEASURED_PARTS}. */
export function measuredParts(parts: MeasuredParts): readonly { part: MeasuredPart; bytes: number }[] {
  return (Object.keys(MEASURED_PARTS) as MeasuredPart[]).flatMap((part) => {
    const bytes = parts[part];
    return bytes === undefined ? [] : [{ part, bytes }];
  });
}

/** How many parts a sentence names. */
const NAMED = 3;

/** `after step 40 1.2 GiB were resident: graph buffers 600 MiB, …`: with the largest parts that were measured. */
export function residentText({ step, resident, parts }: Pick<Memory, 'step' | 'resident' | 'parts'>): string {
  const largest = [...measuredParts(parts)]
    .sort((one, other) => other.bytes - one.bytes)
    .slice(0, NAMED)
    .map(({ part, bytes }) => `${MEASURED_PARTS[part]} ${formatBytes(bytes)}`);
  const when = step === 0 ? 'before the first step' : `after step ${step}`;
  return `${when} ${formatBytes(resident)} were resident${largest.length === 0 ? '' : `: ${largest.join(', ')}`}`;
}

/** The largest parts of a plan at a moment that the system cannot take back; at its peak where it has no such moment. */
export function largestPredicted({ moments, parts }: MemoryPlan, moment: MomentName): readonly string[] {
  const there = moments.find(({ name }) => name === moment)?.parts ?? parts;
  return there
    .filter(({ fileBacked, bytes }) => fileBacked !== true && bytes > 0)
    .sort((one, other) => other.bytes - one.bytes)
    .slice(0, NAMED)
    .map(({ name, bytes }) => `${name} ${formatBytes(bytes)}`);
}
