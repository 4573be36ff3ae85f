import * as l10n from '@vscode/l10n';
import type { JsonObject } from '../common/json.js';
import type { Problem } from '../common/problem.js';
import { peftTaskType } from '../models/task.js';
import { Ia3Options } from './ia3.js';
import type { Scaled } from './ia3.js';
import { moduleNames } from './loraConfig.js';
import { isTrained } from './loraParameters.js';
import type { AttachContext } from './method.js';
import { optionsFromPeft, readOptions } from './peftConfig.js';
import type { AdapterTensors, InspectedTensors } from './peftFormat.js';

/** What is scaled, and how it was named. */
interface Ia3Targets {
  readonly targets: string | readonly string[];
  readonly feedforward: string | readonly string[];
  readonly scaled: readonly Scaled[];
}

/** `adapter_config.json` as HF PEFT writes it for (IA)³, keys sorted. */
export function ia3ConfigToPeft(options: Ia3Options, found: Ia3Targets, context: AttachContext): JsonObject {
  const { targets, feedforward } = forPeft(found, context);
  return {
    auto_mapping: null,
    base_model_name_or_path: context.modelName,
    exclude_modules: options.exclude_modules ?? null,
    // PEFT goes by the module: it corrects a value that does not fit.
    fan_in_fan_out: found.scaled.at(-1)?.site.layout === 'in-out',
    feedforward_modules: typeof feedforward === 'string' ? feedforward : [...feedforward],
    inference_mode: true,
    init_ia3_weights: options.init_ia3_weights,
    modules_to_save: options.modules_to_save ?? null,
    peft_type: 'IA3',
    revision: context.modelRevision ?? null,
    target_modules: typeof targets === 'string' ? targets : [...targets],
    task_type: peftTaskType(context.model.task),
  };
}

/** Names that PEFT takes: it refuses a list of feed-forward modules with an entry that is not among the targets. */
function forPeft(
  { targets, feedforward, scaled }: Ia3Targets,
  { model }: AttachContext,
): Pick<Ia3Targets, 'targets' | 'feedforward'> {
  const named =
    targets === 'all-linear'
      ? moduleNames(
          scaled.map(({ site }) => site),
          model.sites,
        )
      : targets;
  const isSubset =
    typeof named === 'string' ||
    typeof feedforward === 'string' ||
    feedforward.every((entry) => named.includes(entry));
  if (isSubset) return { targets: named, feedforward };
  const paths = (part: readonly Scaled[]): string[] => part.map(({ site }) => site.path);
  return { targets: paths(scaled), feedforward: paths(scaled.filter(({ side }) => side === 'in')) };
}

/**
 * (IA)³'s options out of an `adapter_config.json` (see {@link optionsFromPeft}).
 * @throws ProblemError `adapter.config`
 */
export function ia3ConfigFromPeft(
  config: JsonObject,
  source: string,
): { readonly options: Ia3Options; readonly warnings: readonly Problem[] } {
  return optionsFromPeft(config, source, {
    schema: Ia3Options,
    type: 'ia3',
    title: '(IA)³',
    // The layout is the module's, and how it started matters no more.
    silent: new Set(['fan_in_fan_out', 'init_ia3_weights']),
    knownOff: new Set(),
    optional: new Set(['exclude_modules', 'modules_to_save']),
    mend: l10n.t`Merge the adapter in Hugging Face PEFT (merge_and_unload), or train it without this option.`,
  });
}

const VECTOR = /\.ia3_l$/;

/** What an (IA)³ adapter's tensors are, without its base model: vectors, each [1, in] or [out, 1]. */
export async function inspectIa3(adapter: AdapterTensors): Promise<InspectedTensors> {
  const problems: Problem[] = [];
  const options = readOptions(ia3ConfigFromPeft, adapter, problems);
  const report = (code: string, problem: Omit<Problem, 'code' | 'severity' | 'where'>): void => {
    problems.push({ code, severity: 'error', where: { file: adapter.weightsFile }, ...problem });
  };
  const keys = [...adapter.tensors.keys()];
  const vectors = keys.filter((key) => VECTOR.test(key));
  for (const key of vectors) {
    const { shape } = adapter.tensors.get(key)!;
    if (shape.length === 2 && shape.includes(1)) continue;
    report('adapter.shape', {
      message: l10n.t`${key} is [${shape.join(', ')}]`,
      expected: l10n.t`a vector: [1, in] where a module's input is scaled, [out, 1] where its output is`,
      mend: l10n.t`The file is damaged, or of another method: export the adapter again.`,
    });
  }
  let untrained = 0;
  for (const key of vectors) untrained += Number((await adapter.read(key)).every((value) => value === 1));
  if (vectors.length === 0 || untrained > 0) {
    const found = String(vectors.length);
    report('adapter.untrained', {
      message:
        vectors.length === 0
          ? l10n.t`the file holds no vector (no name ends in .ia3_l)`
          : l10n.t`${untrained} of ${found} vectors are 1 throughout: never trained`,
      mend: l10n.t`No gradient reached them, or the file was written before the first step: look at the run that made it.`,
    });
  }
  const isWhole = (key: string): boolean =>
    isTrained(key, options === undefined ? undefined : { ...options, bias: 'none' });
  return {
    r: undefined,
    alpha: undefined,
    modules: [],
    whole: keys.filter((key) => VECTOR.test(key) || isWhole(key)),
    unknown: keys.filter((key) => !VECTOR.test(key) && !isWhole(key)),
    problems,
  };
}
