import * as l10n from '@vscode/l10n';
import { formatCount, formatPercent } from '../src/common/format.js';
import { moduleCount } from '../src/methods/coverage.js';
import type { Coverage } from '../src/training/events.js';
import { coveredKinds } from './coverageKinds.js';
import { make, setShown, setText, tile } from './dom.js';
import { problemParts } from './endView.js';
import { createSharedFactors } from './sharedFactors.js';
import { makeGrid } from './toolkit.js';
import type { Send, View } from './view.js';

/** What the method took hold of: per target entry, in all, and module by module. */
export function createCoverageView(send: Send): View {
  const waiting = make('p', { class: 'muted' }, l10n.t`Coverage is told before the first step.`);
  const warnings = make('div', {});
  const summary = make('dl', { class: 'tiles' });
  const saves = make('p', {});
  const targets = makeGrid(
    l10n.t`Modules matched per target entry`,
    [
      { key: 'entry', title: l10n.t`Target entry` },
      { key: 'matched', title: l10n.t`Modules matched` },
    ],
    '2fr 1fr',
  );
  const kinds = makeGrid(
    l10n.t`Kinds of modules with trainable parameters`,
    [
      { key: 'kind', title: l10n.t`Kind of module` },
      { key: 'layers', title: l10n.t`Layers` },
      { key: 'shapes', title: l10n.t`Shape` },
      { key: 'modules', title: l10n.t`Modules` },
      { key: 'trainable', title: l10n.t`Trainable` },
    ],
    '3fr 2fr 2fr 1fr 1fr',
  );
  const modules = makeGrid(
    l10n.t`Modules with trainable parameters`,
    [
      { key: 'path', title: l10n.t`Module` },
      { key: 'shape', title: l10n.t`Shape` },
      { key: 'trainable', title: l10n.t`Trainable` },
    ],
    '3fr 1fr 1fr',
  );
  const shared = createSharedFactors();
  const body = make(
    'div',
    {},
    warnings,
    summary,
    saves,
    make('h2', {}, l10n.t`Targets`),
    targets.element,
    make('h2', {}, l10n.t`By kind of module`),
    kinds.element,
    shared.element,
    make('h2', {}, l10n.t`Modules`),
    modules.element,
  );
  let drawn: Coverage | undefined;
  return {
    element: make('div', { class: 'tab' }, waiting, body),
    draw({ coverage }) {
      setShown(waiting, coverage === undefined);
      setShown(body, coverage !== undefined);
      if (coverage === drawn || !coverage) {
        drawn = coverage;
        return;
      }
      drawn = coverage;
      warnings.replaceChildren(
        ...coverage.warnings.map((warning) =>
          make(
            'section',
            { class: 'end end-warning', 'aria-label': l10n.t`Warning` },
            ...problemParts(warning, send),
          ),
        ),
      );
      summary.replaceChildren(
        tile(l10n.t`Trainable`, formatCount(coverage.trainable)),
        tile(l10n.t`Of all parameters`, formatCount(coverage.total)),
        tile(l10n.t`Share`, formatPercent(coverage.trainable / coverage.total)),
        tile(l10n.t`Layers`, l10n.t`${coverage.layersCovered} of ${coverage.layers}`),
        tile(l10n.t`Modules`, formatCount(moduleCount(coverage))),
        ...(coverage.classes === undefined ? [] : [tile(l10n.t`Classes`, coverage.classes.join(', '))]),
      );
      setText(saves, l10n.t`Saves: ${coverage.saves}`);
      targets.setRows(
        coverage.targets.map(({ entry, matched }) => ({
          entry,
          matched: matched === 0 ? l10n.t`0: matched nothing` : formatCount(matched),
        })),
      );
      kinds.setRows(
        coveredKinds(coverage).map(({ kind, layers, shapes, modules: count, trainable }) => ({
          kind,
          layers: layers === '' ? l10n.t`beside the layers` : layers,
          shapes,
          modules: count === 0 ? '–' : formatCount(count),
          trainable: formatCount(trainable),
        })),
      );
      shared.draw(coverage);
      modules.setRows(
        coverage.modules.map(({ path, shape, trainable }) => ({
          path,
          shape: shape.join(' × '),
          trainable: formatCount(trainable),
        })),
      );
    },
  };
}
