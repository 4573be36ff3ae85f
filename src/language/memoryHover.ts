import * as l10n from '@vscode/l10n';
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

function decidesWords(quantity: Quantity, bytes: string, peak: string, share: string): string {
  switch (quantity) {
    case 'batch':
      return l10n.t`**Memory**: The batch decides ${bytes} of ${peak} at the peak (${share}).`;
    case 'length':
      return l10n.t`**Memory**: The length of rows decides ${bytes} of ${peak} at the peak (${share}).`;
    case 'rank':
      return l10n.t`**Memory**: The rank decides ${bytes} of ${peak} at the peak (${share}).`;
  }
}

/** What a quantity decides of the memory and how large it may be, in Markdown. */
export function memoryHover(
  quantity: Quantity,
  { peak, decides, largest }: LargestAnswer,
  machine: MachineMemory,
): string {
  const share = formatPercent(Math.max(0, decides) / peak);
  const free = freeWords(machine);
  const most =
    largest === 0
      ? l10n.t`${free}: no value is small enough.`
      : l10n.t`${free}: the largest value that fits is ${formatCount(largest)}, all else as it is.`;
  return `${decidesWords(quantity, formatBytes(Math.max(0, decides)), formatBytes(peak), share)} ${most}`;
}
