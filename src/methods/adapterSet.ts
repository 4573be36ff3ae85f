import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import type { LanguageModel } from '../models/architecture.js';
import type { Phase, SublayerPlace } from '../models/site.js';
import { equal, where } from '../tensor/ops/elementwise.js';
import { reshape } from '../tensor/ops/shape.js';
import { scalar } from '../tensor/tensor.js';
import type { Tensor } from '../tensor/tensor.js';
import { factorOf, bottleneckSize } from './adapterOptions.js';
import type { BottleneckForm } from './adapterOptions.js';
import { bottleneckAt, bottleneckTrainables } from './bottleneck.js';
import type { Bottleneck } from './bottleneck.js';
import type { AttachContext, Trainable } from './method.js';
import type { OptionProblem } from './targets.js';

/** An adapter in the literature's sense: bottlenecks at all places of a model, trained for one thing. */
export interface AdapterSet {
  readonly name: string;
  readonly form: BottleneckForm;
  /** By the place's path, in the order of the forward pass. */
  readonly at: ReadonlyMap<string, Bottleneck>;
  readonly trainables: readonly Trainable[];
}

/** What an adapter needs of a method's context. */
type SetContext = Pick<AttachContext, 'model' | 'instance' | 'random'>;

/**
 * The bottlenecks of an adapter on a model.
 * @throws ProblemError `adapter.nowhere`, `adapter.reduction-factor`
 */
export function adapterSet(form: BottleneckForm, name: string, context: SetContext): AdapterSet {
  const { model, instance = '', random } = context;
  const at = new Map(
    placesOf(form, context).map((place) => {
      const factor = factorOf(form, place.layer);
      if (factor === undefined) return failFactor(place);
      const size = bottleneckSize(model.hiddenSize, factor);
      return [place.path, bottleneckAt(place, model.hiddenSize, size, form.scaling, name, instance)];
    }),
  );
  const trainables = [...at.values()].flatMap((each) =>
    bottleneckTrainables(each, form.init_weights, (part) => random('adapter', name, each.place.path, part)),
  );
  return { name, form, at, trainables };
}

function placesOf(form: BottleneckForm, { model }: SetContext): readonly SublayerPlace[] {
  const isChosen = ({ kind, layer }: SublayerPlace): boolean => {
    const wanted = {
      attention: form.mh_adapter,
      'feed-forward': form.output_adapter,
      'cross-attention': form.cross_adapter,
    }[kind];
    return wanted && !form.leave_out.includes(layer);
  };
  const places = model.sublayers.filter(isChosen);
  if (places.length === 0) {
    const problem: OptionProblem = {
      code: 'adapter.nowhere',
      message: l10n.t`no layer of the model gets an adapter`,
      expected: l10n.t`mh_adapter, output_adapter or cross_adapter true, and a layer that leave_out does not name`,
      option: [form.leave_out.length > 0 ? 'leave_out' : 'type'],
    };
    fail(problem);
  }
  return places;
}

function failFactor({ layer }: SublayerPlace): never {
  const problem: OptionProblem = {
    code: 'adapter.reduction-factor',
    message: l10n.t`reduction_factor names no factor for layer ${layer}`,
    expected: l10n.t`a factor for each layer, or one under 'default'`,
    mend: l10n.t`Add 'default' to reduction_factor.`,
    option: ['reduction_factor'],
  };
  return fail(problem);
}

/**
 * What tokens get of the results of several tasks' adapters: that of their row's task.
 * @param results [batch, sequence, width] each
 * @param ofSource tokens are those that the encoder of an encoder-decoder reads
 */
export function ofTask(results: readonly Tensor[], phase: Phase, ofSource: boolean): Tensor {
  const [first, ...others] = results as [Tensor, ...Tensor[]];
  const tasks = ofSource ? phase.sourceTasks : phase.tasks;
  if (others.length === 0 || tasks === undefined) return first;
  const own = reshape(tasks, [...tasks.shape, 1]);
  return others.reduce((sofar, each, at) => where(equal(own, scalar(at + 1, 'int32')), each, sofar), first);
}

/** Whether a place is in the encoder of an encoder-decoder, whose rows are not those of the decoder. */
export function readsSource({ path }: SublayerPlace, { kind }: LanguageModel): boolean {
  return kind === 'encoder-decoder' && path.startsWith('encoder.');
}

/**
 * The tasks as names that the `adapters` library takes, which holds them as attributes of modules, and that are different
 * folders on every system.
 */
export function adapterNames(tasks: readonly string[]): readonly string[] {
  const names = new Map<string, string>();
  for (const task of tasks) {
    const allowed = task.replace(/[.,\s/\\:*?"<>|\p{Cc}]+/gu, '_');
    const name = /^(?:|aux|con|nul|prn|com\d|lpt\d)$/i.test(allowed) ? `${allowed}_` : allowed;
    let free = name;
    for (let again = 2; names.has(free.toLowerCase()); again++) free = `${name}_${again}`;
    names.set(free.toLowerCase(), free);
  }
  return [...names.values()];
}

/** Says which numbers of `leave_out` and `reduction_factor` are no layers. */
export function layerWarnings(form: BottleneckForm, { model }: AttachContext): Problem[] {
  const layers = new Set(model.sublayers.map(({ layer }) => layer));
  const unknown = (option: string, found: readonly number[]): OptionProblem[] =>
    found
      .filter((layer) => !layers.has(layer))
      .map((layer) => ({
        code: 'adapter.no-such-layer',
        severity: 'warning',
        message: l10n.t`${option} names layer ${layer}, which the model does not have`,
        expected: l10n.t`numbers from 0 to ${layers.size - 1}`,
        option: [option],
      }));
  const { leave_out: left, reduction_factor: factor } = form;
  const named = typeof factor === 'number' ? [] : Object.keys(factor).filter((key) => key !== 'default');
  return [...unknown('leave_out', left), ...unknown('reduction_factor', named.map(Number))];
}
