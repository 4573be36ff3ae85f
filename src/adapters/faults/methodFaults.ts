import * as l10n from '@vscode/l10n';
import { adapterFormat } from '../../methods/registry.js';
import { withConfig } from './fault.js';
import type { Check, Form } from './fault.js';

/** What the names of all tensors say of a method, where they are of just one. */
const TELLTALE: readonly (readonly [peftType: string, tensor: RegExp])[] = [
  ['LORA', /\.lora_(?:embedding_)?[AB](?:\.|$)|\.lora_magnitude_vector(?:\.|$)/],
  ['IA3', /\.ia3_l(?:\.|$)/],
];

/** `adapter.peft-type`: a config that does not say of which method it is, though the names of its tensors do. */
export const methodFaults: Check = (form, { configFile }) => {
  if (adapterFormat(form.config) !== undefined) return [];
  const { peft_type: found = null } = form.config;
  const wanted = peftTypeOf(form);
  if (wanted === undefined) return [];
  return [
    {
      problem: {
        code: 'adapter.peft-type',
        severity: 'error',
        message:
          found === null
            ? l10n.t`peft_type is not given, and the tensors are those of ${wanted}`
            : l10n.t`peft_type is ${JSON.stringify(found).slice(0, 100)}, and the tensors are those of ${wanted}`,
        where: { file: configFile },
        expected: `"peft_type": "${wanted}"`,
      },
      differences: [`peft_type: ${JSON.stringify(found)} → "${wanted}"`],
      repair: {
        title: l10n.t`set peft_type to ${wanted}`,
        apply: (broken) => withConfig(broken, { peft_type: wanted }),
      },
    },
  ];
};

/** Another method that PEFT has keeps its type: its tensors may be named as LoRA's are, and mean another thing. */
function peftTypeOf({ config, tensors }: Form): string | undefined {
  const { peft_type: found = null } = config;
  const named = [...tensors.keys()];
  if (found === null || found === '') {
    const isOther = named.some((name) => /\.lora_E|\.ranknum|prompt_embeddings/.test(name));
    const fitting = TELLTALE.filter(([, tensor]) => named.some((name) => tensor.test(name)));
    return isOther || fitting.length !== 1 ? undefined : fitting[0]![0];
  }
  if (typeof found !== 'string') return undefined;
  const upper = found.trim().toUpperCase();
  return upper !== found && adapterFormat({ ...config, peft_type: upper }) !== undefined ? upper : undefined;
}
