import { topologicalOrder } from '../tensor/order.js';
import type { Outputs, Program, Runtime, WeightFiles } from './runtime.js';

/**
 * A runtime whose programs on `weights` are compiled together, when the first of them runs: they share one mapping of
 * the weights, and memory. When another program is asked for, they are compiled again, with it, before it runs.
 * Programs on other weights, or on none, are compiled at once, each by itself.
 */
export function together(runtime: Runtime, weights: WeightFiles): Runtime {
  const wanted = new Set<Outputs>();
  let compiled = new Map<Outputs, Program>();
  const release = async (): Promise<void> => {
    const programs = [...compiled.values()];
    compiled = new Map();
    for (const program of programs) await program.dispose();
  };
  const programOf = async (outputs: Outputs): Promise<Program> => {
    const known = compiled.get(outputs);
    if (known !== undefined) return known;
    await release();
    const programs = await runtime.compileTogether([...wanted], weights);
    compiled = new Map([...wanted].map((each, index) => [each, programs[index]!]));
    return compiled.get(outputs)!;
  };
  const add = (outputs: Outputs): Program => {
    wanted.add(outputs);
    const leaves = topologicalOrder(Object.values(outputs));
    const mapped = new Set(leaves.flatMap((leaf) => (leaf.kind === 'weight' ? [leaf.name] : [])));
    return {
      reads: new Set(
        leaves.flatMap((leaf) => (leaf.kind === 'input' || leaf.kind === 'variable' ? [leaf.name] : [])),
      ),
      weightBytes: [...mapped].reduce((sum, name) => sum + (weights.tensors.get(name)?.length ?? 0), 0),
      run: async (feeds, into) => (await programOf(outputs)).run(feeds, into),
      dispose: async () => {
        wanted.delete(outputs);
        // The others go on with what is compiled.
        if (wanted.size === 0) await release();
      },
    };
  };
  return {
    name: runtime.name,
    compile: async (outputs, given) => (given === weights ? add(outputs) : runtime.compile(outputs, given)),
    compileTogether: async (programs, given) =>
      given === weights ? programs.map(add) : runtime.compileTogether(programs, given),
  };
}
