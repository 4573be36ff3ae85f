import type { Static, TObject } from '@sinclair/typebox';
import type { JsonObject } from '../common/json.js';
import type { Problem } from '../common/problem.js';
import { peftTaskType } from '../models/task.js';
import type { AttachContext } from './method.js';
import { PEFT_PREFIX } from './loraParameters.js';
import { optionsOfOurs, readOptions } from './peftConfig.js';
import type { PeftFormat } from './peftFormat.js';

/** How a method that trains whole tensors of the base keeps its adapters. */
export interface WholeTensorsFormat<Options> extends PeftFormat<Options> {
  /** The `adapter_config.json`: the options, and what they were trained on. */
  config(options: JsonObject, context: AttachContext): JsonObject;
}

/**
 * The format, in PEFT's manner: PEFT itself has no such methods.
 * @param own.ending what the names of its tensors end with
 */
export function wholeTensorsFormat<Options extends TObject>(own: {
  readonly peftType: string;
  readonly schema: Options;
  readonly type: string;
  readonly title: string;
  readonly ending: RegExp;
}): WholeTensorsFormat<Static<Options>> {
  // The head of the task trains along.
  const read = (config: JsonObject, source: string) => optionsOfOurs(config, source, own, ['modules_to_save']);
  return {
    type: own.peftType,
    saysHowMany: true,
    options: read,
    config(options, { model, modelName, modelRevision }) {
      const all: JsonObject = {
        ...options,
        base_model_name_or_path: modelName,
        inference_mode: true,
        peft_type: own.peftType,
        revision: modelRevision ?? null,
        task_type: peftTaskType(model.task),
      };
      const entries = Object.entries(all).filter(([key]) => key !== 'type');
      return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
    },
    inspect(adapter) {
      const problems: Problem[] = [];
      readOptions(read, adapter, problems);
      const names = [...adapter.tensors.keys()];
      const isKnown = (name: string): boolean => own.ending.test(name) || name.startsWith(PEFT_PREFIX);
      return Promise.resolve({
        r: undefined,
        alpha: undefined,
        modules: [],
        whole: names.filter(isKnown),
        unknown: names.filter((name) => !isKnown(name)),
        problems,
      });
    },
  };
}
