import { formatCount, formatPercent } from '../src/common/format.js';
import type { Coverage } from '../src/training/events.js';
import { coveredKinds } from './coverageKinds.js';
import { make, setShown, setText, tile } from './dom.js';
import { problemParts } from './endView.js';
import { makeGrid } from './toolkit.js';
import type { Send, View } from './view.js';

/** What the method took hold of: per target entry, in all, and module by module. */
export function createCoverageView(send: Send): View {
  const waiting = make('p', { class: 'muted' }, 'Coverage is told before the first step.');
  const warnings = make('div', {});
  const summary = make('dl', { class: 'tiles' });
  const saves = make('p', {});
  const targets = makeGrid(
    'Modules matched per target entry',
    [
      { key: 'entry', title: 'Target entry' },
      { key: 'matched', title: 'Modules matched' },
    ],
    '2fr 1fr',
  );
  const kinds = makeGrid(
    'Kinds of modules with trainable parameters',
    [
      { key: 'kind', title: 'Kind of module' },
      { key: 'layers', title: 'Layers' },
      { key: 'shapes', title: 'Shape' },
      { key: 'modules', title: 'Modules' },
      { key: 'trainable', title: 'Trainable' },
    ],
    '3fr 2fr 2fr 1fr 1fr',
  );
  const modules = makeGrid(
    'Modules with trainable parameters',
    [
      { key: 'path', title: 'Module' },
      { key: 'shape', title: 'Shape' },
      { key: 'trainable', title: 'Trainable' },
    ],
    '3fr 1fr 1fr',
  );
  const body = make(
    'div',
    {},
    warnings,
    summary,
    saves,
    make('h2', {}, 'Targets'),
    targets.element,
    make('h2', {}, 'By kind of module'),
    kinds.element,
    make('h2', {}, 'Modules'),
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
          make('section', { class: 'end end-warning', 'aria-label': 'Warning' }, ...problemParts(warning, send)),
        ),
      );
      summary.replaceChildren(
        tile('Trainable', formatCount(coverage.trainable)),
        tile('Of all parameters', formatCount(coverage.total)),
        tile('Share', formatPercent(coverage.trainable / coverage.total)),
        tile('Layers', `${coverage.layersCovered} of ${coverage.layers}`),
        tile('Modules', formatCount(coverage.modules.length)),
      );
      setText(saves, `Saves: ${coverage.saves}`);
      targets.setRows(
        coverage.targets.map(({ entry, matched }) => ({
          entry,
          matched: matched === 0 ? '0: matched nothing' : formatCount(matched),
        })),
      );
      kinds.setRows(
        coveredKinds(coverage.modules).map(({ kind, layers, shapes, modules: count, trainable }) => ({
          kind,
          layers: layers === '' ? 'beside the layers' : layers,
          shapes,
          modules: formatCount(count),
          trainable: formatCount(trainable),
        })),
      );
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
