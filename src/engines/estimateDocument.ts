import type { MemoryPart, MemoryPlan } from '../memory/plan.js';
import type { Estimate } from './estimate.js';

/** An estimate as `estimate --json` prints it, in bytes and counts. */
export interface EstimateDocument {
  readonly total: number;
  readonly weights: number;
  readonly activations: number;
  readonly gradients: number;
  readonly optimizer: number;
  readonly other: number;
  readonly trainable: number;
  readonly parameters: number;
  /** Pages of mapped files, which the system can take back; the rest of the total is anonymous. */
  readonly fileBacked: number;
  readonly anonymous: number;
  readonly assumptions: readonly string[];
  readonly parts: readonly MemoryPart[];
  readonly moments: MemoryPlan['moments'];
  readonly converted: number;
  readonly results: Estimate['results'];
  readonly notes: readonly string[];
}

/** What `estimate --json` says of an estimate. */
export function contractOf({ plan, converted, results, notes }: Estimate): EstimateDocument {
  const bytesOf = (wanted: (part: MemoryPart) => boolean): number =>
    plan.parts.filter(wanted).reduce((sum, { bytes }) => sum + bytes, 0);
  const named = (...names: readonly MemoryPart['name'][]): number => bytesOf(({ name }) => names.includes(name));
  const fileBacked = bytesOf((part) => part.fileBacked === true);
  return {
    total: plan.total,
    weights: named('weights'),
    activations: named('activations'),
    gradients: named('gradients'),
    optimizer: named('optimizer'),
    other: plan.total - named('weights', 'activations', 'gradients', 'optimizer'),
    trainable: plan.trainable,
    parameters: plan.parameters,
    fileBacked,
    anonymous: plan.total - fileBacked,
    assumptions: plan.assumptions,
    parts: plan.parts,
    moments: plan.moments,
    converted,
    results,
    notes,
  };
}
