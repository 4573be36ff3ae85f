import * as l10n from '@vscode/l10n';
import { isJsonObject } from '../common/json.js';
import type { ConfigReader } from './configReader.js';
import type { Task } from './task.js';

/** The classes of a head, and whether it has to start anew for them. */
export interface HeadLabels {
  readonly names: readonly string[];
  readonly startsAnew: boolean;
}

/** Transformers' `num_labels` where a config has neither labels nor their number. */
const USUAL_COUNT = 2;

/**
 * The classes that a head tells apart: those that are wanted, else those of the config (`id2label`, `num_labels`).
 *
 * @param stored the shape of the output layer's weight, [classes, hidden]; undefined: the checkpoint has none
 * @throws ProblemError `model.config` where the config's labels and the output layer contradict each other
 */
export function headLabels(
  read: ConfigReader,
  stored: readonly number[] | undefined,
  wanted: Pick<Task, 'labels' | 'classCount'>,
): HeadLabels {
  const own = configLabels(read) ?? unnamed(stored?.[0] ?? USUAL_COUNT);
  const { labels, classCount = own.length } = wanted;
  const names = labels ?? (own.length === classCount ? own : unnamed(classCount));
  const isOwn = names.length === own.length && names.every((name, at) => name === own[at]);
  return { names, startsAnew: stored === undefined || !isOwn };
}

function configLabels(read: ConfigReader): readonly string[] | undefined {
  const named = read.raw['id2label'];
  if (isJsonObject(named)) {
    const count = Object.keys(named).length;
    return Array.from({ length: count }, (_, at) => {
      const name = named[String(at)];
      if (typeof name === 'string') return name;
      return read.wrong('id2label', l10n.t`a name for each class from 0 to ${count - 1}`);
    });
  }
  return read.has('num_labels') ? unnamed(read.count('num_labels')) : undefined;
}

/** Transformers' names of classes that have none. */
function unnamed(count: number): readonly string[] {
  return Array.from({ length: count }, (_, at) => `LABEL_${at}`);
}
