import * as l10n from '@vscode/l10n';
import { HUB_RECORD } from '../../adapters/adapterFiles.js';
import type { Json, JsonObject } from '../../common/json.js';
import { isJsonObject } from '../../common/json.js';
import { fail } from '../../common/problem.js';
import { parseJson } from '../../models/boundedJson.js';
import type { HubRecord } from './record.js';

/** Hundreds of trials of some twenty weights have less than a tenth of it. */
export const MAX_RECORD_BYTES = 16 * 1024 * 1024;

/**
 * A search out of the text of its record.
 * @param file that is named where it is wrong
 * @throws ProblemError `compose.record`, `compose.record.json`
 */
export function readRecord(text: string, file: string): HubRecord {
  const value = parseJson(text, { file, code: 'compose.record' });
  if (isRecord(value)) return value;
  return fail({
    code: 'compose.record',
    message: l10n.t`the file is no record of a search for a mixture`,
    where: { file },
    expected: l10n.t`a ${HUB_RECORD} that peft-studio compose has written`,
  });
}

/** Whether a value is a record: its adapters and trials have weights that belong together. */
export function isRecord(value: Json | undefined): value is JsonObject & HubRecord {
  if (!isJsonObject(value)) return false;
  const { adapters, data, trials, budget, bound, regularization, base } = value;
  return (
    Array.isArray(adapters) &&
    adapters.length > 0 &&
    adapters.every(
      (each) => isJsonObject(each) && typeof each['folder'] === 'string' && isNumber(each['weight']),
    ) &&
    isTexts(data) &&
    Array.isArray(trials) &&
    trials.every((trial) => isTrial(trial, adapters.length)) &&
    [budget, bound, regularization].every(isNumber) &&
    (base === undefined || typeof base === 'string') &&
    isCompared(value['compared'], adapters.length)
  );
}

function isTrial(value: unknown, count: number): boolean {
  if (!isJsonObject(value)) return false;
  const { weights, loss, objective } = value;
  return isNumbers(weights, count) && [loss, objective].every((each) => each === null || isNumber(each));
}

function isCompared(value: Json | undefined, count: number): boolean {
  if (value === undefined) return true;
  if (!isJsonObject(value)) return false;
  const { average, alone } = value;
  return (
    (average === null || isNumber(average)) &&
    Array.isArray(alone) &&
    alone.length === count &&
    alone.every((each) => each === null || isNumber(each))
  );
}

function isNumbers(value: unknown, count: number): boolean {
  return Array.isArray(value) && value.length === count && value.every(isNumber);
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((each) => typeof each === 'string');
}

function isNumber(value: unknown): boolean {
  return typeof value === 'number' && Number.isFinite(value);
}
