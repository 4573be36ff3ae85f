import * as l10n from '@vscode/l10n';
import { formatBytes } from '../common/format.js';
import type { Memory, Planned, RunEvent } from '../training/events.js';
import { measuredPartName, measuredParts, residentText } from '../training/memoryText.js';

/** What a run told of its memory. */
export interface MemoryRecord {
  readonly plan?: Planned;
  readonly first?: Memory;
  readonly last?: Memory;
}

/** Takes the next event in. A run that is told from its beginning again starts anew. */
export function watchMemory(record: MemoryRecord, event: RunEvent): MemoryRecord {
  switch (event.type) {
    case 'started':
      return {};
    case 'plan':
      return { ...record, plan: event };
    case 'memory':
      return { ...record, first: record.first ?? event, last: event };
    default:
      return record;
  }
}

/** `after step 40 1.5 GiB were resident: …; since step 0 graph buffers grew by 400 MiB; …`; '' where nothing was told. */
export function memoryStory({ plan, first, last }: MemoryRecord): string {
  const predicted = plan === undefined ? [] : [l10n.t`${formatBytes(plan.plan.total)} were predicted at the peak`];
  if (first === undefined || last === undefined) return predicted.join('');
  const grown = measuredParts(last.parts)
    .map(({ part, bytes }) => ({ part, more: bytes - (first.parts[part] ?? bytes) }))
    .filter(({ more }) => more > 0)
    .sort((one, other) => other.more - one.more)[0];
  return [
    residentText(last),
    ...(grown === undefined || first.step === last.step
      ? []
      : [l10n.t`since step ${first.step} ${measuredPartName(grown.part)} grew by ${formatBytes(grown.more)}`]),
    ...predicted,
  ].reduce((told, more) => told + l10n.t`; ${more}`);
}
