/** One mixture that was tried. */
export interface HubTrial {
  readonly weights: readonly number[];
  /** Mean cross-entropy per supervised token of the examples, in nats. */
  readonly loss: number;
  /** α·mean|w| */
  readonly penalty: number;
  /** loss + penalty: what is made small. */
  readonly objective: number;
}
