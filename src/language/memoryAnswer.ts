import * as l10n from '@vscode/l10n';
import path from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type { MachineMemory } from '../common/machineMemory.js';
import { ProblemError } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import { parseRunFile } from '../config/parseRunFile.js';
import type { RunConfig } from '../config/schema.js';
import type { ConfigChange } from '../config/setIn.js';
import { nodeAt } from '../config/tree.js';
import { DEFAULT_MAX_LENGTH } from '../data/options.js';
import { bestFirst, memoryWarning } from '../engines/memoryWarning.js';
import { changedConfig } from '../engines/savings/changedConfig.js';
import { largestThatFits } from '../engines/savings/largestThatFits.js';
import { suffices, suggestChanges } from '../engines/savings/suggestChanges.js';
import type { PlanRun } from '../engines/savings/planRun.js';
import { needOf, verdictOf } from '../engines/verdict.js';
import type { Need } from '../engines/verdict.js';
import type { Quantity } from '../memory/largest.js';
import { factsWithoutWeights } from './configFacts.js';
import { besidesOf, estimateWith } from './estimateFile.js';
import type { Besides } from './estimateFile.js';
import type { ModelFacts } from './modelFacts.js';
import { modelPlace, writtenTask } from './modelSource.js';
import type { RunDocument } from './runDocument.js';

/** A run file's text, and the memory that there is for it. */
export interface MemoryQuestion {
  /** Absolute. */
  readonly file: string;
  readonly text: string;
  readonly machine: MachineMemory;
}

/** What a run needs of the memory that there is; plain data, for it comes from a thread. */
export interface MemoryAnswer {
  readonly need: Need;
  readonly machine: MachineMemory;
  /** Placed in the file; absent where all of it fits. */
  readonly warning?: Problem;
  /** What could be changed, the best first; empty where all of it fits. */
  readonly savings: readonly OfferedChange[];
}

export interface OfferedChange {
  /** For a button: `Batch 2 × 4`. */
  readonly name: string;
  readonly title: string;
  readonly changes: readonly ConfigChange[];
  readonly suffices: boolean;
}

/** What a quantity decides, and how large it may be. */
export interface LargestAnswer {
  /** Bytes at the peak, and how many of them there are for the quantity being more than its least. */
  readonly peak: number;
  readonly decides: number;
  /** 0 where not even 1 fits. */
  readonly largest: number;
}

/**
 * What a run needs, and what could be changed where that is too much: from the model's header, or from its config where
 * that is all there is, with rows as long as they may be. Undefined for a file with errors, or without its model on this
 * machine: other checks tell. `signal` ends it
 * between two plans with an AbortError.
 */
export async function memoryAnswer(
  { file, text, machine }: MemoryQuestion,
  signal?: AbortSignal,
): Promise<MemoryAnswer | undefined> {
  const found = await plannable(file, text, signal);
  if (found === undefined) return undefined;
  const { document, config, facts, besides, planRun } = found;
  return remembered(facts, ['answer', config, machine, keyOf(besides)], async () => {
    const { plan } = await planRun(config);
    const need = needOf(plan);
    if (verdictOf(need, machine.free) === 'fits') return { need, machine, savings: [] };
    const savings = bestFirst(await suggestChanges(config, planRun, machine.free));
    const warning = memoryWarning(plan, machine, savings);
    return {
      need,
      machine,
      savings: savings.map((saving) => ({
        name: saving.name,
        title: saving.title,
        changes: saving.changes,
        suffices: suffices(saving),
      })),
      ...(warning === undefined ? {} : { warning: withPlace(warning, document, config) }),
    };
  });
}

/** Least values: with them a quantity decides nothing more. */
const LEAST: Readonly<Record<Quantity, number>> = { batch: 1, length: 2, rank: 1 };

/** How large a batch, a row or a rank may be, all else as it is. As {@link memoryAnswer}. */
export async function largestAnswer(
  { file, text, machine }: MemoryQuestion,
  at: ConfigChange['path'],
  quantity: Quantity,
  signal?: AbortSignal,
): Promise<LargestAnswer | undefined> {
  const found = await plannable(file, text, signal);
  if (found === undefined) return undefined;
  const { config, facts, besides, planRun } = found;
  return remembered(facts, [quantity, at, config, machine, keyOf(besides)], async () => {
    const least = changedConfig(config, [{ path: at, value: LEAST[quantity] }]);
    if (least === undefined) return undefined;
    const peak = (await planRun(config)).plan.total;
    const decides = peak - (await planRun(least)).plan.total;
    const most = quantity === 'length' ? facts.model.maxPositions : undefined;
    const largest = await largestThatFits(config, planRun, machine.free, quantity, most);
    return largest === undefined ? undefined : { peak, decides, largest };
  });
}

interface Plannable {
  readonly document: RunDocument;
  readonly config: RunConfig;
  readonly facts: ModelFacts;
  readonly besides: Besides;
  readonly planRun: PlanRun;
}

async function plannable(file: string, text: string, signal?: AbortSignal): Promise<Plannable | undefined> {
  const document: RunDocument = { file, folder: path.dirname(file), text, parsed: parseRunFile(text, file) };
  const { config } = document.parsed;
  const facts = config && (await factsOfModel(document, signal));
  if (config === undefined || facts === undefined) return undefined;
  const besides = await besidesOf(config, document.folder, signal);
  const planRun: PlanRun = async (changed) => {
    // A question that nobody asks any more ends here.
    await setImmediate();
    signal?.throwIfAborted();
    return estimateWith(changed, facts, besides);
  };
  return { document, config, facts, besides, planRun };
}

/** What an answer depends on: of a larger base, which one it is. */
function keyOf({ tasks, steered }: Besides): unknown {
  return [tasks, steered?.place, steered?.parameters];
}

/** The model's header, or what follows from its config where the weights are not there (yet). */
async function factsOfModel(document: RunDocument, signal?: AbortSignal): Promise<ModelFacts | undefined> {
  const place = await modelPlace(document);
  if (place === undefined) return undefined;
  try {
    return (await factsWithoutWeights(place, signal, writtenTask(document))).facts;
  } catch (error) {
    if (error instanceof ProblemError) return undefined;
    throw error;
  }
}

/** Answers remembered per model: a file is asked about by several parts of the editor, and undone and done again. */
const KEPT = 16;

const answers = new WeakMap<ModelFacts, Map<string, unknown>>();

/** The answer of before; else the one that is made. What a method's refusal keeps from being planned has none. */
async function remembered<Answer>(
  facts: ModelFacts,
  about: readonly unknown[],
  make: () => Promise<Answer>,
): Promise<Answer | undefined> {
  const known = (answers.get(facts) ?? new Map()) as Map<string, Answer>;
  answers.set(facts, known);
  const key = JSON.stringify(about);
  const before = known.get(key);
  if (before !== undefined) return before;
  try {
    const answer = await make();
    known.set(key, answer);
    const [oldest] = known.keys();
    if (known.size > KEPT && oldest !== undefined) known.delete(oldest);
    return answer;
  } catch (error) {
    if (error instanceof ProblemError) return undefined;
    throw error;
  }
}

/** At the batch, or where it is not written at the model; and under which condition it holds. */
function withPlace(warning: Problem, { parsed }: RunDocument, { data }: RunConfig): Problem {
  const batch = ['training', 'per_device_train_batch_size'];
  const isWritten = parsed.tree !== undefined && nodeAt(parsed.tree, batch) !== undefined;
  return {
    ...warning,
    message: l10n.t`with rows of ${data.max_length ?? DEFAULT_MAX_LENGTH} tokens (\`data.max_length\`) ${warning.message}`,
    where: parsed.placeOf(isWritten ? batch : ['model']),
  };
}
