import * as l10n from '@vscode/l10n';
import { formatBytes } from '../src/common/format.js';
import { partName } from '../src/memory/partNames.js';
import type { MemoryPart, MemoryPlan } from '../src/memory/plan.js';
import type { MeasuredPart, Memory } from '../src/training/events.js';

/** What memory is for, where prediction and measurement speak of the same: from the ground of the stack upwards. */
export type GroupName = 'weights' | 'files' | 'runtime' | 'trained' | 'optimizer' | 'state' | 'passes';

interface Group {
  readonly name: GroupName;
  readonly title: () => string;
  /** Beside a number, where that is not the title. */
  readonly short?: () => string;
  readonly measured: readonly MeasuredPart[];
  readonly predicted: (part: MemoryPart) => boolean;
}

const isFile = ({ fileBacked }: MemoryPart): boolean => fileBacked === true;
const PASSES: ReadonlySet<MemoryPart['name']> = new Set<MemoryPart['name']>([
  'activations',
  'logits',
  'gradients',
  'workspace',
  'dequantization',
  'communication',
]);

export const GROUPS: readonly Group[] = [
  {
    name: 'weights',
    title: () => l10n.t`Mapped weights`,
    measured: ['mappedWeights'],
    predicted: (part) => part.name === 'weights' && isFile(part),
  },
  {
    name: 'files',
    title: () => l10n.t`Program files`,
    measured: ['program'],
    predicted: (part) => part.name === 'runtime' && isFile(part),
  },
  {
    name: 'runtime',
    title: () => l10n.t`Node and runtime`,
    measured: ['node', 'native'],
    predicted: (part) => (part.name === 'runtime' || part.name === 'copies') && !isFile(part),
  },
  {
    name: 'trained',
    title: () => l10n.t`Trained numbers`,
    measured: ['trainables', 'changedWeights'],
    predicted: (part) => part.name === 'adapter' || (part.name === 'weights' && !isFile(part)),
  },
  {
    name: 'optimizer',
    title: () => l10n.t`Optimizer`,
    measured: ['optimizer'],
    predicted: ({ name }) => name === 'optimizer',
  },
  {
    name: 'state',
    title: () => l10n.t`State of methods`,
    measured: ['state'],
    predicted: ({ name }) => name === 'state',
  },
  {
    name: 'passes',
    title: () => l10n.t`Passes: activations, gradients, work space`,
    short: () => l10n.t`Passes`,
    measured: ['graph', 'gradients'],
    predicted: ({ name }) => PASSES.has(name),
  },
];

/** Bytes of a group that were measured; undefined where none of its parts is told. */
export function measuredBytes(name: GroupName, { parts }: Pick<Memory, 'parts'>): number | undefined {
  const told = groupOf(name).measured.flatMap((part) => parts[part] ?? []);
  return told.length === 0 ? undefined : told.reduce((sum, bytes) => sum + bytes, 0);
}

/** Parts of a plan that belong to a group. */
export function predictedParts(name: GroupName, plan: Pick<MemoryPlan, 'parts'>): readonly MemoryPart[] {
  return plan.parts.filter(groupOf(name).predicted);
}

function groupOf(name: GroupName): Group {
  return GROUPS.find((group) => group.name === name)!;
}

/** A line of the table; a value that is not known is a dash. */
export interface MemoryRow {
  readonly part: string;
  readonly predicted: string;
  readonly now: string;
  readonly peak: string;
  /** How the prediction comes about. */
  readonly formula: string;
  /** A part of the group above it, which is predicted only. */
  readonly isDetail?: true;
}

/** The table: each group that holds something, the passes with what they are made of, and the sum. */
export function memoryRows(plan: MemoryPlan | undefined, memory: readonly Memory[]): readonly MemoryRow[] {
  const last = memory.at(-1);
  const bytes = (value: number | undefined): string => (value === undefined ? '–' : formatBytes(value));
  const rows: MemoryRow[] = [];
  for (const { name, title } of GROUPS) {
    const parts = plan === undefined ? [] : predictedParts(name, plan);
    const predicted = plan && parts.reduce((sum, part) => sum + part.bytes, 0);
    const now = last && measuredBytes(name, last);
    const measured = memory.flatMap((each) => measuredBytes(name, each) ?? []);
    const peak = measured.length === 0 ? undefined : measured.reduce((most, each) => Math.max(most, each), 0);
    if ((predicted ?? 0) === 0 && (peak ?? 0) === 0) continue;
    const formula = parts.length === 1 ? parts[0]!.formula : '';
    rows.push({ part: title(), predicted: bytes(predicted), now: bytes(now), peak: bytes(peak), formula });
    if (parts.length < 2) continue;
    for (const part of parts) {
      rows.push({
        part: partName(part.name),
        predicted: bytes(part.bytes),
        now: '',
        peak: '',
        formula: part.formula,
        isDetail: true,
      });
    }
  }
  if (rows.length === 0 && last === undefined) return rows;
  rows.push({
    part: l10n.t`All`,
    predicted: bytes(plan?.total),
    now: bytes(last?.resident),
    peak: bytes(last?.peakResident),
    formula: plan === undefined ? '' : plan.assumptions.join(' '),
  });
  return rows;
}
