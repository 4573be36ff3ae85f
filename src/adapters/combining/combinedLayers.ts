import type { CombinedLayer, CombinedModule, CombinedPair, PartOfNumbers } from './combination.js';
import { meanOfKnown } from '../meanOfKnown.js';
import { inOrder, placeOfModule } from '../trainedShares.js';

/** The modules of each layer as one update, in the order of the model, and those of all. */
export function combinedLayers(modules: readonly CombinedModule[]): {
  readonly layers: readonly CombinedLayer[];
  readonly total: CombinedLayer;
} {
  const groups = new Map<string, CombinedModule[]>();
  for (const module of modules) {
    const { layer } = placeOfModule(module.path);
    groups.set(layer, [...(groups.get(layer) ?? []), module]);
  }
  return {
    layers: [...groups].map(([name, group]) => addedUp(name, group[0]!.layer, group)).sort(inOrder),
    total: addedUp('', null, modules),
  };
}

function addedUp(name: string, layer: number | null, modules: readonly CombinedModule[]): CombinedLayer {
  const lengths = (modules[0]?.norms ?? []).map((_, at) => length(modules.map(({ norms }) => norms[at]!)));
  const whole = length(modules.map(wholeNorm));
  const pruned = partOf(modules, 'pruned');
  const outvoted = partOf(modules, 'outvoted');
  return {
    name,
    layer,
    modules: modules.length,
    numbers: modules.reduce((sum, { numbers }) => sum + numbers, 0),
    norms: lengths,
    norm: length(modules.map(({ norm }) => norm)),
    error: whole === 0 ? 0 : length(modules.map((each) => each.error * wholeNorm(each))) / whole,
    pairs: pairsOf(modules, lengths),
    ...(pruned === undefined ? {} : { pruned }),
    ...(outvoted === undefined ? {} : { outvoted }),
  };
}

function pairsOf(modules: readonly CombinedModule[], lengths: readonly number[]): readonly CombinedPair[] {
  const count = lengths.length;
  return lengths.flatMap((_, one) =>
    Array.from({ length: count - one - 1 }, (__, at) => one + 1 + at).flatMap((other): CombinedPair[] => {
      const found = modules.flatMap((module) => {
        const pair = module.pairs.find(({ adapters: [i, j] }) => i === one && j === other);
        return pair === undefined ? [] : [{ module, pair }];
      });
      if (found.length === 0) return [];
      const product = lengths[one]! * lengths[other]!;
      const inner = found.reduce(
        (sum, { module, pair }) => sum + (pair.cosine ?? 0) * module.norms[one]! * module.norms[other]!,
        0,
      );
      const pairs = found.map(({ pair }) => pair);
      return [
        {
          adapters: [one, other],
          cosine: product === 0 ? null : inner / product,
          shared: meanOfKnown(pairs.map(({ shared }) => [shared, 1])),
          sharedByChance: meanOfKnown(pairs.map(({ sharedByChance }) => [sharedByChance, 1])),
          signConflicts: meanOfKnown(found.map(({ module, pair }) => [pair.signConflicts, module.size])),
        },
      ];
    }),
  );
}

/** All updates' numbers together; undefined where nothing is left out. */
function partOf(modules: readonly CombinedModule[], which: 'pruned' | 'outvoted'): PartOfNumbers | undefined {
  const parts = modules.flatMap(({ size, norms, [which]: part }) => {
    return part === undefined ? [] : [{ part, count: size * norms.filter((norm) => norm > 0).length, norms }];
  });
  if (parts.length === 0) return undefined;
  const squaresOf = (norms: readonly number[]): number => norms.reduce((sum, norm) => sum + norm * norm, 0);
  return {
    numbers: meanOfKnown(parts.map(({ part, count }) => [part.numbers, count])) ?? 0,
    squares: meanOfKnown(parts.map(({ part, norms }) => [part.squares, squaresOf(norms)])) ?? 0,
  };
}

/** Before the rank was cut. */
function wholeNorm({ norm, error }: CombinedModule): number {
  return error >= 1 ? norm : norm / Math.sqrt(1 - error * error);
}

function length(norms: readonly number[]): number {
  return Math.sqrt(norms.reduce((sum, norm) => sum + norm * norm, 0));
}
