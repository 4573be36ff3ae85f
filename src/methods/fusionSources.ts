import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import { bottleneckForm } from './adapterOptions.js';
import { adapterNames, adapterSet } from './adapterSet.js';
import type { AdapterSet } from './adapterSet.js';
import { adapterConfigFromLibrary, isBottleneckConfig } from './adaptersConfig.js';
import { FUSED, packForms } from './fusionConfig.js';
import type { FusedForm } from './fusionConfig.js';
import type { PrepareContext, Prepared, TrainedAdapter, Values } from './method.js';
import { loadByKey } from './parameters.js';
import { checkTrainedBase } from './trainedBase.js';

/**
 * The adapters that a run fuses, as they are kept in its folder: their forms, and their tensors by the names that they
 * have in the fusion. Names that several have are numbered.
 * @throws ProblemError `fusion.source`, `adapter.config`, `adapter.keys` and `adapter.shape` for an adapter of another
 *   model, and what reading an adapter throws
 */
export async function loadTrained(folders: readonly string[], context: PrepareContext): Promise<Prepared> {
  const read = context.readAdapter;
  if (read === undefined) throw new Error('AdapterFusion needs adapters to be read');
  const adapters: TrainedAdapter[] = [];
  for (const folder of folders) adapters.push(await read(folder));
  for (const { config, source } of adapters) await checkTrainedBase(config, source, context);
  const forms = adapters.map((adapter) => formOf(adapter, context));
  const names = adapterNames(forms.map(({ name }) => name));
  const prepared = new Map<string, Float32Array | Int32Array>([
    [FUSED, packForms(forms.map((form, at) => ({ ...form, name: names[at]! })))],
  ]);
  adapters.forEach((adapter, at) => {
    const { name: own, form } = forms[at]!;
    const from = `.adapters.${own}.`;
    for (const [name, data] of checkedTensors(
      adapter,
      adapterSet(form, own, { ...context, instance: '' }),
      from,
    )) {
      prepared.set(name.replace(from, `.adapters.${names[at]!}.`), data);
    }
  });
  return prepared;
}

/** An adapter's own numbers, which have to be just those of its places on the model; a head beside them stays. */
function checkedTensors({ tensors, source }: TrainedAdapter, set: AdapterSet, marked: string): Values {
  const own = new Map([...tensors].filter(([name]) => name.includes(marked)));
  return loadByKey(set.trainables, (name) => name, own, source).values;
}

function formOf({ config, source }: TrainedAdapter, { model }: PrepareContext): FusedForm {
  if (!isBottleneckConfig(config)) {
    fail({
      code: 'fusion.source',
      message: l10n.t`the folder holds no bottleneck adapter`,
      where: { file: source },
      expected: l10n.t`an adapter of a run with type: adapter, or of the adapters library`,
      mend: l10n.t`Name folders that hold adapter.safetensors.`,
    });
  }
  const { options } = adapterConfigFromLibrary(config, source);
  const form = bottleneckForm(options.placement, options, model.hiddenSize);
  if (form.train_layer_norms) {
    fail({
      code: 'fusion.source',
      message: l10n.t`the adapter changes the norms of the base model, which all adapters of a fusion share`,
      where: { file: source },
      expected: l10n.t`an adapter that was trained with train_layer_norms: false`,
      mend: l10n.t`Train it again with train_layer_norms: false.`,
    });
  }
  return { name: options.name, form };
}
