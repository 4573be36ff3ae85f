import { copyName } from '../../memory/headerOf.js';
import { usedCount } from '../../memory/modelShape.js';
import type { Block, ModelShape, ShapeModule } from '../../memory/modelShape.js';
import type { Trained } from '../../memory/trained.js';
import type { Matchable } from '../../methods/targets.js';

/** A module of one layer, as methods find it. Of experts the first stands for all. */
export interface ShapeSite extends Matchable {
  readonly module: ShapeModule;
  readonly block: Block | undefined;
}

/** What a method does at some modules; the planner names them by the blocks that they end up in. */
export interface Choice {
  readonly sites: ReadonlySet<ShapeSite>;
  readonly make: (targets: readonly string[]) => Trained;
}

/** Every module of every layer. */
export function sitesOf({ outside, blocks, vocab }: ModelShape): readonly ShapeSite[] {
  return [
    ...outside.map((module) => ({
      module,
      block: undefined,
      kind: module.kind,
      path: module.name,
      layer: undefined,
      isOutput: module.input === 'head' && module.out === vocab,
    })),
    ...blocks.flatMap((block) =>
      Array.from({ length: block.layers }, (_, layer) =>
        block.modules.map((module) => ({
          module,
          block,
          kind: module.kind,
          path: `${block.name}.${layer}.${module.copies > 1 ? copyName(module.name, 0) : module.name}`,
          layer,
          isOutput: false,
        })),
      ).flat(),
    ),
  ];
}

/** Values of a module, of all its copies. */
export function valuesOf({ module }: ShapeSite): number {
  return usedCount(module) * module.copies;
}

/** Sites by what a function says of them. */
export function grouped(
  sites: readonly ShapeSite[],
  keyOf: (site: ShapeSite) => unknown,
): ReadonlyMap<string, readonly ShapeSite[]> {
  const groups = new Map<string, ShapeSite[]>();
  for (const site of sites) {
    const key = JSON.stringify(keyOf(site));
    groups.set(key, [...(groups.get(key) ?? []), site]);
  }
  return groups;
}
