import * as l10n from '@vscode/l10n';
import type { Problem } from '../common/problem.js';
import type { MethodConfig } from '../config/schema.js';
import { listWords } from '../config/shape.js';
import { nodeAt } from '../config/tree.js';
import { scheduleOf } from '../engines/session.js';
import type { MethodInfo } from '../methods/info.js';
import { METHODS } from '../methods/registry.js';
import { dataFindings, namedFiles } from './dataChecks.js';
import { firstRows } from './dataRows.js';
import { attachToHeader } from './modelAttach.js';
import { soundSections } from './modelDraft.js';
import type { SoundSections } from './modelDraft.js';
import type { ModelFacts } from './modelFacts.js';
import { placed } from './modelFinding.js';
import type { Finding } from './modelFinding.js';
import { modelOf, writtenTask } from './modelSource.js';
import { knownTasks } from './rowTasks.js';
import type { RunDocument } from './runDocument.js';

/**
 * What is wrong with a run file in view of its model and its data, each at its place in the file: patterns that match
 * nothing or not in every layer, options that the model contradicts, what the model is not made for, columns and rows
 * that do not fit. Reads config, header and first rows only, and these only once as long as the files stay as they are.
 * What is missing on disk is left to `checkPaths`. `signal` ends it with an AbortError.
 */
export async function checkAgainstModelAndData(
  document: RunDocument,
  signal?: AbortSignal,
): Promise<readonly Problem[]> {
  signal?.throwIfAborted();
  const sections = soundSections(document);
  const reading = await modelOf(document, signal);
  const facts = reading !== undefined && 'facts' in reading ? reading.facts : undefined;
  const tasks = sections.data && (await knownTasks(sections.data, document.folder, signal));
  const findings: Finding[] = [
    ...(reading !== undefined && 'problem' in reading && !PATH_CODES.has(reading.problem.code)
      ? [{ problem: reading.problem, path: TASK_CODES.has(reading.problem.code) ? ['task_type'] : ['model'] }]
      : []),
    ...(facts === undefined ? [] : modelFindings(facts)),
    ...engineFindings(sections, METHODS),
    ...(facts === undefined || sections.method === undefined
      ? []
      : attachToHeader(sections.method, facts, tasks).findings),
    ...(facts === undefined ? [] : lengthFindings(document, sections, facts)),
    ...(sections.data === undefined
      ? []
      : await dataFindings(sections.data, document.folder, facts, writtenTask(document), signal)),
    ...(await scheduleFindings(document, sections, signal)),
  ];
  signal?.throwIfAborted();
  return placed(document, findings);
}

/** What `checkPaths` says of the same path, in its own words. */
const PATH_CODES: ReadonlySet<string> = new Set(['checkpoint.not-a-model', 'checkpoint.folder-not-found']);

/** What the model has no head for, or is not made for. */
const TASK_CODES: ReadonlySet<string> = new Set(['model.task-type', 'model.no-head']);

/** Classes of Transformers that continue a text. */
const GENERATES = /(CausalLM|LMHeadModel|ConditionalGeneration)$/;

/** What the model is for, and what of its config is not done here. */
function modelFindings({ task, model }: ModelFacts): Finding[] {
  const warnings = (model.warnings ?? []).map((problem): Finding => ({ problem, path: ['model'] }));
  if (task === undefined || GENERATES.test(task) || model.kind === 'encoder') return warnings;
  const problem: Problem = {
    code: 'model.task',
    severity: 'warning',
    message: l10n.t`the model was made as ${task}, which does not continue texts: it is trained as a causal language model here, and a head of its own is not used`,
    expected: l10n.t`a model of a class that ends in ForCausalLM`,
    mend: l10n.t`Choose the language model that it was made from.`,
  };
  return [...warnings, { problem, path: ['model'] }];
}

/** Methods that the chosen engine does not have. */
export function engineFindings(
  {
    engine,
    method: configs = [],
  }: Pick<SoundSections, 'engine'> & { readonly method?: readonly Pick<MethodConfig, 'type'>[] },
  methods: readonly Pick<MethodInfo, 'type' | 'title' | 'engines'>[],
): Finding[] {
  if (engine === undefined) return [];
  return configs.flatMap(({ type }, index): Finding[] => {
    const info = methods.find((each) => each.type === type);
    if (info === undefined || info.engines.some((each) => each === engine)) return [];
    const problem: Problem = {
      code: 'engine.method',
      message: l10n.t`the engine \`${engine}\` does not have ${l10n.t(info.title)}`,
      expected: l10n.t`a method that \`${engine}\` has: ${listWords(methods.filter(({ engines }) => engines.some((each) => each === engine)).map((each) => each.type))}`,
      mend: l10n.t`Set \`engine\` to ${info.engines.join(l10n.t` or `)}, or choose another method.`,
    };
    return [{ problem, path: ['method', index, 'type'] }];
  });
}

/** Rows of the length that the file asks for may have more positions than the model was made for. */
function lengthFindings(
  { parsed: { tree } }: RunDocument,
  { data, method = [] }: SoundSections,
  { model }: ModelFacts,
): Finding[] {
  const length = data?.max_length;
  if (length === undefined || tree === undefined || nodeAt(tree, ['data', 'max_length']) === undefined) return [];
  const virtual = method.reduce(
    (sum, each) => sum + ('num_virtual_tokens' in each ? each.num_virtual_tokens : 0),
    0,
  );
  const most = model.maxPositions - virtual;
  if (length <= most || most < 2) return [];
  const problem: Problem = {
    code: 'model.positions',
    severity: 'warning',
    message:
      virtual > 0
        ? l10n.t`\`data.max_length\` is ${length}, with ${virtual} virtual tokens before each row: the model was made for ${model.maxPositions} positions`
        : l10n.t`\`data.max_length\` is ${length}: the model was made for ${model.maxPositions} positions`,
    expected: l10n.t`at most ${most}`,
    mend: l10n.t`Set it to ${most}, unless all rows are shorter anyway.`,
    replacement: String(most),
  };
  return [{ problem, path: ['data', 'max_length'] }];
}

/**
 * AdaLoRA's budget has to fall within the run, phases of LT-SFT, ReLoRA and COLA have to find room in it. Its length is known where
 * `max_steps` gives it; where all rows of small files were read, there is a longest one.
 */
async function scheduleFindings(
  { folder }: RunDocument,
  { method = [], training, data }: SoundSections,
  signal?: AbortSignal,
): Promise<Finding[]> {
  if (training === undefined || !method.some(({ type }) => type in DECIDING)) return [];
  const rows = training.max_steps === undefined && data !== undefined ? await mostRows(data, folder, signal) : 0;
  if (rows === undefined) return [];
  const { gradient_accumulation_steps: accumulation, per_device_train_batch_size: batch } = training;
  const perEpoch = Math.ceil(Math.ceil(rows / batch) / accumulation);
  const steps = training.max_steps ?? Math.max(1, Math.ceil(perEpoch * training.num_train_epochs));
  const atMost = training.max_steps === undefined;
  return method.flatMap((config, index) => {
    const problem = scheduleOf(config, steps, atMost);
    return problem === undefined ? [] : [{ problem, path: ['method', index, deciding(config, problem)] }];
  });
}

/** Methods whose schedule has to find room in a run, each with the option that it goes by most. */
const DECIDING: Readonly<Record<string, string>> = {
  adalora: 'tinit',
  dora_rank: 'end_prune_step_ratio',
  lt_sft: 'n_ft_iterations',
  relora: 'relora',
  cola: 'chain_length',
};

/** The option that a problem of a schedule is about most. */
function deciding(config: MethodConfig, { code }: Problem): string {
  if (config.type === 'adalora' && config.tfinal > config.tinit) return 'tfinal';
  return code === 'relora.warmup' ? 'restart_warmup_steps' : DECIDING[config.type]!;
}

/** How many rows the training files have, where all of them were read to their end. */
async function mostRows(
  data: NonNullable<SoundSections['data']>,
  folder: string,
  signal?: AbortSignal,
): Promise<number | undefined> {
  const files = (await namedFiles(data, folder)).filter(({ path: [, key] }) => key === 'train');
  const named = typeof data.train === 'string' ? 1 : data.train.length;
  if (files.length < named) return undefined;
  let rows = 0;
  for (const { file } of files) {
    const count = (await firstRows(file, signal))?.count;
    if (count === undefined) return undefined;
    rows += count;
  }
  return Math.min(rows, data.max_rows ?? Infinity);
}
