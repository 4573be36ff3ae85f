import { formatLoss, formatRate, formatTick } from '../src/common/format.js';
import { isGoing } from '../src/engines/runState.js';
import { createChart } from './chart.js';
import type { Curve } from './chart.js';
import { smooth } from './chartMath.js';
import { make } from './dom.js';
import type { RunModel } from './runModel.js';
import { makeDropdown } from './toolkit.js';
import type { View } from './view.js';

/** What the user chose; kept over a reload of the page. */
export interface LossChoice {
  curve: string;
  smoothing: string;
}

const SMOOTHING = [
  { key: '0', title: 'off' },
  { key: '0.6', title: '0.6' },
  { key: '0.9', title: '0.9' },
  { key: '0.98', title: '0.98' },
];

/** The curves over the steps: loss (training and held-out), its extra terms, learning rate, gradient norm. */
export function createLossView(choice: LossChoice, onChoice: () => void): View {
  const chart = createChart('Loss over steps');
  const curveList = makeDropdown('Curve', (value) => {
    choice.curve = value;
    onChoice();
  });
  const smoothingList = makeDropdown('Smoothing', (value) => {
    choice.smoothing = value;
    onChoice();
  });
  smoothingList.setOptions(SMOOTHING, choice.smoothing);
  const element = make(
    'div',
    { class: 'tab' },
    make('div', { class: 'choices' }, curveList.element, smoothingList.element),
    chart.element,
  );
  return {
    element,
    draw(model, state) {
      const terms = Object.keys(model.steps.at(-1)?.terms ?? {});
      const options = [
        { key: 'loss', title: 'Loss' },
        ...terms.map((term) => ({ key: `term:${term}`, title: term })),
        { key: 'learningRate', title: 'Learning rate' },
        { key: 'gradientNorm', title: 'Gradient norm' },
      ];
      const chosen = options.find(({ key }) => key === choice.curve) ?? { key: 'loss', title: 'Loss' };
      curveList.setOptions(options, chosen.key);
      const rate = chosen.key === 'learningRate';
      chart.draw({
        curves: curvesOf(model, chosen.key, rate ? 0 : Number(choice.smoothing)),
        xName: 'step',
        yName: chosen.key === 'loss' ? 'mean cross-entropy per supervised token (nats)' : chosen.title,
        formatY: rate ? formatRate : formatLoss,
        formatTick: rate ? formatRate : formatTick,
        xEnd: isGoing(state) ? model.started?.totalSteps : undefined,
        empty: 'The curve starts with the first optimizer step.',
      });
    },
  };
}

function curvesOf(model: RunModel, key: string, memory: number): Curve[] {
  const x = model.steps.map(({ step }) => step);
  const y = model.steps.map((step) => {
    if (key === 'learningRate') return step.learningRate;
    if (key === 'gradientNorm') return step.gradientNorm;
    return key.startsWith('term:') ? (step.terms?.[key.slice('term:'.length)] ?? NaN) : step.loss;
  });
  const name = key === 'loss' ? 'training' : 'each step';
  const curves: Curve[] =
    memory > 0
      ? [
          { name, look: 'raw', x, y },
          { name: 'smoothed', look: 'main', x, y: smooth(y, memory) },
        ]
      : [{ name, look: 'main', x, y }];
  if (key !== 'loss') return curves;
  for (const split of ['validation', 'train'] as const) {
    const found = model.evaluations.filter((evaluation) => evaluation.split === split);
    if (found.length === 0) continue;
    curves.push({
      name: split === 'validation' ? 'held-out' : 'evaluation on training rows',
      look: split === 'validation' ? 'evaluation' : 'second',
      x: found.map(({ step }) => step),
      y: found.map(({ loss }) => loss),
      dots: true,
    });
  }
  return curves;
}
