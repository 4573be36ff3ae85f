import * as l10n from '@vscode/l10n';
import { formatBytes } from '../common/format.js';
import { partName } from '../memory/partNames.js';
import type { MemoryPlan, MomentName } from '../memory/plan.js';
import type { MeasuredPart, MeasuredParts, Memory } from './events.js';

/** Measured parts in the order in which they are stacked: what the system can take back first. */
const MEASURED_PARTS: readonly MeasuredPart[] = [
  'mappedWeights',
  'program',
  'changedWeights',
  'trainables',
  'gradients',
  'optimizer',
  'state',
  'graph',
  'node',
  'native',
];

/** A measured part's name, within a sentence. */
export function measuredPartName(part: MeasuredPart): string {
  switch (part) {
    case 'mappedWeights':
      return l10n.t`mapped weights`;
    case 'program':
      return l10n.t`program files`;
    case 'changedWeights':
      return l10n.t`trained copies of weights`;
    case 'trainables':
      return l10n.t`trained numbers`;
    case 'gradients':
      return l10n.t`sums of gradients`;
    case 'optimizer':
      return l10n.t`optimizer`;
    case 'state':
      return l10n.t`state of methods`;
    case 'graph':
      return l10n.t`graph buffers`;
    case 'node':
      return 'Node';
    case 'native':
      return l10n.t`runtime`;
  }
}

/** Measured parts that there are, in the order in which they are stacked. */
export function measuredParts(parts: MeasuredParts): readonly { part: MeasuredPart; bytes: number }[] {
  return MEASURED_PARTS.flatMap((part) => {
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
    .map(({ part, bytes }) => `${measuredPartName(part)} ${formatBytes(bytes)}`);
  const when = step === 0 ? l10n.t`before the first step` : l10n.t`after step ${step}`;
  return largest.length === 0
    ? l10n.t`${when} ${formatBytes(resident)} were resident`
    : l10n.t`${when} ${formatBytes(resident)} were resident: ${largest.join(', ')}`;
}

/** The largest parts of a plan at a moment that the system cannot take back; at its peak where it has no such moment. */
export function largestPredicted({ moments, parts }: MemoryPlan, moment: MomentName): readonly string[] {
  const there = moments.find(({ name }) => name === moment)?.parts ?? parts;
  return there
    .filter(({ fileBacked, bytes }) => fileBacked !== true && bytes > 0)
    .sort((one, other) => other.bytes - one.bytes)
    .slice(0, NAMED)
    .map(({ name, bytes }) => `${partName(name)} ${formatBytes(bytes)}`);
}
