/** What memory is needed for. `state`: averages and masks that a method keeps. */
export type PartName =
  | 'weights'
  | 'adapter'
  | 'gradients'
  | 'optimizer'
  | 'state'
  | 'activations'
  | 'logits'
  | 'workspace'
  | 'dequantization'
  | 'communication'
  | 'runtime'
  | 'copies';

/** A line of the plan. */
export interface MemoryPart {
  readonly name: PartName;
  /** Bytes at the moment of the peak. */
  readonly bytes: number;
  /** How it comes about, in words and numbers, for a hover. */
  readonly formula: string;
  /** Pages of a mapped file, which the system can take back under pressure; others are anonymous. */
  readonly fileBacked?: true;
}

/**
 * When a run needs most. In PyTorch: as a step's backward pass begins (all activations are there, gradients only where
 * earlier passes left them), as it ends (all gradients, the activations of one layer), or as the optimizer steps. In the
 * embedded engine: while methods prepare, as they look at a gradient before its step, in a step (one graph), in an evaluation, and as a larger base is evaluated that
 * the result steers.
 */
export type MomentName =
  | 'backward begins'
  | 'backward ends'
  | 'optimizer steps'
  | 'preparing'
  | 'refresh'
  | 'step'
  | 'evaluation'
  | 'steering';

export interface Moment {
  readonly name: MomentName;
  readonly bytes: number;
  readonly parts: readonly MemoryPart[];
}

export interface MemoryPlan {
  /** Bytes per device at the peak; the parts add up to it. */
  readonly total: number;
  readonly parts: readonly MemoryPart[];
  /** The moment of the peak, and all of them. */
  readonly peak: MomentName;
  readonly moments: readonly Moment[];
  /** Parameters of the base, and values that are trained. */
  readonly parameters: number;
  readonly trainable: number;
  /** Bytes of the values a method's file on disk holds, without its header. */
  readonly adapterFileBytes: number;
  /** What was taken for granted. */
  readonly assumptions: readonly string[];
}
