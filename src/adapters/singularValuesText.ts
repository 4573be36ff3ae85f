import { formatLoss, formatPercent } from '../common/format.js';
import type { Spectrum } from '../methods/spectrum.js';

/** Singular values that fit a column. */
const SHOWN = 3;

/** `0.41 0.12 0.08 (93.1 %)`: the largest singular values, and their share of ‖ΔW‖²; numbers only, for any language. */
export function singularValuesText({ singularValues, energy }: Spectrum): string {
  if (singularValues === undefined || singularValues.length === 0) return '?';
  const shown = singularValues.slice(0, SHOWN);
  const share = energy?.[shown.length - 1] ?? NaN;
  const values = shown.map((value) => (typeof value === 'number' ? formatLoss(value) : '?'));
  return `${values.join(' ')} (${formatPercent(share)})`;
}
