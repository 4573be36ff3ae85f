import * as l10n from '@vscode/l10n';
import path from 'node:path';
import type { FoundAdapter } from '../../adapters/findAdapters.js';
import type { FoundBase } from '../../adapters/findBase.js';
import { fileName } from '../../common/fileName.js';
import type { FoundMerged } from '../../adapters/merging/mergeRecord.js';
import { formatBytes, formatCount, formatDuration, formatLoss, formatPercent } from '../../common/format.js';
import type { Problem } from '../../common/problem.js';
import { isResumable } from '../../engines/findRuns.js';
import type { FoundRun } from '../../engines/findRuns.js';
import { sentences } from '../../common/sentences.js';
import { conversionsOf } from './conversions.js';
import type { Entry } from './library.js';

/** How a row looks. */
export interface Look {
  readonly label: string;
  /** Behind the label, in grey. */
  readonly description: string;
  /** A codicon's name, with the colour of the theme that it takes. */
  readonly icon: { readonly name: string; readonly color?: string };
  /** What is shown on hovering: plain text, whatever files hold. */
  readonly details: Details;
  /** Words that the manifest's `when` clauses look for. */
  readonly context: readonly ContextWord[];
}

export interface Details {
  readonly title: string;
  readonly rows: readonly (readonly [string, string])[];
  /** What is wrong or noteworthy, in sentences. */
  readonly notes: readonly string[];
}

export type ContextWord =
  | 'base'
  | 'adapter'
  | 'run'
  | 'merged'
  /** Holds an adapter that can be inspected. */
  | 'inspectable'
  /** Holds an adapter that can be merged into its base. */
  | 'mergeable'
  /** Holds an adapter that can be combined with others. */
  | 'addable'
  /** Holds an adapter whose updates can be laid beside another's. */
  | 'comparable'
  /** Holds a LoRA, which can be mixed with others of its base for a new task. */
  | 'mixable'
  /** Is a mixture, with the search for it. */
  | 'mixture'
  /** Holds an adapter that can become something else: see `conversions.ts`. */
  | 'convertible'
  /** Holds an adapter that can be tried with its base. */
  | 'usable'
  | 'resumable'
  | 'running'
  /** Holds an adapter with faults that its files alone say how to mend. */
  | 'repairable'
  /** May be moved to the trash. */
  | 'deletable'
  /** Has a place on this machine. */
  | 'placed';

/** Methods of `adapter_config.json` that are read here, and whether they can be merged into the base. */
export const READABLE_METHODS: Readonly<Record<string, 'mergeable' | 'applied'>> = {
  lora: 'mergeable',
  adalora: 'mergeable',
  lokr: 'mergeable',
  lotr: 'mergeable',
  melora: 'mergeable',
  mora: 'mergeable',
  sltrain: 'mergeable',
  bitfit: 'mergeable',
  last_layers: 'mergeable',
  fish_mask: 'mergeable',
  fish_dip: 'mergeable',
  learned_mask: 'mergeable',
  pafi: 'mergeable',
  sam: 'mergeable',
  lt_sft: 'mergeable',
  prompt_tuning: 'applied',
  prefix_tuning: 'applied',
  ia3: 'mergeable',
  intrinsic: 'mergeable',
  ciat: 'applied',
  adapter_fusion: 'applied',
};

/**
 * Methods whose adapters are combined, by what they keep: differences from the base (see `PeftFormat.differences`), or updates
 * that become a LoRA.
 */
export const ADDABLE_METHODS: Readonly<Record<string, 'places' | 'tensors' | 'factors' | 'updates'>> = {
  lora: 'factors',
  adalora: 'updates',
  melora: 'updates',
  lotr: 'updates',
  lokr: 'updates',
  mora: 'updates',
  fish_mask: 'places',
  fish_dip: 'places',
  pafi: 'places',
  sam: 'places',
  lt_sft: 'places',
  bitfit: 'tensors',
};

/** Methods whose update of a module is B·A and nothing more: see `PeftFormat.pair`. */
export const COMPARABLE_METHODS: readonly string[] = ['lora', 'adalora', 'lotr', 'melora'];

const RED = 'list.errorForeground';
const YELLOW = 'list.warningForeground';

/** How a base model looks, above so many adapters and runs. */
export function lookOfBase(base: FoundBase, count: number): Look {
  const things = count === 1 ? l10n.t`1 entry` : l10n.t`${count} entries`;
  const unnamed = base.key === '';
  const where =
    base.place ??
    (base.remote ? l10n.t`on the Hugging Face hub; not downloaded yet` : l10n.t`not found on this machine`);
  const missing = base.place === undefined && !base.remote && !unnamed;
  return {
    label: base.label,
    description: missing ? `${l10n.t`not found`} · ${things}` : things,
    icon: unnamed
      ? { name: 'question' }
      : missing
        ? { name: 'warning', color: YELLOW }
        : { name: base.remote ? 'cloud' : 'package' },
    details: {
      title: base.label,
      rows: unnamed
        ? []
        : [
            [l10n.t`Base model`, base.key],
            [l10n.t`Place`, where],
          ],
      notes: unnamed
        ? [l10n.t`Their configs name no base model (base_model_name_or_path).`]
        : missing
          ? [l10n.t`What needs the base model (merging, trying) asks for it.`]
          : [],
    },
    context: ['base', ...(base.place === undefined ? [] : (['placed'] as const))],
  };
}

/**
 * How an adapter, a run or a merged model looks.
 * @param own the adapter that a run holds
 */
export function lookOf({ item, unmatched }: Entry, own?: Entry): Look {
  switch (item.kind) {
    case 'adapter':
      return lookOfAdapter(item, unmatched);
    case 'run':
      return lookOfRun(item, own);
    case 'merged':
      return lookOfMerged(item);
  }
}

function lookOfMerged({ folder, record, bytes, modified, problem }: FoundMerged): Look {
  return {
    label: path.basename(folder),
    description: joined(
      problem === undefined ? l10n.t`merged` : l10n.t`merged; its record cannot be read`,
      record?.dtype,
      formatBytes(bytes),
      dateText(modified),
    ),
    icon: { name: 'git-merge' },
    details: {
      title: path.basename(folder),
      rows: rowsOf([
        [l10n.t`State`, l10n.t`merged: a whole model`],
        [l10n.t`Merged adapters`, record?.merged_adapters.join(', ')],
        [l10n.t`Base model`, record?.base_model_name_or_path],
        [l10n.t`Type`, record?.dtype],
        [
          l10n.t`Verified`,
          record &&
            (record.merged_adapters.length === 1
              ? l10n.t`logits within ${record.verified_difference.toExponential(1)} of base + adapter, in float32`
              : l10n.t`logits within ${record.verified_difference.toExponential(1)} of base + adapters, in float32`),
        ],
        [l10n.t`Size`, formatBytes(bytes)],
        [l10n.t`Written`, dateText(modified)],
        [l10n.t`Folder`, folder],
      ]),
      notes: problem === undefined ? [] : [placed(problem)],
    },
    context: ['merged', 'deletable', 'placed'],
  };
}

function lookOfAdapter(item: FoundAdapter, unmatched: readonly string[]): Look {
  const { problem, faults, irregular, start, method, rank, alpha, trainable, bytes, modified, format } = item;
  const state =
    problem !== undefined
      ? l10n.t`cannot be read`
      : unmatched.length > 0
        ? l10n.t`unmatched`
        : faults.length > 0
          ? l10n.t`faulty`
          : irregular.length > 0
            ? l10n.t`irregular`
            : undefined;
  const icon =
    problem !== undefined
      ? { name: 'error', color: RED }
      : state === undefined
        ? { name: 'layers' }
        : { name: 'warning', color: YELLOW };
  return {
    label: path.basename(item.folder),
    description: joined(state, withRank(method, rank), formatBytes(bytes), dateText(modified)),
    icon,
    details: {
      title: path.basename(item.folder),
      rows: rowsOf([
        [l10n.t`Method`, method],
        [l10n.t`Written for`, format === 'adapters' ? l10n.t`the adapters library` : undefined],
        [l10n.t`Base model`, item.base ?? l10n.t`not named`],
        ['r, alpha', rank === undefined ? undefined : `${rank}, ${alpha ?? '?'}`],
        [l10n.t`Trained`, trainable === undefined ? undefined : l10n.t`${formatCount(trainable)} numbers`],
        [l10n.t`Modules`, item.modules.length === 0 ? undefined : formatCount(item.modules.length)],
        [l10n.t`Size`, formatBytes(bytes)],
        [l10n.t`Written`, dateText(modified)],
        [l10n.t`State`, state ?? l10n.t`every layer in one state`],
        [l10n.t`Folder`, item.folder],
      ]),
      notes: [
        ...(problem === undefined ? [] : [placed(problem)]),
        ...unmatched.map((each) => l10n.t`Unmatched: ${each}.`),
        ...(problem === undefined ? faults : []).map((each) => l10n.t`Fault: ${each}.`),
        ...irregular.map((each) => l10n.t`Irregular: ${each}.`),
        ...(start === undefined
          ? []
          : [
              l10n.t`Trained on what its start left of the base (${start}): convert it to use it on the original one.`,
            ]),
      ],
    },
    context: [
      'adapter',
      'deletable',
      'placed',
      ...uses(item, unmatched),
      ...(item.repairable === true && unmatched.length === 0 ? (['repairable'] as const) : []),
    ],
  };
}

/** What can be done with an adapter. */
function uses(item: FoundAdapter, unmatched: readonly string[]): ContextWord[] {
  const kind = useOf(item);
  if (item.problem !== undefined || kind === undefined) return [];
  const looks = ['inspectable', ...(isComparable(item) ? (['comparable'] as const) : [])] as const;
  if (unmatched.length > 0 || item.faults.length > 0) return [...looks];
  // A base that is not found is asked for.
  if (kind === 'applied') return [...looks, 'usable'];
  const converts = conversionsOf(item).length > 0 ? (['convertible'] as const) : [];
  // On the base as it is it would be garbage.
  if (item.start !== undefined) return [...looks, ...converts];
  return [
    ...looks,
    'mergeable',
    'usable',
    ...(formOf(item) === undefined ? [] : (['addable'] as const)),
    ...(formOf(item) === 'factors' ? (['mixable'] as const) : []),
    ...(item.mixture === true ? (['mixture'] as const) : []),
    ...converts,
  ];
}

function isComparable({ format, method = '' }: FoundAdapter): boolean {
  return format === 'peft' && COMPARABLE_METHODS.includes(method);
}

/** Whether two adapters can be laid side by side, as far as their configs tell: of one base model, of any such methods. */
export function comparesWith(adapter: Entry, other: Entry): boolean {
  return (
    other.item.kind === 'adapter' &&
    other.item.folder !== adapter.item.folder &&
    other.item.problem === undefined &&
    isComparable(other.item) &&
    other.base.key === adapter.base.key
  );
}

/** Whether two adapters can be combined, as far as their configs tell: of one base model, of any such methods. */
export function addsUpWith(adapter: Entry, other: Entry): boolean {
  const isAddable = ({ item, unmatched }: Entry): boolean =>
    item.kind === 'adapter' && uses(item, unmatched).includes('addable');
  return (
    other.item.folder !== adapter.item.folder &&
    other.base.key === adapter.base.key &&
    isAddable(adapter) &&
    isAddable(other)
  );
}

/** Whether two adapters can be merged one after the other, as far as their configs tell: of one base model, of any such methods. */
export function mergesWith(adapter: Entry, other: Entry): boolean {
  const { item, unmatched, base } = other;
  return (
    item.folder !== adapter.item.folder &&
    base.key === adapter.base.key &&
    item.kind === 'adapter' &&
    uses(item, unmatched).includes('mergeable')
  );
}

/** Whether an adapter can be mixed with others of its base for a new task, as far as its config tells. */
export function isMixable({ item, unmatched }: Entry): boolean {
  return item.kind === 'adapter' && uses(item, unmatched).includes('mixable');
}

function formOf({ format, method = '', dora }: FoundAdapter): (typeof ADDABLE_METHODS)[string] | undefined {
  return format === 'peft' && dora === undefined ? ADDABLE_METHODS[method] : undefined;
}

/** Of the `adapters` library's own kinds the bottleneck is read; its LoRA is not PEFT's. */
function useOf({ format, method = '' }: FoundAdapter): 'mergeable' | 'applied' | undefined {
  if (format === 'adapters') return method === 'bottleneck' ? 'applied' : undefined;
  return format === 'peft' ? READABLE_METHODS[method] : undefined;
}

function lookOfRun(item: FoundRun, own: Entry | undefined): Look {
  const { state, method, rank, bytes, modified, loss, evaluation, checkpoint, trainable } = item;
  const words = stateWords(item);
  const running = state.kind === 'running';
  const held = own?.item.kind === 'adapter' ? own.item : undefined;
  return {
    label: item.name,
    description: joined(
      words,
      withRank(method, rank),
      loss === undefined ? undefined : l10n.t`loss ${formatLoss(loss)}`,
      running ? undefined : formatBytes(bytes),
      dateText(modified),
    ),
    icon: runIcon(item),
    details: {
      title: l10n.t`${item.name}: ${words}`,
      rows: rowsOf([
        [l10n.t`Method`, method],
        [l10n.t`Base model`, item.base ?? l10n.t`not named`],
        ['r', rank === undefined ? undefined : String(rank)],
        [l10n.t`Trained`, trainable === undefined ? undefined : l10n.t`${formatCount(trainable)} numbers`],
        [l10n.t`Last loss`, loss === undefined ? undefined : formatLoss(loss)],
        [
          l10n.t`Last evaluation`,
          evaluation === undefined
            ? undefined
            : evaluation.macroF1 !== undefined
              ? l10n.t`loss ${formatLoss(evaluation.loss)}, accuracy ${formatPercent(evaluation.rowAccuracy)} at step ${evaluation.step}`
              : l10n.t`loss ${formatLoss(evaluation.loss)}, tokens right ${formatPercent(evaluation.tokenAccuracy)} at step ${evaluation.step}`,
        ],
        ...Object.entries(item.metrics).map(([name, value]) => [name, formatLoss(value)] as const),
        [l10n.t`Took`, state.kind === 'finished' ? formatDuration(state.seconds) : undefined],
        [l10n.t`Last checkpoint`, checkpoint === undefined ? undefined : l10n.t`step ${checkpoint}`],
        [l10n.t`Size`, formatBytes(bytes)],
        [l10n.t`Last event`, dateText(modified)],
        [l10n.t`Run file`, item.file],
        [l10n.t`Folder`, item.folder],
      ]),
      notes: [
        ...problemsOf(item).map(placed),
        ...(isResumable(item) ? [l10n.t`It can be resumed from step ${checkpoint ?? 0}.`] : []),
        ...(state.kind === 'interrupted' && checkpoint === undefined
          ? [l10n.t`It wrote no checkpoint to go on from (training.save_steps says how often one is written).`]
          : []),
      ],
    },
    context: [
      'run',
      'placed',
      ...(running ? (['running'] as const) : (['deletable'] as const)),
      ...(isResumable(item) ? (['resumable'] as const) : []),
      ...(held === undefined || running ? [] : uses(held, own?.unmatched ?? [])),
    ],
  };
}

function problemsOf({ state, configProblem }: FoundRun): readonly Problem[] {
  const own = configProblem === undefined ? [] : [configProblem];
  if (state.kind === 'failed') return [state.problem, ...state.others, ...own];
  return state.kind === 'unreadable' ? [state.problem, ...own] : own;
}

/** A problem behind the file that it is about, within the folder that the row is of. */
function placed(problem: Problem): string {
  const { where } = problem;
  if (where === undefined) return sentences(problem);
  const place = [fileName(where.file), where.line, where.column].filter((part) => part !== undefined).join(':');
  return `${place}: ${sentences(problem)}`;
}

function stateWords(item: FoundRun): string {
  const { state, checkpoint } = item;
  switch (state.kind) {
    case 'running': {
      const what = state.paused ? l10n.t`paused` : l10n.t`running`;
      const percent = Math.floor((state.step / state.totalSteps) * 100);
      return state.totalSteps > 0
        ? l10n.t`${what}, step ${state.step} of ${state.totalSteps} (${percent} %)`
        : what;
    }
    case 'finished':
      return l10n.t`finished`;
    case 'stopped':
      return isResumable(item) ? l10n.t`stopped, resumable from step ${checkpoint ?? 0}` : l10n.t`stopped`;
    case 'failed':
      return l10n.t`failed: ${firstWords(state.problem.message)}`;
    case 'interrupted':
      return isResumable(item) ? l10n.t`interrupted, resumable from step ${checkpoint ?? 0}` : l10n.t`interrupted`;
    case 'unreadable':
      return l10n.t`cannot be read: ${firstWords(state.problem.message)}`;
  }
}

function runIcon({ state }: FoundRun): Look['icon'] {
  switch (state.kind) {
    case 'running':
      return state.paused ? { name: 'debug-pause' } : { name: 'sync~spin', color: 'charts.blue' };
    case 'finished':
      return { name: 'pass', color: 'charts.green' };
    case 'stopped':
      return { name: 'debug-stop' };
    case 'failed':
    case 'unreadable':
      return { name: 'error', color: RED };
    case 'interrupted':
      return { name: 'debug-disconnect', color: YELLOW };
  }
}

function withRank(method: string | undefined, rank: number | undefined): string | undefined {
  return rank === undefined ? method : `${method ?? ''} r ${rank}`.trim();
}

function joined(...parts: readonly (string | undefined)[]): string {
  return parts.filter((part) => part !== undefined && part !== '').join(' · ');
}

function rowsOf(rows: readonly (readonly [string, string | undefined])[]): (readonly [string, string])[] {
  return rows.flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]));
}

/** So much of a message fits a row of the tree. */
const ROW_CHARACTERS = 60;

function firstWords(message: string): string {
  const [line = ''] = message.split('\n');
  return line.length > ROW_CHARACTERS ? `${line.slice(0, ROW_CHARACTERS)}…` : line;
}

/** `2026-11-25 12:03` in the machine's time zone; empty for no time at all. */
export function dateText(milliseconds: number): string {
  if (milliseconds === 0) return '';
  const date = new Date(milliseconds);
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`;
}
