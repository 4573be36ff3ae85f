/** How much of an adapter's result a fusion takes at a place. */
export interface AttentionShare {
  /** The place's path. */
  readonly path: string;
  readonly adapter: string;
  /** The task of the rows; empty where rows name none. */
  readonly task: string;
  /** In the mean over their tokens; those of a place and task sum to 1. */
  readonly share: number;
}
