import type { DType, Tensor, TypedData } from '../tensor/tensor.js';

/** Numbers with their shape, outside of any graph. */
export interface Value {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: TypedData;
}

/** What a graph computes, by the name under which it is returned. */
export type Outputs = Readonly<Record<string, Tensor>>;

/** A compiled graph: compiled once, run many times. */
export interface Program {
  /** Names of the inputs and variables that it reads. */
  readonly reads: ReadonlySet<string>;
  /** Bytes of the weights that it maps. */
  readonly weightBytes: number;
  /**
   * Runs the graph.
   * @param feeds a value for every name in `reads`
   * @param into buffers that receive outputs by name; other outputs are allocated by the runtime
   */
  run(
    feeds: Readonly<Record<string, Value>>,
    into?: Readonly<Record<string, Value>>,
  ): Promise<Record<string, Value>>;
  dispose(): Promise<void>;
}

export interface RuntimeOptions {
  /** Threads for one op; default: one per core. */
  readonly threads?: number;
  /** For measurements: each program leaves a trace of its nodes in a file whose path starts so. */
  readonly traces?: string;
}

/** Float32 values of frozen weights in files of one folder, as `models/checkpoint.ts` maps them. */
export interface WeightFiles {
  readonly folder: string;
  readonly tensors: ReadonlyMap<
    string,
    { readonly file: string; readonly offset: number; readonly length: number }
  >;
}

/** Compiles graphs and runs them. */
export interface Runtime {
  readonly name: string;
  compile(outputs: Outputs, weights?: WeightFiles): Promise<Program>;
  /** Programs that share one mapping of the weights, and memory for what they compute; one runs at a time. */
  compileTogether(programs: readonly Outputs[], weights: WeightFiles): Promise<Program[]>;
}
