import path from 'node:path';
import { nodeAt } from '../config/tree.js';
import type { ConfigPath } from '../config/tree.js';
import { modelIdAt } from '../models/hub/ids.js';
import { TASK_TYPES } from '../models/task.js';
import type { TaskType } from '../models/task.js';
import { modelFacts } from './modelFacts.js';
import type { ModelReading } from './modelFacts.js';
import { cachedModelPlace } from './modelHub.js';
import type { RunDocument } from './runDocument.js';

/** The text of a value, also where an open bracket or quote keeps the file from being YAML for a moment. */
export function writtenText({ parsed: { tree }, text }: RunDocument, at: ConfigPath): string | undefined {
  if (tree !== undefined) {
    const node = nodeAt(tree, at);
    return node?.kind === 'scalar' && typeof node.value === 'string' && node.value !== '' ? node.value : undefined;
  }
  const indent = at.length > 1 ? '[ \\t]+' : '[ \\t]*';
  const line = new RegExp(`^${indent}"?${String(at.at(-1))}"?[ \\t]*:[ \\t]*(['"]?)([^'"#\\n]+)\\1`, 'm').exec(
    text,
  );
  const written = line?.[2]?.trim();
  return written === '' || written?.startsWith('[') ? undefined : written;
}

/**
 * The model that a run file names, from its config and header; ids of the hub as far as they are in the cache. Undefined
 * where there is none on this machine: nothing is asked of the network.
 */
export async function modelOf(document: RunDocument, signal?: AbortSignal): Promise<ModelReading | undefined> {
  const place = await modelPlace(document);
  return place === undefined ? undefined : modelFacts(place, signal, writtenTask(document));
}

/** The task that a run file names; undefined for none, and for one that there is not: the check of values tells. */
export function writtenTask(document: RunDocument): TaskType | undefined {
  const written = writtenText(document, ['task_type']);
  return TASK_TYPES.find((type) => type === written);
}

/** The folder or GGUF file of the model that a run file names, absolute; undefined for one that is not on this machine. */
export async function modelPlace(document: RunDocument): Promise<string | undefined> {
  const source = writtenText(document, ['model']);
  if (source === undefined) return undefined;
  // What the file system refuses to tell is told by the check of paths.
  const id = await modelIdAt(source, document.folder).catch(() => undefined);
  return id === undefined ? path.resolve(document.folder, source) : cachedModelPlace(id);
}
