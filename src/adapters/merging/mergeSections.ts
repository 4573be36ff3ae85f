import type { Attached, Values } from '../../methods/method.js';
import { trainedFeeds } from '../../methods/trainedFeeds.js';
import type { LanguageModel } from '../../models/architecture.js';
import { parameterUses } from '../../models/parameterUses.js';
import { parameterShape } from '../../models/site.js';
import type { Site } from '../../models/site.js';
import type { Runtime, Value } from '../../runtime/runtime.js';
import { fixedShape, fixedSize } from '../../tensor/dims.js';
import { cutIntoSections } from '../../tensor/sections.js';
import { logitsGraph } from './logits.js';

/** Weights of a section, as float32: of what a merge needs it is a small part, and few enough sections to compile. */
const SECTION_BYTES = 2 ** 27;
const KINDS = ['weight', 'bias'] as const;

/** The parts in which models of the same modules run, in the order of the forward pass. */
export interface Sections {
  readonly count: number;
  /** Of a module, by its path. */
  readonly of: ReadonlyMap<string, number>;
}

/**
 * Cuts a model's modules into sections by the size of their weights.
 * @param most bytes of a section's weights; a module that has more has a section of its own
 */
export function sectionsOf(sites: readonly Site[], most = SECTION_BYTES): Sections {
  const of = new Map<string, number>();
  let [at, filled] = [0, 0];
  for (const site of sites) {
    const bytes = KINDS.reduce(
      (sum, kind) => sum + (site[kind] === undefined ? 0 : parameterBytes(site, kind)),
      0,
    );
    if (filled > 0 && filled + bytes > most) [at, filled] = [at + 1, 0];
    filled += bytes;
    of.set(site.path, at);
  }
  return { count: at + 1, of };
}

function parameterBytes(site: Site, kind: 'weight' | 'bias'): number {
  return 4 * fixedSize(parameterShape(site, kind));
}

/** The section in which a tensor is read first, by the tensor's name. */
export function tensorSections({ sites }: LanguageModel, { of }: Sections): Map<string, number> {
  return new Map(
    [...parameterUses(sites)].map(([name, uses]) => [
      name,
      Math.min(...uses.map(({ site }) => of.get(site.path)!)),
    ]),
  );
}

/** A model that computes logits section by section, so that only one's weights are in memory. */
export interface SectionedModel {
  /** Runs the next section. @param read gives its weights as float32 */
  run(read: (name: string) => Promise<Float32Array>): Promise<void>;
  /** Once all sections have run: as {@link allLogits} computes them. */
  logits(): Float32Array;
}

/** Sets a model up to compute the logits of rows by sections, with methods on it. */
export function sectionedModel(
  setup: {
    readonly model: LanguageModel;
    readonly methods: readonly Attached[];
    readonly values: Values;
    readonly runtime: Runtime;
    readonly rows: readonly (readonly number[])[];
  },
  sections: Sections,
): SectionedModel {
  const { logits, feeds } = logitsGraph(setup);
  const sectionOf = tensorSections(setup.model, sections);
  const parts = cutIntoSections({ logits }, sections.count, (name) => sectionOf.get(name)!);
  let done = 0;
  const results = new Map<string, Value>();
  return {
    async run(read) {
      const { outputs, weights } = parts[done++]!;
      if (Object.keys(outputs).length === 0) return;
      const program = await setup.runtime.compile(outputs);
      try {
        const fed: Record<string, Value> = {};
        for (const [name, own] of weights) {
          fed[own.name] = { dtype: 'float32', shape: fixedShape(own.shape), data: await read(name) };
        }
        const trained = trainedFeeds(setup.methods, setup.values, program.reads);
        const found = await program.run({ ...feeds, ...Object.fromEntries(results), ...trained, ...fed });
        for (const [name, value] of Object.entries(found)) results.set(name, value);
      } finally {
        await program.dispose();
      }
      const later = new Set(parts.slice(done).flatMap(({ reads }) => [...reads]));
      for (const name of results.keys()) if (name !== 'logits' && !later.has(name)) results.delete(name);
    },
    logits() {
      const found = results.get('logits');
      if (found === undefined || !(found.data instanceof Float32Array))
        throw new Error('not all sections have run');
      return found.data;
    },
  };
}
