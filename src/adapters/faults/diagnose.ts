import type { JsonObject } from '../../common/json.js';
import { ProblemError } from '../../common/problem.js';
import type { TensorInfo } from '../../models/checkpoint.js';
import { baseFaults } from './baseFaults.js';
import { dtypeFaults } from './dtypeFaults.js';
import type { About, Check, Fault, Form } from './fault.js';
import { magnitudeFaults } from './magnitudeFaults.js';
import { methodFaults } from './methodFaults.js';
import { nameFaults } from './nameFaults.js';
import { rankFaults } from './rankFaults.js';
import { targetFaults } from './targetFaults.js';
import { transposedFaults } from './transposedFaults.js';
import { unmatchedFaults } from './unmatchedFaults.js';
import { keyFaults, valueFaults } from './valueFaults.js';
import { wholeFaults } from './wholeFaults.js';

/** Each reads what those before it have mended: names tell modules, modules their ranks, ranks the targets. */
const CHECKS: readonly Check[] = [
  methodFaults,
  valueFaults,
  keyFaults,
  nameFaults,
  dtypeFaults,
  transposedFaults,
  magnitudeFaults,
  rankFaults,
  wholeFaults,
  targetFaults,
  unmatchedFaults,
  baseFaults,
];

export interface Diagnosis {
  readonly faults: readonly Fault[];
  /** The form after all repairs. */
  readonly mended: Form;
}

/**
 * What is wrong with the form of an adapter that is kept as PEFT keeps it, exactly, and what would mend it. Its numbers are not
 * read. What a method alone can tell of its tensors is not among the faults: `PeftFormat.inspect` has it, of the mended form.
 */
export function diagnose(form: Form, about: About): Diagnosis {
  let mended = form;
  const faults: Fault[] = [];
  for (const check of CHECKS) {
    const found = faultsOf(check, mended, about);
    faults.push(...found);
    for (const { repair } of found) mended = repair?.apply(mended) ?? mended;
  }
  return { faults, mended };
}

/** A config that cannot be read at all is told by whoever reads it. */
function faultsOf(check: Check, form: Form, about: About): readonly Fault[] {
  try {
    return check(form, about);
  } catch (error) {
    if (error instanceof ProblemError) return [];
    throw error;
  }
}

/** The form of an adapter as it lies on disk. */
export function formOf(config: JsonObject, tensors: ReadonlyMap<string, TensorInfo>): Form {
  return {
    config,
    tensors: new Map(
      [...tensors].map(([name, { dtype, shape }]) => [name, { dtype, shape, from: name, transposed: false }]),
    ),
  };
}
