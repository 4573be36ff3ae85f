import * as l10n from '@vscode/l10n';
import { isLora, lines, pairsIn } from './lowRankKeys.js';
import type { FormPair } from './lowRankKeys.js';
import { withTensors } from './fault.js';
import type { About, Check, Form } from './fault.js';

/** `adapter.shape`: all of A and B lie with rows and columns exchanged, as some other tools write them. */
export const transposedFaults: Check = (form, about) => {
  if (!isLora(form)) return [];
  const pairs = pairsIn(form);
  const [first] = pairs;
  if (first === undefined || !pairs.every((pair) => isTransposed(pair, form, about))) return [];
  const turned = new Set(pairs.flatMap(({ a, b }) => [a, b]));
  const shape = (key: string): readonly number[] => form.tensors.get(key)!.shape;
  const text = (sizes: readonly number[]): string => `[${sizes.join(', ')}]`;
  return [
    {
      problem: {
        code: 'adapter.shape',
        severity: 'error',
        message: l10n.t`A and B of all ${pairs.length} modules are transposed: of ${first.path} A is ${text(shape(first.a))} and B is ${text(shape(first.b))}`,
        where: { file: about.weightsFile },
        expected: l10n.t`A [r, in] and B [out, r]`,
      },
      differences: lines(
        [...turned].map((key) => `${key}: ${text(shape(key))} → ${text([...shape(key)].reverse())}`),
      ),
      repair: {
        title: l10n.t`exchange rows and columns of ${turned.size} tensors`,
        apply: (broken) =>
          withTensors(broken, (name, tensor) => [
            name,
            turned.has(name)
              ? { ...tensor, shape: [...tensor.shape].reverse(), transposed: !tensor.transposed }
              : tensor,
          ]),
      },
    },
  ];
};

/** Whether a pair makes sense one way only, and that is with both of its matrices turned. */
function isTransposed({ path, a, b }: FormPair, { tensors, config }: Form, { model }: About): boolean {
  const [[a0, a1], [b0, b1]] = [sizes(tensors.get(a)!.shape), sizes(tensors.get(b)!.shape)];
  // As [in, r] and [r, out].
  if (a1 !== b0) return false;
  const site = model?.sites.find((each) => each.path === path);
  if (site !== undefined) {
    const [inside, outside] = site.kind === 'embedding' ? site.shape : [site.shape[1], site.shape[0]];
    const fitsAsIs = a0 === b1 && a1 === inside && b0 === outside;
    return !fitsAsIs && a0 === inside && b1 === outside;
  }
  // Without the base: as they lie they do not multiply, or are of a rank that is no rank of such a matrix.
  return a0 !== b1 || (config['r'] === a1 && a0 > a1);
}

function sizes(shape: readonly number[]): readonly [number, number] {
  return [shape[0] ?? 0, shape[1] ?? 0];
}
