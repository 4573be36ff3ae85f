import { parameterCount } from '../../memory/modelShape.js';
import type { Block, ModelShape } from '../../memory/modelShape.js';
import { countTrained } from '../../memory/trained.js';
import type { Trained } from '../../memory/trained.js';
import type { MethodConfig } from '../../methods/registry.js';
import { choicesOf } from './choices.js';
import { sitesOf } from './shapeSites.js';
import type { Choice, ShapeSite } from './shapeSites.js';
import { torchNotes } from './torchNotes.js';
import { withoutPlace } from './withoutPlace.js';

/** A run file's methods in the planner's terms. */
export interface PlannedMethods {
  /** The model; layers that the methods treat differently are in blocks of their own. */
  readonly shape: ModelShape;
  readonly methods: readonly Trained[];
  /** Values that train in the course of the run, but rest at any one time. */
  readonly resting: number;
  /** What Hugging Face PEFT does otherwise, or not at all; sentences. */
  readonly notes: readonly string[];
}

/**
 * What the methods of a run file train, on a model of which only `config.json` is known: the same modules, and as many
 * numbers, as attaching them to the model gives.
 * @throws ProblemError `targets.*` where a method matches nothing
 */
export function plannedMethods(shape: ModelShape, configs: readonly MethodConfig[]): PlannedMethods {
  const sites = sitesOf(shape);
  const choices = configs.flatMap((config) => choicesOf(config, shape, sites));
  const split = splitBlocks(shape, sites, choices);
  const methods = [
    ...choices.map(({ sites: chosen, make }) => make([...new Set([...chosen].map(split.pathOf))])),
    ...configs.flatMap((config) => withoutPlace(config, shape)),
  ];
  const layered = configs.some(({ type }) => type === 'lisa');
  return {
    shape: split.shape,
    methods,
    resting: layered ? parameterCount(shape) - countTrained(split.shape, methods).base : 0,
    notes: configs.flatMap(torchNotes),
  };
}

/** Puts layers at whose modules the same choices act into one block. */
function splitBlocks(
  shape: ModelShape,
  sites: readonly ShapeSite[],
  choices: readonly Choice[],
): { readonly shape: ModelShape; readonly pathOf: (site: ShapeSite) => string } {
  const paths = new Map<ShapeSite, string>();
  const blocks = shape.blocks.flatMap((block) => {
    const groups = new Map<string, number[]>();
    const inBlock = sites.filter((site) => site.block === block);
    for (let layer = 0; layer < block.layers; layer++) {
      const own = inBlock.filter((site) => site.layer === layer);
      const key = choices
        .map((choice) => own.map((site) => (choice.sites.has(site) ? '1' : '0')).join(''))
        .join('|');
      groups.set(key, [...(groups.get(key) ?? []), layer]);
    }
    return [...groups.values()].map((layers): Block => {
      const name = groups.size === 1 ? block.name : `${block.name}[${layers.join(',')}]`;
      const chosen = new Set<number | undefined>(layers);
      for (const site of inBlock) {
        if (chosen.has(site.layer)) paths.set(site, `${name}.*.${site.module.name}`);
      }
      return { ...block, name, layers: layers.length };
    });
  });
  return { shape: { ...shape, blocks }, pathOf: (site) => paths.get(site) ?? site.path };
}
