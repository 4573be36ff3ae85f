import * as l10n from '@vscode/l10n';
import { adapterFormat } from '../../methods/registry.js';
import { FLOAT_DTYPES } from '../../models/safetensors.js';
import { lines } from './lowRankKeys.js';
import { withTensors } from './fault.js';
import type { Check } from './fault.js';

/** `adapter.dtype`: tensors that hold no floats, or floats of several types, or of 64 bits. */
export const dtypeFaults: Check = (form, { weightsFile }) => {
  const format = adapterFormat(form.config);
  // Methods that choose numbers keep integers beside them, which `readAdapter` checks.
  if (format === undefined || format.prepared !== undefined || format.differences === 'places') return [];
  const typed = [...form.tensors].map(([name, { dtype }]) => ({ name, dtype }));
  const strange = typed.filter(({ dtype }) => !FLOAT_DTYPES.includes(dtype));
  const [first] = strange;
  if (first !== undefined) {
    return [
      {
        problem: {
          code: 'adapter.dtype',
          severity: 'error',
          message: l10n.t`${strange.length} of ${typed.length} tensors hold no floating-point numbers: ${first.name} has type ${first.dtype}`,
          where: { file: weightsFile },
          expected: l10n.t`one of ${FLOAT_DTYPES.join(', ')}`,
          mend: l10n.t`They were quantized or cast when the file was written, and the file does not say how: export the adapter again.`,
        },
        differences: lines(strange.map(({ name, dtype }) => `${name}: ${dtype} → F32`)),
      },
    ];
  }
  const types = [...new Set(typed.map(({ dtype }) => dtype))].sort();
  if (types.length < 2 && types[0] !== 'F64') return [];
  const others = typed.filter(({ dtype }) => dtype !== 'F32');
  return [
    {
      problem: {
        code: 'adapter.dtype',
        severity: 'warning',
        message: l10n.t`the tensors are of type ${types.join(', ')}`,
        where: { file: weightsFile },
        expected: l10n.t`one type for all, F32 at most`,
      },
      differences: lines(others.map(({ name, dtype }) => `${name}: ${dtype} → F32`)),
      repair: {
        title: types.includes('F64')
          ? l10n.t`write all numbers as F32, which is how they are used (F64 is rounded)`
          : l10n.t`write all numbers as F32, which holds each of them exactly`,
        apply: (broken) => withTensors(broken, (name, tensor) => [name, { ...tensor, dtype: 'F32' }]),
      },
    },
  ];
};
