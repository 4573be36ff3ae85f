/** Beside the indices that FISH Mask found before a run: from how many rows. */
export const FISH_ROWS = '#rows';
