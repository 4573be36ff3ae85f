import type { Static, TObject } from '@sinclair/typebox';
import type { JsonObject } from '../common/json.js';
import { adalora } from './adalora.js';
import { adapterFusion } from './adapterFusion.js';
import { isBottleneckConfig } from './adaptersConfig.js';
import { bitfit } from './bitfit.js';
import { bottleneckAdapter } from './bottleneckAdapter.js';
import { childTuning } from './childTuning.js';
import { ciat } from './ciat.js';
import { cola } from './cola.js';
import { refuseConflicts } from './conflicts.js';
import { doraRank } from './doraRank.js';
import { dylora } from './dylora.js';
import { fishDip } from './fishDip.js';
import { fishMask } from './fishMask.js';
import { full } from './full.js';
import { galore } from './galore.js';
import { ia3 } from './ia3.js';
import { intrinsic } from './intrinsic.js';
import { lastLayers } from './lastLayers.js';
import { learnedMask } from './learnedMask.js';
import { lisa } from './lisa.js';
import { lokr } from './lokr.js';
import { lora } from './lora.js';
import { lotr } from './lotr.js';
import { ltSft } from './ltSft.js';
import { melora } from './melora.js';
import type { AttachContext, Attached, Method, PrepareContext, Prepared } from './method.js';
import { mora } from './mora.js';
import { pafi } from './pafi.js';
import type { PeftFormat } from './peftFormat.js';
import { prefixTuning } from './prefixTuning.js';
import { promptTuning } from './promptTuning.js';
import { relora } from './relora.js';
import { sam } from './sam.js';
import { sltrain } from './sltrain.js';
import { sora } from './sora.js';
import { optionsWithoutHead, taskHead, withHead, withoutHead } from './taskHead.js';

/** Every method, in the order in which lists show them. A new one is a line here. */
const LIST = [
  lora,
  adalora,
  doraRank,
  sora,
  dylora,
  lokr,
  lotr,
  melora,
  mora,
  sltrain,
  relora,
  cola,
  bitfit,
  lastLayers,
  lisa,
  galore,
  fishMask,
  fishDip,
  pafi,
  sam,
  learnedMask,
  ltSft,
  full,
  childTuning,
  promptTuning,
  prefixTuning,
  ia3,
  bottleneckAdapter,
  ciat,
  adapterFusion,
  intrinsic,
] as const;

/** What schema, scaffold, documentation and tests read of them. */
export const METHODS = LIST.map(({ info }) => info);

export type MethodType = (typeof METHODS)[number]['type'];

/** One method's part of a run file. */
export type MethodConfig = Static<(typeof METHODS)[number]['options']>;

/**
 * Attaches the method that `config.type` names. The first method of a run trains the head of the task along, where the
 * model has one and the method does not act on it itself. Throws a ProblemError when it finds nothing to act on, or undoes
 * what a method before it learns.
 */
export function attachMethod(config: MethodConfig, context: AttachContext): Attached {
  const { classes } = context.model;
  const found = methodOf(config);
  if (found.adaptsHead?.(config) === true && (context.before ?? []).length === 0)
    return found.attach(config, context);
  const method = found.attach(optionsWithoutHead(config, classes), contextWithoutHead(context));
  refuseConflicts(method, context);
  const head = (context.before ?? []).length === 0 ? taskHead(context) : undefined;
  return head === undefined || classes === undefined ? method : withHead(method, head, classes);
}

/** Methods neither adapt the head of the task nor see that one before them trains it. */
function contextWithoutHead<Context extends AttachContext>(context: Context): Context {
  if (context.model.classes === undefined) return context;
  const before = context.before?.map((method) => method.alone ?? method);
  return { ...context, model: withoutHead(context.model), ...(before === undefined ? {} : { before }) };
}

/** The method that a run file names. Its options were checked by its own schema. */
function methodOf({ type }: MethodConfig): Method<TObject> {
  const all: readonly Method<TObject>[] = LIST;
  return all.find(({ info }) => info.type === type)!;
}

/** Throws what attaching a method that prepares would refuse, before it prepares. True when it is of that kind. */
export function checkPrepared(config: MethodConfig, whole: AttachContext): boolean {
  methodOf(config).check?.(config, contextWithoutHead(whole));
  return preparesFor(config);
}

/** Whether the method has to find something out before it attaches. */
export function preparesFor(config: MethodConfig): boolean {
  const method = methodOf(config);
  return method.prepares?.(config) ?? method.prepare !== undefined;
}

/** What the method that `config.type` names has to find out before it attaches; undefined where that is nothing. */
export async function prepareMethod(config: MethodConfig, whole: PrepareContext): Promise<Prepared | undefined> {
  return methodOf(config).prepare?.(config, contextWithoutHead(whole));
}

const PEFT_FORMATS: readonly PeftFormat<MethodConfig>[] = LIST.flatMap(({ peft }) => peft ?? []);

/** `peft_type`s of the adapters that can be read. */
export const PEFT_TYPES: readonly string[] = PEFT_FORMATS.filter(
  ({ library, reads }) => library === undefined && reads === undefined,
).map(({ type }) => type);

/** How an adapter with this `adapter_config.json` is read; undefined for one that no method here writes. */
export function adapterFormat(config: JsonObject): PeftFormat<MethodConfig> | undefined {
  if (isBottleneckConfig(config)) return bottleneckAdapter.peft;
  return (
    PEFT_FORMATS.find(({ reads }) => reads?.(config) === true) ??
    PEFT_FORMATS.find(
      ({ type, library, reads }) => library === undefined && reads === undefined && type === config['peft_type'],
    )
  );
}
