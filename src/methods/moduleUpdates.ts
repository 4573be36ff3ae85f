import * as l10n from '@vscode/l10n';
import type { JsonObject } from '../common/json.js';
import type { Phase, Site } from '../models/site.js';
import { fixedShape } from '../tensor/dims.js';
import type { Tensor } from '../tensor/tensor.js';
import { biasWarnings, peftKey, tiedWarnings, trainedParameters } from './loraParameters.js';
import type { ParameterChoice } from './loraParameters.js';
import type { StoredPairs } from './loraStored.js';
import type { AttachContext, Attached, NamedTensor, SiteReport, Trainable, Values } from './method.js';
import { coveredParameters, loadByKey, parameterSize, readTrained } from './parameters.js';
import type { TargetMatch } from './targets.js';

/** What a method adds to one linear module: y + ΔW·x. */
export interface ModuleUpdate {
  readonly site: Site;
  /** Names of variables are the method's instance and the module's path, and what the numbers are. */
  readonly trainables: readonly Trainable[];
  /** @param x [..., in] @param y [..., out] */
  output(x: Tensor, y: Tensor, phase: Phase): Tensor;
  /** W + ΔW, for W as the checkpoint holds it. */
  merged(base: Float32Array, values: Values): Float32Array;
  report(values: Values): Omit<SiteReport, 'path'>;
}

/** A method of such updates. */
export interface UpdateMethod {
  readonly type: string;
  readonly options: ParameterChoice;
  readonly updates: readonly ModuleUpdate[];
  readonly match: Pick<TargetMatch<Site>, 'entries' | 'warnings'>;
  /** What is written as `adapter_config.json`. */
  readonly config: JsonObject;
  /** PEFT reads what is written. */
  readonly forPeft?: true;
  /** How the trainables of the updates lie on disk; default: as they are. */
  readonly stored?: StoredPairs;
  /** The name on disk of what {@link stored} has, without the instance; default: PEFT's. */
  readonly keyOf?: (name: string) => string;
  /** The name on disk of a parameter of the base that trains; default: PEFT's. */
  readonly parameterKey?: (key: string) => string;
  /** An adapter's tensors as they are expected, out of those that its file has. */
  readonly read?: (tensors: ReadonlyMap<string, NamedTensor>, source: string) => ReadonlyMap<string, NamedTensor>;
}

/**
 * A method whose updates stand beside frozen modules, as LoRA's do; biases and `modules_to_save` train along.
 * @throws ProblemError those of `trainedParameters`
 */
export function attachUpdates(method: UpdateMethod, context: AttachContext): Attached {
  const { type, options, match, config, keyOf = peftKey, parameterKey = (key: string) => key } = method;
  const { instance = '', model } = context;
  const updates = new Map(method.updates.map((each) => [each.site.path, each]));
  const { trained, warnings } = trainedParameters(options, context, updates);
  const byParameter = new Map(trained.map((each) => [`${each.site.path}.${each.kind}`, each]));
  const own = method.updates.flatMap(({ trainables }) => trainables);
  const stored: StoredPairs = method.stored ?? {
    tensors: own,
    stored: (values) => values,
    loaded: (values) => values,
  };
  const onDisk = [...stored.tensors, ...trained];
  const diskKey = (name: string): string => {
    const bare = name.slice(instance.length);
    const parameter = byParameter.get(bare);
    return parameter === undefined ? keyOf(bare) : parameterKey(parameter.key);
  };
  return {
    type,
    hooks: {
      parameter: (site, kind, base) => byParameter.get(`${site.path}.${kind}`)?.variable ?? base,
      output: (site, x, y, phase) => updates.get(site.path)?.output(x, y, phase) ?? y,
    },
    trainables: [...own, ...trained.map((each) => readTrained(each, context))],
    coverage: {
      targets: match.entries,
      modules: [
        ...method.updates.map(({ site, trainables }) => ({
          path: site.path,
          shape: site.shape,
          trainable: trainables.reduce((sum, { variable: { shape } }) => sum + parameterSize(shape), 0),
        })),
        ...coveredParameters(trained),
      ],
      layersCovered: new Set(method.updates.flatMap(({ site }) => site.layer ?? [])).size,
      saves:
        method.forPeft === true
          ? l10n.t`adapter_model.safetensors with ${onDisk.length} tensors and adapter_config.json, as Hugging Face PEFT reads them`
          : l10n.t`adapter_model.safetensors with ${onDisk.length} tensors and adapter_config.json`,
      warnings: [
        ...match.warnings,
        ...warnings,
        ...tiedWarnings(
          model,
          method.updates.map(({ site }) => site),
          trained,
        ),
        ...biasWarnings(options, trained),
      ],
    },
    report: (values) => method.updates.map((each) => ({ path: each.site.path, ...each.report(values) })),
    merge(site, kind, base, values) {
      const whole = byParameter.get(`${site.path}.${kind}`);
      if (whole !== undefined) return values.get(whole.variable.name)!;
      return kind === 'bias' ? undefined : updates.get(site.path)?.merged(base, values);
    },
    save(values) {
      const numbers = new Map([...values, ...stored.stored(values)]);
      const tensors = onDisk.map(({ variable: { name, shape } }): NamedTensor => ({
        name: diskKey(name),
        shape: fixedShape(shape),
        data: numbers.get(name)!,
      }));
      return { kind: 'adapter', config, tensors };
    },
    load(tensors, source) {
      const { values, warnings: told } = loadByKey(
        onDisk,
        diskKey,
        method.read?.(tensors, source) ?? tensors,
        source,
      );
      return { values: new Map([...values, ...stored.loaded(values)]), warnings: told };
    },
  };
}
