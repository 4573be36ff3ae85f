import * as l10n from '@vscode/l10n';
import { isError, problemOf } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import { random } from '../common/random.js';
import type { MethodConfig } from '../config/schema.js';
import { methodPath } from '../engines/methodPlaces.js';
import { guides } from '../engines/session.js';
import { onePlaceEach, standInFor } from '../engines/standIns.js';
import type { AttachContext, Attached } from '../methods/method.js';
import { attachMethod, checkPrepared } from '../methods/registry.js';
import { optionOf, patternValue } from '../methods/targets.js';
import type { LanguageModel } from '../models/architecture.js';
import type { ModelFacts } from './modelFacts.js';
import type { Finding } from './modelFinding.js';
import type { KnownTasks } from './rowTasks.js';

/** A run file's methods on a model of which only config and header are read. */
export interface Attachment {
  /** By the methods' order; undefined for one that is refused, and for one that first has to see the data. */
  readonly methods: readonly (Attached | undefined)[];
  readonly findings: readonly Finding[];
}

/** Versions of the method section remembered per model: undoing and typing on go back and forth among a few. */
const KEPT = 8;

const attachments = new WeakMap<ModelFacts, Map<string, Attachment>>();

/**
 * Attaches methods to a model; the same ones to the same model only once.
 * @param tasks that rows name; without it, as for rows that name none
 */
export function attachToHeader(
  configs: readonly MethodConfig[],
  facts: ModelFacts,
  tasks?: KnownTasks,
): Attachment {
  const known = attachments.get(facts) ?? new Map<string, Attachment>();
  attachments.set(facts, known);
  const key = JSON.stringify([configs, tasks]);
  const attachment = known.get(key) ?? attachAll(configs, facts, tasks);
  known.delete(key);
  known.set(key, attachment);
  const [oldest] = known.keys();
  if (known.size > KEPT && oldest !== undefined) known.delete(oldest);
  return attachment;
}

/** Whether one of the methods has numbers of its own for each task. */
export function tellsTasks(configs: readonly MethodConfig[], facts: ModelFacts, tasks: KnownTasks): boolean {
  const named = tasks.names.length > 0 ? tasks : { ...tasks, names: ['task'] };
  return attachToHeader(configs, facts, named).methods.some((method) => method?.tasks !== undefined);
}

function attachAll(
  configs: readonly MethodConfig[],
  { model, place }: ModelFacts,
  tasks: KnownTasks | undefined,
): Attachment {
  const methods: (Attached | undefined)[] = [];
  // What stands for methods that first have to see the data is among them.
  const before: Attached[] = [];
  const findings: Finding[] = [];
  for (const [index, config] of configs.entries()) {
    const attachable = withoutText(config);
    const context: AttachContext = {
      model,
      modelName: place,
      read: notRead,
      random: (...stream) => random(0, 'method', index, ...stream),
      instance: index === 0 ? '' : `${index}:`,
      before: [...before],
      ...(tasks === undefined ? {} : { tasks: tasks.names }),
    };
    try {
      // What it guides has to see the data first.
      const waits = guides(config) && methods.includes(undefined);
      if (waits || checkPrepared(attachable, context)) {
        methods.push(undefined);
        const standIn = waits ? undefined : standInFor(attachable, model, before, onePlaceEach);
        if (standIn !== undefined) before.push(standIn);
      } else {
        const attached = attachMethod(attachable, { ...context, idlePatterns: 'gather' });
        methods.push(attached);
        before.push(attached);
        const warnings = withoutConsequences(attached.coverage.warnings, model).filter(
          // Rows that were not read may name more tasks.
          ({ code }) => code !== 'fusion.one' || tasks === undefined || tasks.whole,
        );
        findings.push(...warnings.map((problem) => findingOf(problem, index, config)));
        // As where it is refused: what comes after it would be judged without it.
        if (attached.trainables.length === 0 && findings.some(({ problem }) => isError(problem))) break;
      }
    } catch (error) {
      findings.push(findingOf(problemOf(error), index, config));
      methods.push(undefined);
      break;
    }
  }
  return { methods, findings };
}

/**
 * Where a target is mistyped, the keys of patterns for the modules that it would have adapted match nothing either: they
 * are right, and come right with it.
 */
function withoutConsequences(warnings: readonly Problem[], { sites }: LanguageModel): readonly Problem[] {
  const mistyped = warnings.some((each) => isError(each) && optionOf(each)?.[0] === 'target_modules');
  if (!mistyped) return warnings;
  return warnings.filter((each) => {
    const [option, key] = optionOf(each) ?? [];
    if (option !== 'rank_pattern' && option !== 'alpha_pattern') return true;
    const pattern = { [String(key)]: 1 };
    return !sites.some(({ path }) => patternValue(pattern, path) !== undefined);
  });
}

/** Attaching decides what trains; values are asked for only when a run starts. */
function notRead(name: string): Promise<Float32Array> {
  return Promise.reject(new Error(`The editor reads no weights: ${name}`));
}

/** The method without a start from a text, which asks for the tokenizer: that takes long to load. */
function withoutText(config: MethodConfig): MethodConfig {
  if (config.type !== 'prompt_tuning') return config;
  const { prompt_tuning_init_text: text, class_labels: labels, ...rest } = config;
  switch (config.prompt_tuning_init) {
    case 'TEXT':
      return text === undefined ? config : { ...rest, prompt_tuning_init: 'RANDOM' };
    case 'CLASS_LABELS':
      return labels === undefined ? config : { ...rest, prompt_tuning_init: 'SAMPLE_VOCAB' };
    default:
      return config;
  }
}

function findingOf(problem: Problem, index: number, config: MethodConfig): Finding {
  const fault = problem.code === 'internal' && isError(problem);
  return {
    problem: fault
      ? { ...problem, message: l10n.t`this method could not be checked: ${problem.message}` }
      : problem,
    ...methodPath(problem, index, config),
  };
}
