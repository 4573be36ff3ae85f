import path from 'node:path';
import { stringify } from 'yaml';
import type { LoraHub } from '../adapters/combining/loraHub.js';
import { writeAdapter } from '../adapters/writeAdapter.js';
import { foundTrial } from '../engines/composition/record.js';
import type { HubRecord } from '../engines/composition/record.js';
import { HUB_RECORD } from '../adapters/adapterFiles.js';
import type { Tokenizer } from '../models/tokenizer.js';

/** Writes the mixture of a record as an adapter, with the record beside it. */
export async function writeMixture(
  out: string,
  record: HubRecord,
  { hub, tokenizer }: { readonly hub: LoraHub; readonly tokenizer: Tokenizer },
): Promise<void> {
  const weights = Float64Array.from(record.adapters, ({ weight }) => weight);
  await writeAdapter(out, hub.saved(weights), {
    tokenizer,
    card: cardOf(record),
    beside: new Map([[HUB_RECORD, `${JSON.stringify(record, undefined, 1)}\n`]]),
  });
}

function cardOf(record: HubRecord): string {
  return [
    `---\n${stringify({ library_name: 'peft', tags: ['lora', 'lorahub', 'peft-studio'] })}---\n`,
    '# Mixture of adapters\n',
    'LoRA adapters of one base model, mixed by `peft-studio compose` as LoRAHub does (Huang et al. 2023): (Σ w·B)(Σ w·A).\n',
    ...record.adapters.map(
      ({ folder, weight }) =>
        `- ${weight.toFixed(4)} × \`${folder.split(path.sep).slice(-3).join('/').replaceAll('`', '')}\``,
    ),
    '',
    `${foundBy(record)}\n`,
  ].join('\n');
}

/** Where the weights come from. */
function foundBy(record: HubRecord): string {
  const { trials, budget, regularization } = record;
  const found = foundTrial(record);
  if (found === undefined) return 'The weights were set by hand.';
  const [mixture, base] = [found, 0].map((at) => trials[at]?.loss?.toFixed(4) ?? 'not finite');
  const stopped =
    trials.length < budget ? ` The search was stopped after ${trials.length} of ${budget} trials.` : '';
  return `The weights are the best of ${trials.length} that were tried on a few examples: loss ${mixture} (the base model ${base}), with ${regularization} · mean |w| added while searching.${stopped}`;
}
