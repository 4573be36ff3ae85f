/** Which numbers of a tensor train, and what they have learned; or which weights a learned mask leaves on. */
export interface TensorMask {
  readonly rows: number;
  readonly columns: number;
  /** Places in the tensor as it lies on disk, row-major, rising. */
  readonly indices: Uint32Array;
  /** A mask that was learned: its places are the weights that are on, and has no values. */
  readonly learned?: true;
  /** A mask of a method that keeps no differences (Child-Tuning): it never has values. */
  readonly valueless?: true;
  /** δ at each place; absent where the method keeps no differences, or nothing is written yet. */
  readonly values?: Float32Array;
  /** What the values are of: the run's adapter, or the checkpoint of a step. */
  readonly valuesOf?: 'adapter' | number;
}
