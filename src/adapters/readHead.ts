import { readdir } from 'node:fs/promises';
import path from 'node:path';
import * as l10n from '@vscode/l10n';
import { pathKind } from '../common/files.js';
import type { Json } from '../common/json.js';
import { isJsonObject } from '../common/json.js';
import { fail } from '../common/problem.js';
import { readJsonObject } from '../models/boundedJson.js';
import { LIBRARY_HEAD, MAX_CONFIG_BYTES, weightsMissing } from './adapterFiles.js';

/** A head that the `adapters` library saved beside an adapter. */
export interface LibraryHead {
  readonly weights: string;
  /** The names of its classes, by their number. */
  readonly labels: readonly string[];
}

/**
 * The head beside an adapter of the library, of one of Transformers' own models for classes. Others (the library's
 * flexible heads, of causal models) stay unread: their tensors are no model's that we read.
 * @throws ProblemError `adapter.config.*`, `adapter.labels`, `adapter.pickle`, `adapter.no-weights`
 */
export async function readLibraryHead(folder: string): Promise<LibraryHead | undefined> {
  const file = path.join(folder, LIBRARY_HEAD.config);
  if ((await pathKind(file)) !== 'file') return undefined;
  const config = await readJsonObject(file, { code: 'adapter.config', maxBytes: MAX_CONFIG_BYTES });
  const { model_class: kind, label2id: numbers = null } = config;
  if (typeof kind !== 'string' || !kind.endsWith('ForSequenceClassification')) return undefined;
  const weights = path.join(folder, LIBRARY_HEAD.weights);
  if ((await pathKind(weights)) !== 'file') {
    fail(weightsMissing(folder, await readdir(folder), LIBRARY_HEAD.weights));
  }
  return { weights, labels: byNumber(numbers) ?? failLabels(file) };
}

/** `{ joy: 0, rain: 1 }` → `[joy, rain]` */
function byNumber(numbers: Json): readonly string[] | undefined {
  if (!isJsonObject(numbers)) return undefined;
  const labels = Object.entries(numbers).sort(([, a], [, b]) => Number(a) - Number(b));
  return labels.every(([, number], at) => number === at) ? labels.map(([label]) => label) : undefined;
}

function failLabels(file: string): never {
  return fail({
    code: 'adapter.labels',
    message: l10n.t`the file holds no names of classes`,
    where: { file },
    expected: l10n.t`label2id with a number for each class, from 0 on`,
  });
}
