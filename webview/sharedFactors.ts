import * as l10n from '@vscode/l10n';
import type { Coverage } from '../src/training/events.js';
import { sharersOf } from './coverageKinds.js';
import { make, setShown } from './dom.js';

/** Which modules have a factor in common: a list, hidden where none have. */
export interface SharedFactors {
  readonly element: HTMLElement;
  draw(coverage: Coverage | undefined): void;
}

export function createSharedFactors(): SharedFactors {
  const list = make('ul', {});
  const element = make(
    'section',
    {},
    make('h2', {}, l10n.t`Shared factors`),
    make('p', { class: 'muted' }, l10n.t`One copy is trained, saved and used by all of these modules.`),
    list,
  );
  let drawn: Coverage | undefined;
  return {
    element,
    draw(coverage) {
      const shared = coverage?.shared ?? [];
      setShown(element, shared.length > 0);
      if (coverage === drawn) return;
      drawn = coverage;
      list.replaceChildren(...shared.map((factor) => make('li', {}, wordsOf(factor))));
    },
  };
}

function wordsOf({ name, paths }: NonNullable<Coverage['shared']>[number]): string {
  const by = sharersOf(paths).join('; ');
  return paths.length === 1
    ? l10n.t`${name}: of one module, ${by}`
    : l10n.t`${name}: of ${paths.length} modules (layers), ${by}`;
}
