import * as l10n from '@vscode/l10n';
import type { Json, JsonObject } from '../../common/json.js';
import { ProblemError } from '../../common/problem.js';
import { loraConfigFromPeft, moduleNames } from '../../methods/loraConfig.js';
import { takesPair } from '../../methods/lowRankPair.js';
import { matchTargets, matchesAny } from '../../methods/targets.js';
import type { LanguageModel } from '../../models/architecture.js';
import { isInBase, isLora, lines, modulesIn, some } from './lowRankKeys.js';
import { withConfig } from './fault.js';
import type { Check } from './fault.js';

/** `adapter.targets`: the config means other modules than the file holds. */
export const targetFaults: Check = (form, about) => {
  if (!isLora(form)) return [];
  const { configFile, weightsFile, model } = about;
  // What the base does not have, or is half there, is told as that.
  const paths = modulesIn(form).filter((path) => isInBase(path, about));
  const said = selected(form.config, paths, model, configFile);
  if (said === undefined || paths.length === 0) return [];
  const [held, wanted] = [new Set(paths), new Set(said)];
  const extra = paths.filter((path) => !wanted.has(path));
  const missing = said.filter((path) => !held.has(path));
  if (extra.length === 0 && missing.length === 0) return [];
  const { target_modules: found = null } = form.config;
  const targets = targetsFor(paths, model);
  const fault = { code: 'adapter.targets', severity: 'error' as const };
  const differences = lines([...extra.map((path) => `+ ${path}`), ...missing.map((path) => `− ${path}`)]);
  const counts = [
    ...(extra.length > 0
      ? [l10n.t`the config does not name modules that the file has: ${some(extra)} (${extra.length})`]
      : []),
    ...(missing.length > 0
      ? [l10n.t`the file does not have modules that the config names: ${some(missing)} (${missing.length})`]
      : []),
  ].join('; ');
  if (missing.length > 0 && !isEven(paths)) {
    return [
      {
        problem: {
          ...fault,
          message: counts,
          where: { file: weightsFile },
          mend: l10n.t`Some layers have what others lack: the file is incomplete. Export the adapter again.`,
        },
        differences,
      },
    ];
  }
  return [
    {
      problem: {
        ...fault,
        message: counts,
        where: { file: configFile },
        expected: `"target_modules": ${JSON.stringify(targets).slice(0, 500)}`,
        ...(missing.length > 0
          ? { mend: l10n.t`If they were trained, their numbers are lost: export the adapter again.` }
          : {}),
      },
      differences,
      repair: {
        title: l10n.t`set target_modules to the modules that the file holds (it was ${JSON.stringify(found).slice(0, 200)})`,
        apply: (broken) =>
          withConfig(broken, {
            target_modules: targets,
            exclude_modules: undefined,
            layers_to_transform: undefined,
            layers_pattern: undefined,
          }),
      },
    },
  ];
};

/**
 * The modules that the config means: of the base; without it, of those that the file holds.
 * @returns undefined where the config cannot be read, which is told elsewhere
 */
function selected(
  config: JsonObject,
  paths: readonly string[],
  model: LanguageModel | undefined,
  configFile: string,
): readonly string[] | undefined {
  const { target_modules: targets = null } = config;
  if (targets === null) return [];
  try {
    if (model === undefined) {
      if (targets === 'all-linear') return undefined;
      if (!isTargets(targets)) return [];
      return paths.filter((path) => matchesAny(targets, path));
    }
    const { options } = loraConfigFromPeft(config, configFile);
    return matchTargets(options, model.sites, takesPair, 'warning').sites.map((site) => site.path);
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    // Nothing matches, or the layers that it names are none: a config of other modules.
    return error.problem.code.startsWith('targets.n') ? [] : undefined;
  }
}

function isTargets(value: Json): value is string | readonly string[] {
  return (
    typeof value === 'string' || (Array.isArray(value) && value.every((name: Json) => typeof name === 'string'))
  );
}

/** Names that select these modules and no others. */
function targetsFor(paths: readonly string[], model: LanguageModel | undefined): readonly string[] {
  const sites = model?.sites.filter((site) => paths.includes(site.path)) ?? [];
  return model !== undefined && sites.length === paths.length ? moduleNames(sites, model.sites) : [...paths];
}

const LAYER = /\.(\d+)\.(.+)$/;

/** Whether each layer that has modules has the same ones. */
function isEven(paths: readonly string[]): boolean {
  const layers = new Map<string, string[]>();
  for (const path of paths) {
    const [, layer, kind] = LAYER.exec(path) ?? [];
    if (layer !== undefined && kind !== undefined) layers.set(layer, [...(layers.get(layer) ?? []), kind]);
  }
  return new Set([...layers.values()].map((kinds) => kinds.sort().join())).size <= 1;
}
