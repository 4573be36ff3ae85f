import { formatBytes } from '../src/common/format.js';
import { isGoing } from '../src/engines/runState.js';
import { createChart } from './chart.js';
import { make, setShown } from './dom.js';
import { makeGrid } from './toolkit.js';
import type { View } from './view.js';

/** Measured memory over the steps, and the parts that the engine knows by size. */
export function createMemoryView(): View {
  const chart = createChart('Memory of the worker over steps');
  const parts = makeGrid(
    'Parts of the memory',
    [
      { key: 'name', title: 'Part' },
      { key: 'size', title: 'Size' },
    ],
    '2fr 1fr',
  );
  const partsTitle = make('h2', {}, 'Parts known by size');
  const note = make(
    'p',
    { class: 'muted' },
    'Measured in the worker’s process. File-backed pages are mapped weights: the system can drop them under pressure; anonymous pages it cannot.',
  );
  return {
    element: make('div', { class: 'tab' }, chart.element, note, partsTitle, parts.element),
    draw({ memory, started }, state) {
      const x = memory.map(({ step }) => step);
      chart.draw({
        curves:
          memory.length === 0
            ? []
            : [
                { name: 'resident', look: 'main', x, y: memory.map(({ resident }) => resident) },
                { name: 'anonymous', look: 'evaluation', x, y: memory.map(({ anonymous }) => anonymous) },
                { name: 'file-backed', look: 'third', x, y: memory.map(({ fileBacked }) => fileBacked) },
                { name: 'peak', look: 'limit', x, y: memory.map(({ peakResident }) => peakResident) },
              ],
        xName: 'step',
        yName: 'memory of the worker',
        unit: unitFor(Math.max(1, ...memory.slice(-1).map(({ peakResident }) => peakResident))),
        formatY: formatBytes,
        fromZero: true,
        xEnd: isGoing(state) ? started?.totalSteps : undefined,
        empty: 'Nothing measured yet.',
      });
      const known = Object.entries(memory.at(-1)?.parts ?? {}).sort(([, a], [, b]) => b - a);
      setShown(partsTitle, known.length > 0);
      setShown(parts.element, known.length > 0);
      parts.setRows(known.map(([name, bytes]) => ({ name, size: formatBytes(bytes) })));
    },
  };
}

/** The power of 1024 in which the axis' ticks are round. */
function unitFor(bytes: number): number {
  return 1024 ** Math.max(0, Math.floor(Math.log2(bytes) / 10));
}
