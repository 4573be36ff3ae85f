/** What every page says beside its own. */
export type FromAnyPage =
  | { readonly type: 'ready' }
  /** Something in the page went wrong; the editor logs it. */
  | { readonly type: 'pageError'; readonly message: string };
