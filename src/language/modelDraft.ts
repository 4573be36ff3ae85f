import { Value } from '@sinclair/typebox/value';
import type { Problem } from '../common/problem.js';
import { checkProperties } from '../config/check.js';
import { RunFile } from '../config/schema.js';
import type { MethodConfig, RunConfig } from '../config/schema.js';
import type { RunDocument } from './runDocument.js';

/** The sections of a run file that are right each for itself, defaults filled in; the others are absent. */
export interface SoundSections {
  readonly engine?: RunConfig['engine'];
  readonly data?: RunConfig['data'];
  readonly method?: readonly MethodConfig[];
  readonly training?: RunConfig['training'];
}

/** What can be checked against model and data, also while another section is wrong. */
export function soundSections({ parsed: { config, tree } }: RunDocument): SoundSections {
  if (config !== undefined) return config;
  if (tree === undefined) return {};
  const problems: Problem[] = [];
  const checking = { path: [], section: '', holder: tree.at, top: RunFile, problems };
  const { values } = checkProperties(RunFile, tree, checking);
  const { engine, data, method, training } = RunFile.properties;
  return {
    ...(Value.Check(engine, values['engine']) ? { engine: values['engine'] } : {}),
    ...(Value.Check(data, values['data']) ? { data: values['data'] } : {}),
    ...(Value.Check(training, values['training']) ? { training: values['training'] } : {}),
    ...(Value.Check(method, values['method'])
      ? { method: Array.isArray(values['method']) ? values['method'] : [values['method']] }
      : {}),
  };
}
