import * as l10n from '@vscode/l10n';
import type { MomentName, PartName } from './plan.js';

const PART_NAMES: Readonly<Record<PartName, () => string>> = {
  weights: () => l10n.t`weights`,
  adapter: () => l10n.t`adapter`,
  gradients: () => l10n.t`gradients`,
  optimizer: () => l10n.t`optimizer`,
  state: () => l10n.t`state`,
  activations: () => l10n.t`activations`,
  logits: () => l10n.t`logits`,
  workspace: () => l10n.t`workspace`,
  dequantization: () => l10n.t`dequantization`,
  communication: () => l10n.t`communication`,
  runtime: () => l10n.t`runtime`,
  copies: () => l10n.t`copies of results`,
};

const MOMENT_NAMES: Readonly<Record<MomentName, () => string>> = {
  'backward begins': () => l10n.t`backward begins`,
  'backward ends': () => l10n.t`backward ends`,
  'optimizer steps': () => l10n.t`optimizer steps`,
  preparing: () => l10n.t`preparing`,
  refresh: () => l10n.t`new subspaces`,
  step: () => l10n.t`step`,
  evaluation: () => l10n.t`evaluation`,
  steering: () => l10n.t`steering the larger base`,
};

/** A part of a plan as people read it; one that only another version knows, by its own name. */
export function partName(name: PartName): string {
  return nameOf(PART_NAMES, name);
}

/** A moment of a plan as people read it; one that only another version knows, by its own name. */
export function momentName(name: MomentName): string {
  return nameOf(MOMENT_NAMES, name);
}

/** Plans are read out of records, which may be of another version. */
function nameOf(names: Readonly<Record<string, () => string>>, name: string): string {
  return Object.hasOwn(names, name) ? names[name]!() : String(name);
}
