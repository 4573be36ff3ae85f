import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import { parameterShape } from '../models/site.js';
import type { Hooks, ParameterKind, Phase, Site, SiteParameters } from '../models/site.js';
import { input } from '../tensor/tensor.js';
import type { Tensor } from '../tensor/tensor.js';
import type { AttachContext, Attached } from './method.js';

const KINDS: readonly ParameterKind[] = ['weight', 'bias'];
const PHASE: Phase = { dropoutSeed: undefined };

/**
 * Refuses a method that would undo what one before it learns, or be undone by it: of two that act on a module, one puts a
 * parameter of its own in the place of the model's. (Updates that are added, and factors, act on what is there and combine.)
 * And one that measures a weight, behind one that changes what the module reads or gives: merged, it would measure that too.
 *
 * @throws ProblemError `methods.same-module`, `methods.order`
 */
export function refuseConflicts(method: Attached, { model, before = [] }: AttachContext): void {
  for (const other of before) {
    const site = model.sites.find(
      (each) =>
        (replaces(method.hooks, each) && actsOn(other.hooks, each)) ||
        (replaces(other.hooks, each) && actsOn(method.hooks, each)),
    );
    const measured = model.sites.find((each) => readsWeight(method.hooks, each) && actsOn(other.hooks, each, []));
    if (measured !== undefined) {
      fail({
        code: 'methods.order',
        message: l10n.t`${method.type} measures the weight of ${measured.path}, on which ${other.type} before it acts: merged, it would measure what that learned along`,
        mend: l10n.t`List ${method.type} first, or take the module out of one of them.`,
      });
    }
    if (site === undefined) continue;
    fail({
      code: 'methods.same-module',
      message: l10n.t`${other.type} and ${method.type} both act on ${site.path}, and one of them trains it whole: what the other learns there would be lost`,
      expected: l10n.t`modules that one of the methods leaves alone`,
      mend: l10n.t`Take it out of target_modules or modules_to_save of one of them.`,
    });
  }
}

/** Whether a method puts another tensor in the place of a parameter, made of it or not. */
export function rewrites({ parameter }: Hooks, site: Site, kind: ParameterKind): boolean {
  return parametersOf(site).some(
    ([own, base]) => own === kind && (parameter?.(site, kind, base, PHASE) ?? base) !== base,
  );
}

/** Whether a method's parameter stands in the place of the site's own, and not on it. */
function replaces({ parameter }: Hooks, site: Site): boolean {
  return parametersOf(site).some(([kind, base]) => {
    const result = parameter?.(site, kind, base, PHASE) ?? base;
    return !reads(result, base);
  });
}

/**
 * Whether a method changes what a site computes.
 * @param kinds the parameters that are looked at, beside what hooks make of what the site reads and gives
 */
export function actsOn(
  { parameter, input: inputHook, output }: Hooks,
  site: Site,
  kinds: readonly ParameterKind[] = KINDS,
): boolean {
  const changes = parametersOf(site).some(
    ([kind, base]) => kinds.includes(kind) && (parameter?.(site, kind, base, PHASE) ?? base) !== base,
  );
  if (changes) return true;
  const [x, y] = tensorsOf(site);
  return (inputHook?.(site, x, PHASE) ?? x) !== x || (output?.(site, x, y, PHASE, usedBy(site)) ?? y) !== y;
}

/** Whether a method makes a site's result of its weight, beside what that gives. */
function readsWeight({ output }: Hooks, site: Site): boolean {
  const [x, y] = tensorsOf(site);
  const own = usedBy(site);
  return reads(output?.(site, x, y, PHASE, own) ?? y, own.weight);
}

function usedBy(site: Site): SiteParameters {
  const { weight, bias } = Object.fromEntries(parametersOf({ ...site, weight: site.weight ?? site.path }));
  return { weight: weight!, bias };
}

function parametersOf(site: Site): (readonly [ParameterKind, Tensor])[] {
  return KINDS.filter((kind) => site[kind] !== undefined).map(
    (kind) => [kind, input(`${site.path}.${kind}`, 'float32', parameterShape(site, kind))] as const,
  );
}

/** What a site reads and gives, of one token. */
function tensorsOf({ kind, path, shape }: Site): readonly [x: Tensor, y: Tensor] {
  const tensor = (name: string, width: number): Tensor => input(`${path}.${name}`, 'float32', [1, 1, width]);
  switch (kind) {
    case 'embedding':
      return [input(`${path}.ids`, 'int32', [1, 1]), tensor('y', shape[1]!)];
    case 'linear':
      return [tensor('x', shape[1]!), tensor('y', shape[0]!)];
    case 'norm':
      return [tensor('x', shape[0]!), tensor('y', shape[0]!)];
  }
}

/** Whether a tensor is made of another. */
function reads(tensor: Tensor, base: Tensor): boolean {
  return tensor === base || (tensor.kind === 'applied' && tensor.inputs.some((each) => reads(each, base)));
}
