import * as l10n from '@vscode/l10n';
import type { Json, JsonObject } from '../common/json.js';
import { isJsonObject } from '../common/json.js';
import { fail, problemOf } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import { peftTaskType } from '../models/task.js';
import { AdapterFusionOptions } from './adapterFusion.js';
import { bottleneckForm } from './adapterOptions.js';
import type { BottleneckForm } from './adapterOptions.js';
import type { AdapterSet } from './adapterSet.js';
import {
  LIBRARY_VERSION,
  adapterConfigFromLibrary,
  adapterConfigToLibrary,
  bottleneckModules,
} from './adaptersConfig.js';
import type { AttachContext, NamedTensor, Prepared, SavedAdapter, SavedMethod } from './method.js';
import { packText, unpackText } from './packedText.js';
import { optionsFromPeft } from './peftConfig.js';
import type { AdapterTensors, InspectedTensors } from './peftFormat.js';
import type { SavedBase } from './trainedBase.js';

/** An adapter of a fusion, by its name there. */
export interface FusedForm {
  readonly name: string;
  readonly form: BottleneckForm;
}

/** Under which the forms of the fused adapters are prepared. */
export const FUSED = '#adapters';

export function packForms(forms: readonly FusedForm[]): Int32Array {
  return packText(JSON.stringify(forms));
}

/** The forms among what was prepared; undefined where no adapters were read. */
export function fusedForms(prepared: Prepared | undefined): readonly FusedForm[] | undefined {
  const packed = prepared?.get(FUSED);
  return packed === undefined ? undefined : (JSON.parse(unpackText(packed)) as FusedForm[]);
}

/** What {@link savedFusion} writes. */
interface FusionToSave {
  readonly sets: readonly AdapterSet[];
  readonly tensorsOf: (set: AdapterSet) => readonly NamedTensor[];
  readonly options: AdapterFusionOptions;
  /** The base, where it trained along. */
  readonly base?: SavedBase;
  /** Absent: the run ended before the fusion trained. */
  readonly fusionTensors?: readonly NamedTensor[];
}

/**
 * A folder as the `adapters` library's `save_adapter_setup` writes it: one for each adapter and one for the fusion, and
 * what belongs together in `adapter_setup.json`; beside it an `adapter_config.json` that names the parts.
 */
export function savedFusion(
  { sets, tensorsOf, options, base, fusionTensors }: FusionToSave,
  context: AttachContext,
): Extract<SavedMethod, { kind: 'adapter' | 'adapters' }> {
  const mark = base?.mark ?? {};
  const onBase = base === undefined ? {} : { base: base.weights };
  const names = sets.map(({ name }) => name);
  const adapters = sets.map((set): SavedAdapter => ({
    kind: 'adapter',
    library: 'adapters',
    config: { ...adapterConfigToLibrary(set.form, set.name, context), ...mark },
    tensors: tensorsOf(set),
  }));
  if (fusionTensors === undefined) {
    return { kind: 'adapters', byTask: new Map(adapters.map((adapter, at) => [names[at]!, adapter])), ...onBase };
  }
  const fusion = names.join(',');
  return {
    kind: 'adapter',
    config: {
      base_model_name_or_path: context.modelName,
      peft_type: 'ADAPTER_FUSION',
      revision: context.modelRevision ?? null,
      task_type: peftTaskType(context.model.task),
      ...mark,
    },
    tensors: [],
    ...onBase,
    parts: [
      ...adapters.map((adapter, at) => ({ folder: names[at]!, ...adapter, name: 'adapter' as const })),
      {
        folder: fusion,
        name: 'fusion' as const,
        config: {
          adapter_names: names,
          config: {
            dropout_prob: options.dropout_prob,
            key: true,
            query: true,
            query_before_ln: options.query_before_ln,
            regularization: options.value && options.regularization > 0,
            residual_before: false,
            temperature: false,
            value: options.value,
            value_before_softmax: true,
            value_initialized: options.value,
          },
          hidden_size: context.model.hiddenSize,
          model_name: context.modelName,
          model_type: context.model.modelType,
          name: fusion,
          version: LIBRARY_VERSION,
        },
        tensors: fusionTensors,
      },
    ],
    setup: {
      adapter_setup: { type: 'Fuse', children: names.map((name) => ({ type: 'single', children: [name] })) },
      head_setup: null,
      version: LIBRARY_VERSION,
    },
  };
}

/**
 * The method's options out of a setup's configs: `fusion`, and `adapters` in their order.
 * @throws ProblemError `adapter.config`
 */
export function fusionFromLibrary(
  { fusion = null, adapters = null }: JsonObject,
  source: string,
): { readonly options: AdapterFusionOptions; readonly warnings: readonly Problem[] } {
  const inner = isJsonObject(fusion) ? (fusion['config'] ?? null) : null;
  if (!isJsonObject(inner) || !Array.isArray(adapters)) {
    return fail({
      code: 'adapter.config',
      message: l10n.t`the folder lacks the config of the fusion`,
      where: { file: source },
      expected: l10n.t`a folder as save_adapter_setup of the adapters library writes it`,
      mend: l10n.t`Export it again.`,
    });
  }
  const { key = true, query = true, regularization, dropout_prob: dropout, ...rest } = inner;
  const read: Record<string, Json> = {
    ...rest,
    dropout_prob: dropout ?? 0,
    regularization: regularization === false ? 0 : 0.01,
    ...(key === true && query === true ? {} : { 'key and query': 'false' }),
  };
  return optionsFromPeft(read, source, {
    schema: AdapterFusionOptions,
    type: 'adapter_fusion',
    title: 'AdapterFusion',
    // Σ s·V·z is V·Σ s·z; and how it started matters no more.
    silent: new Set(['value_before_softmax', 'value_initialized']),
    knownOff: new Set(['residual_before', 'temperature']),
    optional: new Set(),
    mend: l10n.t`Use it in the adapters library, or train one without this option.`,
  });
}

/** The forms of a setup's adapters, in the order of the fusion. */
export function fusionPrepared({ config, configFile }: AdapterTensors): Promise<Prepared> {
  const forms = adapterConfigs(config).map((each): FusedForm => {
    const { options } = adapterConfigFromLibrary(each, configFile);
    const width = Number(each['hidden_size']);
    return { name: options.name, form: bottleneckForm(options.placement, options, width) };
  });
  return Promise.resolve(new Map([[FUSED, packForms(forms)]]));
}

function adapterConfigs({ adapters = null }: JsonObject): readonly JsonObject[] {
  return Array.isArray(adapters) ? (adapters as readonly Json[]).filter(isJsonObject) : [];
}

const FUSION = /\.adapter_fusion_layer\.[^.]+\.(query|key|value)\.(weight|bias)$/;

/** What the tensors of a setup are: those of its adapters, and fusion layers, which trained whole. */
export async function inspectFusion(adapter: AdapterTensors): Promise<InspectedTensors> {
  const problems: Problem[] = [];
  try {
    fusionFromLibrary(adapter.config, adapter.configFile);
    await fusionPrepared(adapter);
  } catch (error) {
    problems.push(problemOf(error));
  }
  const { modules, known } = await bottleneckModules(adapter, (name) => scalingOf(adapter.config, name), problems);
  const others = [...adapter.tensors.keys()].filter((key) => !known.has(key));
  return {
    r: undefined,
    alpha: undefined,
    modules,
    whole: others.filter((key) => FUSION.test(key)),
    unknown: others.filter((key) => !FUSION.test(key)),
    problems,
  };
}

function scalingOf(config: JsonObject, name: string): number | undefined {
  const own = adapterConfigs(config).find((each) => each['name'] === name)?.['config'];
  const scaling = own !== undefined && isJsonObject(own) ? (own['scaling'] ?? 1) : undefined;
  return typeof scaling === 'number' ? scaling : undefined;
}
