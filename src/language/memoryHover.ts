import { formatBytes, formatCount, formatPercent } from '../common/format.js';
import type { MachineMemory } from '../common/machineMemory.js';
import { freeWords } from '../engines/memoryWarning.js';
import type { Quantity } from '../memory/largest.js';
import type { LargestAnswer } from './memoryAnswer.js';
import type { Cursor } from './runDocument.js';

/** The quantity under the cursor that memory can be asked about, if it is one. */
export function quantityAt({ path }: Cursor): Quantity | undefined {
  const [section, ...rest] = path;
  const option = rest.at(-1);
  if (section === 'training' && rest.length === 1 && option === 'per_device_train_batch_size') return 'batch';
  if (section === 'data' && rest.length === 1 && option === 'max_length') return 'length';
  return section === 'method' && rest.length === 2 && (option === 'r' || option === 'init_r') ? 'rank' : undefined;
}

const WHAT: Readonly<Record<Quantity, string>> = {
  batch: 'The batch',
  length: 'The length of rows',
  rank: 'The rank',
};

/** What a quantity decides of the memory and how large it may be, in Markdown. */
export function memoryHover(
  quantity: Quantity,
  { peak, decides, largest }: LargestAnswer,
  machine: MachineMemory,
): string {
  const share = formatPercent(Math.max(0, decides) / peak);
  const most =
    largest === 0
      ? 'no value is small enough'
      : `the largest value that fits is ${formatCount(largest)}, all else as it is`;
  return `**Memory**: ${WHAT[quantity]} decides ${formatBytes(Math.max(0, decides))} of ${formatBytes(peak)} at the peak (${share}). ${freeWords(machine)}: ${most}.`;
}
