import * as l10n from '@vscode/l10n';
import { formatBytes } from '../common/format.js';
import type { Json } from '../common/json.js';
import { ProblemError } from '../common/problem.js';
import { parseRunFile } from '../config/parseRunFile.js';
import type { MethodConfig, RunConfig } from '../config/schema.js';
import { setIn } from '../config/setIn.js';
import type { ConfigChange } from '../config/setIn.js';
import { DEFAULT_MAX_LENGTH } from '../data/options.js';
import { LARGEST_SEARCHED, largestFitting } from '../memory/largest.js';
import type { Quantity } from '../memory/largest.js';
import type { MemoryPlan } from '../memory/plan.js';
import { startRank } from '../methods/doraRank.js';
import { bottleneckForm } from '../methods/adapterOptions.js';
import { METHODS } from '../methods/registry.js';
import { goesThrough, needOf, verdictOf } from './verdict.js';
import type { Verdict } from './verdict.js';

/** Plans a run, at once or later. May throw a ProblemError for one that cannot be. */
export type PlanRun = (config: RunConfig) => Planned | Promise<Planned>;

interface Planned {
  readonly plan: MemoryPlan;
}

/** A change of the run file that saves memory. */
export interface Saving {
  /** For a button: `Batch 2 × 4`. */
  readonly name: string;
  /** What it saves and costs: `Batch 2 × 4 saves 1.2 GiB: the same step, a little slower`. */
  readonly title: string;
  readonly changes: readonly ConfigChange[];
  /** Bytes less at the peak. */
  readonly saved: number;
  /** The plan of the run as it would be. */
  readonly plan: MemoryPlan;
  /** Whether the run learns the same. */
  readonly keepsResult: boolean;
  /** How it would stand with the limit; undefined without one. */
  readonly verdict?: Verdict;
}

/** A way to save, from its mildest form to its strongest. */
interface Idea {
  readonly forms: readonly Form[];
  readonly keepsResult: boolean;
}

interface Form {
  readonly name: string;
  /** What it costs beside memory. */
  readonly cost: string;
  readonly changes: readonly ConfigChange[];
}

/** What is worth a line: a hundredth of the peak. */
const LEAST_SHARE = 0.01;
/** So often ranks, lengths and shares are halved: beyond it another run is meant. */
const HALVINGS = 3;
/** Rows shorter than this hold no task. */
const LEAST_LENGTH = 64;
/** A rank or a prompt below this is another method. */
const LEAST_RANK = 4;
/** Rank of the LoRA that is offered instead of training everything, and the learning rate that suits it. */
const OFFERED_RANK = 8;
const LORA_RATE = 2e-4;
/** A learning rate below this was chosen for training everything. */
const LOW_RATE = 1e-4;

/**
 * Changes that would save memory, the most first; of equal savings those that leave the result as it is come first.
 * Every one is planned anew, so a saving that another part takes over counts for what is left of it. With a limit, of a
 * batch, a length or a rank the mildest form that goes through is offered; and where no change alone suffices, the first
 * few together that do.
 *
 * @param limit bytes that are free
 * @throws what planning throws, unless it is a ProblemError: a change that cannot be planned is left out
 */
export async function suggestChanges(
  config: RunConfig,
  planRun: PlanRun,
  limit?: number,
): Promise<readonly Saving[]> {
  const before = (await planRun(config)).plan;
  const plans = { before, planRun, limit };
  const found: Saving[] = [];
  for (const idea of ideas(config, before)) {
    const saving = await bestForm(config, idea, plans);
    if (saving !== undefined && saving.saved >= LEAST_SHARE * before.total) found.push(saving);
  }
  const near = LEAST_SHARE * before.total;
  const ranked = found.sort((one, other) => {
    const isEqual = Math.round(one.saved / near) === Math.round(other.saved / near);
    if (isEqual && one.keepsResult !== other.keepsResult) return one.keepsResult ? -1 : 1;
    return other.saved - one.saved;
  });
  if (limit === undefined || ranked.some(suffices) || goesThrough(verdictOf(needOf(before), limit))) return ranked;
  const together = await firstTogether(config, ranked, plans);
  return together === undefined ? ranked : [together, ...ranked];
}

/** Whether a run with this change can be counted on to go through. */
export function suffices({ verdict }: Saving): boolean {
  return verdict !== undefined && goesThrough(verdict);
}

/**
 * The largest batch, row length or rank (of the first method that has one) that can be counted on to go through, all else
 * as it is.
 *
 * @param limit bytes that are free
 * @param most where to stop; {@link LARGEST_SEARCHED} without it
 * @returns 0 where not even 1 does; undefined for the rank of a run that has none
 */
export async function largestThatFits(
  config: RunConfig,
  planRun: PlanRun,
  limit: number,
  quantity: Quantity,
  most: number = LARGEST_SEARCHED[quantity],
): Promise<number | undefined> {
  const path = pathOf(config, quantity);
  if (path === undefined) return undefined;
  const search = largestFitting(most);
  let asked = search.next();
  while (asked.done !== true) {
    const changed = changedConfig(config, [{ path, value: asked.value }]);
    // Less than the schema takes (a row has at least two tokens) is judged by what it takes.
    const judged = changed ?? changedConfig(config, [{ path, value: asked.value + 1 }]);
    asked = search.next(await isWithin(judged, planRun, limit));
  }
  return asked.value;
}

/** Whether a changed run can be counted on to go through; one that is refused cannot. */
export async function isWithin(config: RunConfig | undefined, planRun: PlanRun, limit: number): Promise<boolean> {
  const plan = config && (await planOf(config, planRun));
  return plan !== undefined && goesThrough(verdictOf(needOf(plan), limit));
}

/** Where the run file has a quantity; undefined for the rank of a run without one. */
function pathOf(config: RunConfig, quantity: Quantity): ConfigChange['path'] | undefined {
  if (quantity === 'batch') return ['training', 'per_device_train_batch_size'];
  if (quantity === 'length') return ['data', 'max_length'];
  const at = config.method.findIndex(({ type }) => rankOption(type) !== undefined);
  const option = rankOption(config.method[at]?.type);
  return option === undefined ? undefined : ['method', at, option];
}

/** The option that is the rank of what a method trains, where memory is searched by it. */
export function rankOption(type: MethodConfig['type'] | undefined): 'r' | 'init_r' | undefined {
  switch (type) {
    case 'lora':
    case 'relora':
    case 'cola':
      return 'r';
    case 'adalora':
      return 'init_r';
    default:
      return undefined;
  }
}

/**
 * The run file with changes, checked as if it had been read; undefined where it is none then. Of a method of another
 * type only the options that it has, too, stay.
 */
export function changedConfig(config: RunConfig, changes: readonly ConfigChange[]): RunConfig | undefined {
  let changed: Json | undefined = JSON.parse(JSON.stringify(config)) as Json;
  for (const { path, value } of changes) {
    if (changed === undefined) return undefined;
    changed = setIn(changed, path, value);
    const [section, index, option] = path;
    if (section === 'method' && option === 'type') {
      const known = METHODS.find(({ type }) => type === value)?.options.properties ?? {};
      const old = config.method[Number(index)] ?? {};
      const kept = Object.entries(old).filter(([key]) => key in known);
      changed = changed && setIn(changed, ['method', Number(index)], { ...Object.fromEntries(kept), type: value });
    }
  }
  return parseRunFile(JSON.stringify(changed), 'changed.peft.json').config;
}

interface Plans {
  readonly before: MemoryPlan;
  readonly planRun: PlanRun;
  readonly limit?: number;
}

/** Of an idea's forms the mildest that suffices, else the strongest; without a limit the mildest. */
async function bestForm(
  config: RunConfig,
  { forms, keepsResult }: Idea,
  plans: Plans,
): Promise<Saving | undefined> {
  let strongest: Saving | undefined;
  for (const form of forms) {
    const saving = await savingOf(config, form, keepsResult, plans);
    if (saving === undefined) continue;
    if (plans.limit === undefined || suffices(saving)) return saving;
    strongest = saving;
  }
  return strongest;
}

async function savingOf(
  config: RunConfig,
  { name, cost, changes }: Form,
  keepsResult: boolean,
  { before, planRun, limit }: Plans,
): Promise<Saving | undefined> {
  const changed = changedConfig(config, changes);
  const plan = changed && (await planOf(changed, planRun));
  if (plan === undefined) return undefined;
  const saved = before.total - plan.total;
  return {
    name,
    title: l10n.t`${name} saves ${formatBytes(Math.max(saved, 0))}: ${cost}`,
    changes,
    saved,
    plan,
    keepsResult,
    ...(limit === undefined ? {} : { verdict: verdictOf(needOf(plan), limit) }),
  };
}

/** What is a method's refusal of the changed run is no failure of the suggestions. */
async function planOf(config: RunConfig, planRun: PlanRun): Promise<MemoryPlan | undefined> {
  try {
    return (await planRun(config)).plan;
  } catch (error) {
    if (error instanceof ProblemError) return undefined;
    throw error;
  }
}

/** The first few changes that suffice together; undefined where all of them do not. */
async function firstTogether(
  config: RunConfig,
  ranked: readonly Saving[],
  plans: Plans,
): Promise<Saving | undefined> {
  const order = ranked.toSorted((one, other) => Number(other.keepsResult) - Number(one.keepsResult));
  let best: Saving | undefined;
  let parts: readonly Saving[] = [];
  for (const saving of order) {
    const taken = new Set(parts.flatMap(({ changes }) => changes.map(({ path }) => path.join('.'))));
    if (saving.changes.some(({ path }) => taken.has(path.join('.')))) continue;
    const tried = [...parts, saving];
    const form = {
      name: tried.map(({ name }) => name).join(' + '),
      cost: l10n.t`each for what it costs alone`,
      changes: tried.flatMap(({ changes }) => changes),
    };
    const found = await savingOf(
      config,
      form,
      tried.every(({ keepsResult }) => keepsResult),
      plans,
    );
    if (found === undefined || found.saved <= (best?.saved ?? 0)) continue;
    [best, parts] = [found, tried];
    if (suffices(found)) return found;
  }
  return undefined;
}

/** In the order in which equals are shown. */
function ideas(config: RunConfig, plan: MemoryPlan): readonly Idea[] {
  return [
    ...batchIdeas(config, plan),
    ...config.method.flatMap((method, at) => methodIdeas(config, method, at)),
    ...trainingIdeas(config),
    ...dataIdeas(config),
  ];
}

/** Half the batch, twice the accumulation: the same step. Evaluations are as large as they need not be. */
function batchIdeas({ training, data }: RunConfig, { peak }: MemoryPlan): readonly Idea[] {
  const {
    per_device_train_batch_size: batch,
    gradient_accumulation_steps: accumulation,
    per_device_eval_batch_size: evalBatch,
  } = training;
  const evaluates = data.validation !== undefined || (data.validation_split ?? 0) > 0;
  const found: Idea[] = [];
  const sizes = halvings(batch, 1, Infinity);
  // Of a batch that no halving divides evenly the step has a few rows more.
  const isEven = sizes.every((size) => batch % size === 0);
  found.push({
    keepsResult: isEven,
    forms: sizes.map((size) => {
      const steps = accumulation * Math.ceil(batch / size);
      return {
        name: l10n.t`Batch ${size} × ${steps}`,
        cost:
          size * steps === batch * accumulation
            ? l10n.t`the same step, a little slower`
            : l10n.t`a step of a few rows more`,
        changes: [
          { path: ['training', 'per_device_train_batch_size'], value: size },
          { path: ['training', 'gradient_accumulation_steps'], value: steps },
          ...(evaluates && evalBatch > size
            ? [{ path: ['training', 'per_device_eval_batch_size'], value: size }]
            : []),
        ],
      };
    }),
  });
  if (peak === 'evaluation') {
    found.push({
      keepsResult: true,
      forms: halvings(evalBatch, 1, Infinity).map((size) => ({
        name: l10n.t`Evaluation batch ${size}`,
        cost: l10n.t`the same figures, a little slower`,
        changes: [{ path: ['training', 'per_device_eval_batch_size'], value: size }],
      })),
    });
  }
  return found;
}

function methodIdeas(config: RunConfig, method: MethodConfig, at: number): readonly Idea[] {
  const of = config.method.length > 1 ? l10n.t` of method ${at + 1} (${method.type})` : '';
  const set = (option: string, value: Json): ConfigChange => ({ path: ['method', at, option], value });
  const smaller = (option: string, values: readonly number[], what: string, cost: string): Idea => ({
    keepsResult: false,
    forms: values.map((value) => ({ name: `${what} ${value}${of}`, cost, changes: [set(option, value)] })),
  });
  switch (method.type) {
    case 'lora':
    case 'relora':
    case 'cola':
    case 'melora':
    case 'mora':
      return [
        smaller('r', halvings(method.r, LEAST_RANK), l10n.t`Rank`, l10n.t`an update that can say less`),
        ...addedIdeas(method, of, set),
      ];
    case 'sora':
    case 'dylora':
      return [smaller('r', halvings(method.r, LEAST_RANK), l10n.t`Rank`, l10n.t`an update that can say less`)];
    case 'dora_rank':
      return [
        {
          keepsResult: false,
          forms: halvings(startRank(method), LEAST_RANK).map((rank) => ({
            name: l10n.t`First rank ${rank}${of}`,
            cost: l10n.t`fewer ranks to choose from`,
            changes: [
              set('start_rank', rank),
              ...(method.r > rank ? [set('r', Math.max(1, Math.floor((rank * 2) / 3)))] : []),
            ],
          })),
        },
      ];
    case 'adalora':
      return [
        {
          keepsResult: false,
          forms: halvings(method.init_r, LEAST_RANK).map((rank) => ({
            name: l10n.t`First rank ${rank}${of}`,
            cost: l10n.t`fewer ranks to choose from`,
            changes: [
              set('init_r', rank),
              ...(method.target_r > rank ? [set('target_r', Math.max(1, Math.floor((rank * 2) / 3)))] : []),
            ],
          })),
        },
        ...addedIdeas(method, of, set),
      ];
    case 'galore':
      return [
        smaller(
          'rank',
          halvings(method.rank, LEAST_RANK),
          l10n.t`Rank`,
          l10n.t`a smaller subspace for the optimizer`,
        ),
      ];
    case 'lisa':
      return [
        smaller(
          'lisa_activated_layers',
          halvings(method.lisa_activated_layers, 1),
          l10n.t`Layers at a time`,
          l10n.t`each layer trains less often`,
        ),
      ];
    case 'last_layers': {
      const { num_layers: layers, fraction } = method;
      const cost = l10n.t`fewer layers train`;
      return [
        layers === undefined
          ? smaller('fraction', halvings(fraction, 0), l10n.t`Share of the layers`, cost)
          : smaller('num_layers', halvings(layers, 1), l10n.t`Last layers:`, cost),
      ];
    }
    case 'bitfit':
    case 'lt_sft':
    case 'ia3':
    case 'intrinsic':
      return [];
    case 'adapter':
      return [smallerAdapter(method, smaller)];
    case 'adapter_fusion':
      return [];
    case 'ciat': {
      const { bottleneck_size: size } = method;
      if (size === undefined) return [];
      return [
        smaller(
          'bottleneck_size',
          halvings(size, LEAST_RANK),
          l10n.t`Bottleneck`,
          l10n.t`adapters that can say less`,
        ),
      ];
    }
    case 'fish_mask':
    case 'fish_dip':
    case 'pafi':
    case 'sam':
      return [smaller('keep_ratio', halvings(method.keep_ratio, 0), l10n.t`Share`, l10n.t`fewer numbers train`)];
    case 'prompt_tuning':
    case 'prefix_tuning':
      return [
        smaller(
          'num_virtual_tokens',
          halvings(method.num_virtual_tokens, LEAST_RANK),
          l10n.t`Virtual tokens:`,
          l10n.t`a prompt that can say less`,
        ),
      ];
    case 'full':
      return [
        {
          keepsResult: false,
          forms: [
            {
              name: l10n.t`LoRA (r ${OFFERED_RANK}) instead of training everything${of}`,
              cost: l10n.t`close to it on most tasks`,
              changes: [
                set('type', 'lora'),
                set('r', OFFERED_RANK),
                ...(config.training.learning_rate < LOW_RATE
                  ? [{ path: ['training', 'learning_rate'], value: LORA_RATE }]
                  : []),
              ],
            },
          ],
        },
      ];
    case 'sltrain':
      return [
        smaller('r', halvings(method.r, LEAST_RANK), l10n.t`Rank`, l10n.t`an update that can say less`),
        smaller('sp_ratio', halvings(method.sp_ratio, 0), l10n.t`Share`, l10n.t`fewer numbers train`),
      ];
    case 'learned_mask':
    case 'child_tuning':
    case 'lokr':
    case 'lotr':
      return [];
  }
}

/** A smaller bottleneck, by the option that the run file sets it with. */
function smallerAdapter(
  method: Extract<MethodConfig, { type: 'adapter' }>,
  smaller: (option: string, values: readonly number[], what: string, cost: string) => Idea,
): Idea {
  const cost = l10n.t`an adapter that can say less`;
  const { bottleneck_size: size } = method;
  if (size !== undefined) return smaller('bottleneck_size', halvings(size, LEAST_RANK), l10n.t`Bottleneck`, cost);
  const factor = bottleneckForm(method.placement, method, 1).reduction_factor;
  const factors = typeof factor === 'number' ? [2 * factor, 4 * factor] : [];
  return smaller('reduction_factor', factors, l10n.t`Reduction factor`, cost);
}

/** What low-rank methods may train beside their pairs, and keep for dropout. */
function addedIdeas(
  method: Extract<MethodConfig, { type: 'lora' | 'adalora' | 'relora' | 'cola' | 'melora' | 'mora' }>,
  of: string,
  set: (option: string, value: Json) => ConfigChange,
): readonly Idea[] {
  const one = (name: string, cost: string, ...changes: readonly ConfigChange[]): Idea => ({
    keepsResult: false,
    forms: [{ name: `${name}${of}`, cost, changes }],
  });
  const whole = method.modules_to_save ?? [];
  return [
    ...(whole.length > 0
      ? [
          one(
            l10n.t`No modules trained whole`,
            l10n.t`${whole.join(', ')} stay as they are`,
            set('modules_to_save', []),
          ),
        ]
      : []),
    ...(method.lora_dropout > 0
      ? [one(l10n.t`No dropout`, l10n.t`less to keep it from learning the rows by heart`, set('lora_dropout', 0))]
      : []),
  ];
}

function trainingIdeas({ training }: RunConfig): readonly Idea[] {
  const set = (option: string, value: Json): ConfigChange => ({ path: ['training', option], value });
  const one = (name: string, cost: string, change: ConfigChange): Idea => ({
    keepsResult: false,
    forms: [{ name, cost, changes: [change] }],
  });
  return [
    ...(training.optim === 'adamw'
      ? [one('Adafactor', l10n.t`moments of rows and columns only`, set('optim', 'adafactor'))]
      : []),
    ...(training.optim !== 'sgd'
      ? [one('SGD', l10n.t`slower learning, at a far higher learning rate of your choice`, set('optim', 'sgd'))]
      : []),
    ...(training.optim === 'sgd' && training.momentum > 0
      ? [one(l10n.t`No momentum`, l10n.t`slower learning`, set('momentum', 0))]
      : []),
    ...(training.sam_rho > 0
      ? [one(l10n.t`No sharpness-aware steps`, l10n.t`a sharper minimum, in half the time`, set('sam_rho', 0))]
      : []),
  ];
}

function dataIdeas({ data }: RunConfig): readonly Idea[] {
  const lengths = halvings(data.max_length ?? DEFAULT_MAX_LENGTH, LEAST_LENGTH);
  return [
    {
      keepsResult: false,
      forms: lengths.map((length) => ({
        name: l10n.t`Row length ${length}`,
        cost: l10n.t`longer rows are cut`,
        changes: [{ path: ['data', 'max_length'], value: length }],
      })),
    },
    ...(data.packing === true
      ? [
          {
            keepsResult: true,
            forms: [
              {
                name: l10n.t`No packing`,
                cost: l10n.t`one row at a time, slower where rows are short`,
                changes: [{ path: ['data', 'packing'], value: false }],
              },
            ],
          },
        ]
      : []),
  ];
}

/** Half of a number, a quarter, …: whole ones, unless it is a share, and none below `least`. */
function halvings(value: number, least: number, most: number = HALVINGS): readonly number[] {
  const found: number[] = [];
  for (let next = half(value); next >= least && next > 0 && found.length < most; next = half(next))
    found.push(next);
  return found;
}

function half(value: number): number {
  return value < 1 ? value / 2 : Math.floor(value / 2);
}
