import * as l10n from '@vscode/l10n';
import { isJsonObject } from '../../common/json.js';
import type { JsonObject } from '../../common/json.js';
import { patternValue } from '../../methods/targets.js';
import { isLora, lines, pairsIn, some } from './lowRankKeys.js';
import { withConfig } from './fault.js';
import type { Check } from './fault.js';

/** PEFT's, where the config says none. */
const DEFAULT_R = 8;

/** `adapter.rank`: modules of other ranks than the config says. */
export const rankFaults: Check = (form, { configFile }) => {
  if (!isLora(form)) return [];
  const { r: found = null, rank_pattern: pattern = null, lora_alpha: alpha = null } = form.config;
  const own = numbersIn(pattern);
  const r = typeof found === 'number' ? found : DEFAULT_R;
  const modules = pairsIn(form).flatMap(({ path, a, b }) => {
    const [rank, other] = [form.tensors.get(a)!.shape[0]!, form.tensors.get(b)!.shape[1]!];
    // Matrices that do not multiply have no rank.
    return rank === other && rank > 0 ? [{ path, rank, said: patternValue(own, path) ?? r }] : [];
  });
  const wrong = modules.filter(({ rank, said }) => rank !== said);
  const [first] = wrong;
  if (first === undefined) return [];
  const ranks = [...new Set(wrong.map(({ rank }) => rank))].sort((one, other) => one - other);
  const wanted = ranksFor(modules, r);
  const said = `r ${JSON.stringify(found)}, rank_pattern ${JSON.stringify(pattern).slice(0, 200)}`;
  return [
    {
      problem: {
        code: 'adapter.rank',
        severity: 'error',
        message:
          wrong.length === 1
            ? l10n.t`${first.path} has rank ${first.rank}, the config says ${first.said}`
            : l10n.t`${wrong.length} of ${modules.length} modules are of rank ${some(ranks.map(String))}, the config says ${said}`,
        where: { file: configFile },
        mend: l10n.t`Config and weights belong to different adapters, or the ranks were not written into the config.`,
      },
      differences: lines(wrong.map((each) => `${each.path}: r ${each.said} → ${each.rank}`)),
      repair: {
        title: l10n.t`set r and rank_pattern to the ranks that the tensors have; lora_alpha stays ${JSON.stringify(alpha)}, so that ΔW is scaled by it and these ranks`,
        apply: (broken) => withConfig(broken, wanted),
      },
    },
  ];
};

function numbersIn(pattern: JsonObject[string]): Record<string, number> {
  const entries = isJsonObject(pattern) ? Object.entries(pattern) : [];
  return Object.fromEntries(entries.filter((entry): entry is [string, number] => typeof entry[1] === 'number'));
}

/** `r` stays where some module has it; it is the rank of most otherwise. Others are named by their whole paths. */
function ranksFor(
  modules: readonly { readonly path: string; readonly rank: number }[],
  before: number,
): { readonly r: number; readonly rank_pattern: Record<string, number> } {
  const counts = new Map<number, number>();
  for (const { rank } of modules) counts.set(rank, 1 + (counts.get(rank) ?? 0));
  const [most] = [...counts].sort(([, one], [, other]) => other - one)[0]!;
  const r = counts.has(before) ? before : most;
  return {
    r,
    rank_pattern: Object.fromEntries(modules.flatMap(({ path, rank }) => (rank === r ? [] : [[path, rank]]))),
  };
}
