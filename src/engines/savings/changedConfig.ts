import type { Json } from '../../common/json.js';
import { parseRunFile } from '../../config/parseRunFile.js';
import type { RunConfig } from '../../config/schema.js';
import { setIn } from '../../config/setIn.js';
import type { ConfigChange } from '../../config/setIn.js';
import { METHODS } from '../../methods/registry.js';

/**
 * The run file with changes, checked as if it had been read; undefined where it is none then. Of a method of another
 * type only the options that it has, too, stay.
 */
export function changedConfig(config: RunConfig, changes: readonly ConfigChange[]): RunConfig | undefined {
  let changed: Json | undefined = JSON.parse(JSON.stringify(config)) as Json;
  for (const { path, value } of changes) {
    if (changed === undefined) return undefined;
    changed = setIn(changed, path, value);
    const [section, index, option] = path;
    if (section === 'method' && option === 'type') {
      const known = METHODS.find(({ type }) => type === value)?.options.properties ?? {};
      const old = config.method[Number(index)] ?? {};
      const kept = Object.entries(old).filter(([key]) => key in known);
      changed = changed && setIn(changed, ['method', Number(index)], { ...Object.fromEntries(kept), type: value });
    }
  }
  return parseRunFile(JSON.stringify(changed), 'changed.peft.json').config;
}
