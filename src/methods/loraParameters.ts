import { Type } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import type { LanguageModel } from '../models/architecture.js';
import { parameterShape } from '../models/site.js';
import type { ParameterKind, Site } from '../models/site.js';
import { variable } from '../tensor/tensor.js';
import type { AttachContext } from './method.js';
import type { TrainedParameter } from './parameters.js';
import { idlePattern, nearestModule } from './targets.js';
import type { OptionProblem } from './targets.js';

/** Options of what trains beside low-rank pairs. */
export const ParameterOptions = {
  bias: Type.Union([Type.Literal('none'), Type.Literal('all'), Type.Literal('lora_only')], {
    default: 'none',
    description: 'Which bias vectors train: `none`, `all` of the model, or `lora_only` those of adapted modules.',
  }),
  modules_to_save: Type.Optional(
    Type.Array(Type.String(), {
      description:
        'Modules trained in full and saved with the adapter, such as `lm_head` or `embed_tokens`: all whose path ends so.',
    }),
  ),
};

/** What trains beside them. */
export interface ParameterChoice {
  readonly bias: 'none' | 'all' | 'lora_only';
  readonly modules_to_save?: readonly string[];
}

/**
 * Whether a module trains whole. PEFT takes a name for the ending of a path wherever it begins: `norm` is
 * `input_layernorm` too, unlike in `target_modules`. A module that holds others trains with all of them: `pooler`.
 */
export function trainsWhole(modulesToSave: readonly string[], path: string): boolean {
  const parts = path.split('.');
  const around = parts.map((_, at) => parts.slice(0, at + 1).join('.'));
  return modulesToSave.some((entry) => around.some((module) => module.endsWith(entry)));
}

/** What PEFT puts in front of every module path. */
export const PEFT_PREFIX = 'base_model.model.';

/** PEFT's key of a trainable, from `<module path>.lora_A` and the like. */
export function peftKey(name: string): string {
  // PEFT keeps lora_A and lora_B as modules with a weight, but the embedding's as bare parameters.
  return `${PEFT_PREFIX}${name}${/\.lora_[AB]$/.test(name) ? '.weight' : ''}`;
}

/**
 * Parameters of the base that train beside the low-rank pairs: biases, and modules that train whole.
 *
 * @param adapted the module paths that have a pair
 * @throws ProblemError `targets.no-match` (unless idle patterns are warnings), `lora.twice`
 */
export function trainedParameters(
  options: ParameterChoice,
  { model: { sites }, instance = '', idlePatterns }: AttachContext,
  adapted: Pick<ReadonlyMap<string, unknown>, 'has'>,
): { readonly trained: TrainedParameter[]; readonly warnings: readonly Problem[] } {
  const whole = options.modules_to_save ?? [];
  const warnings: Problem[] = [];
  for (const [index, entry] of whole.entries()) {
    const matched = sites.filter((site) => trainsWhole([entry], site.path));
    if (matched.length === 0) {
      const near = nearestModule(entry, sites);
      const problem: OptionProblem = {
        code: 'targets.no-match',
        message: l10n.t`'${entry}' of modules_to_save matches no module of the model`,
        expected: l10n.t`names such as ${[...new Set(sites.map((site) => site.path.split('.').at(-1)!))].join(', ')}`,
        mend: near === undefined ? l10n.t`Use one of the names above.` : l10n.t`Did you mean '${near}'?`,
        option: ['modules_to_save', index],
        ...(near === undefined ? {} : { replacement: near }),
      };
      warnings.push(idlePattern(problem, idlePatterns));
    }
    const both = matched.find((site) => adapted.has(site.path));
    if (both !== undefined) {
      fail({
        code: 'lora.twice',
        message: l10n.t`${both.path} is adapted (target_modules) and trained whole (modules_to_save)`,
        mend: l10n.t`Take '${entry}' out of one of them, or add it to exclude_modules.`,
      });
    }
  }
  const parameter = (site: Site, kind: ParameterKind): TrainedParameter => {
    // PEFT wraps an adapted module, so its own bias lies one level deeper.
    const inside = adapted.has(site.path) ? '.base_layer' : '';
    return {
      site,
      kind,
      key: `${PEFT_PREFIX}${site.path}${inside}.${kind}`,
      variable: variable(`${instance}${site.path}.${kind}`, parameterShape(site, kind)),
    };
  };
  const trained = sites.flatMap((site) => {
    const isWhole = trainsWhole(whole, site.path);
    const trainsBias =
      isWhole || options.bias === 'all' || (options.bias === 'lora_only' && adapted.has(site.path));
    return [
      ...(isWhole && site.weight !== undefined ? [parameter(site, 'weight')] : []),
      ...(trainsBias && site.bias !== undefined ? [parameter(site, 'bias')] : []),
    ];
  });
  return { trained, warnings };
}

/** Whether a key of an adapter's file is a bias that trained, or a parameter of a module in `modules_to_save`. */
export function isTrained(key: string, options: ParameterChoice | undefined): boolean {
  const modulePath = key.replace(PEFT_PREFIX, '').replace(/\.(weight|bias)$/, '');
  if (key.endsWith('.bias') && options !== undefined && options.bias !== 'none') return true;
  return trainsWhole(options?.modules_to_save ?? [], modulePath);
}

/**
 * Says what will no longer be shared by the embedding and a head that is tied to it.
 * @param adapted sites whose weights something is added to @param trained parameters that train whole
 */
export function tiedWarnings(
  { tiedHead, sites }: LanguageModel,
  adapted: readonly Site[],
  trained: readonly TrainedParameter[] = [],
): Problem[] {
  const shared = sites.find((site) => site.isOutput)?.weight;
  const whole = trained.flatMap(({ site, kind }) => (kind === 'weight' ? [site] : []));
  const touched = [...adapted, ...whole].filter(({ weight }) => weight === shared);
  if (!tiedHead || touched.length === 0) return [];
  return [
    {
      code: 'lora.tied',
      severity: 'warning',
      message: l10n.t`the model uses one matrix as embedding and as output layer; ${touched.map((site) => site.path).join(l10n.t` and `)} will differ from it`,
      mend: l10n.t`Nothing to do: merging writes the output layer as a matrix of its own and sets tie_word_embeddings to false.`,
    },
  ];
}

/** Says when `bias` trains nothing. */
export function biasWarnings(options: ParameterChoice, trained: readonly TrainedParameter[]): Problem[] {
  if (options.bias === 'none' || trained.some((each) => each.kind === 'bias')) return [];
  return [
    {
      code: 'lora.no-bias',
      severity: 'warning',
      message:
        options.bias === 'all'
          ? l10n.t`bias: ${options.bias} trains nothing: the model's modules have no biases`
          : l10n.t`bias: ${options.bias} trains nothing: the model's adapted modules have no biases`,
      mend: l10n.t`Set bias: none.`,
    },
  ];
}
