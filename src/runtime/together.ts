import { topologicalOrder } from '../tensor/order.js';
import type { Outputs, Program, Runtime, WeightFiles } from './runtime.js';

export interface JointRuntime extends Runtime {
  /** Compiles what was asked for so far, without a wait for the first run. */
  ready(): Promise<void>;
}

/**
 * A runtime that compiles programs on `weights` together when the first of them runs, so that they share one mapping
 * of the weights, and memory. Those that are asked for later wait likewise for the first of them to run. Programs on
 * other weights, or on none, are compiled at once, each by itself.
 */
export function together(runtime: Runtime, weights: WeightFiles): JointRuntime {
  let waiting = newGroup(runtime, weights);
  const add = (outputs: Outputs): Program => {
    if (waiting.isCompiled()) waiting = newGroup(runtime, weights);
    return waiting.add(outputs);
  };
  return {
    name: runtime.name,
    compile: async (outputs, given) => (given === weights ? add(outputs) : runtime.compile(outputs, given)),
    compileTogether: async (programs, given) =>
      given === weights ? programs.map(add) : runtime.compileTogether(programs, given),
    ready: () => waiting.ready(),
  };
}

interface Group {
  isCompiled(): boolean;
  ready(): Promise<void>;
  add(outputs: Outputs): Program;
}

/** A program that was asked for. Its graph, tens of megabytes, is let go once it is compiled. */
interface Entry {
  outputs?: Outputs;
  program?: Program;
}

function newGroup(runtime: Runtime, weights: WeightFiles): Group {
  const entries = new Set<Entry>();
  let compiling: Promise<void> | undefined;
  const compile = async (): Promise<void> => {
    const wanted = [...entries];
    if (wanted.length === 0) return;
    const programs = await runtime.compileTogether(
      wanted.map(({ outputs }) => outputs!),
      weights,
    );
    wanted.forEach((entry, index) => {
      delete entry.outputs;
      entry.program = programs[index]!;
    });
  };
  const ready = (): Promise<void> => (compiling ??= compile());
  const add = (outputs: Outputs): Program => {
    const entry: Entry = { outputs };
    entries.add(entry);
    return {
      ...leavesOf(outputs, weights),
      async run(feeds, into) {
        await ready();
        return entry.program!.run(feeds, into);
      },
      async dispose() {
        entries.delete(entry);
        await compiling;
        await entry.program?.dispose();
      },
    };
  };
  return { isCompiled: () => compiling !== undefined, ready, add };
}

/** What a program reads and maps. */
function leavesOf(outputs: Outputs, weights: WeightFiles): Pick<Program, 'reads' | 'weightBytes'> {
  const leaves = topologicalOrder(Object.values(outputs));
  const mapped = new Set(leaves.flatMap((leaf) => (leaf.kind === 'weight' ? [leaf.name] : [])));
  return {
    reads: new Set(
      leaves.flatMap((leaf) => (leaf.kind === 'input' || leaf.kind === 'variable' ? [leaf.name] : [])),
    ),
    weightBytes: [...mapped].reduce((sum, name) => sum + (weights.tensors.get(name)?.length ?? 0), 0),
  };
}
