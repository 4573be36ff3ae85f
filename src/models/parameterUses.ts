import type { ParameterKind, Site } from './site.js';

/** Where a tensor of the checkpoint is used. */
export interface ParameterUse {
  readonly site: Site;
  readonly kind: ParameterKind;
}

/** The uses of each tensor of the checkpoint that is a parameter of the model, by its name, in the order of the sites. */
export function parameterUses(sites: readonly Site[]): Map<string, ParameterUse[]> {
  const uses = new Map<string, ParameterUse[]>();
  for (const site of sites) {
    for (const kind of ['weight', 'bias'] as const) {
      const name = site[kind];
      if (name !== undefined) uses.set(name, [...(uses.get(name) ?? []), { site, kind }]);
    }
  }
  return uses;
}
