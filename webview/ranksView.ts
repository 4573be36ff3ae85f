import * as l10n from '@vscode/l10n';
import { formatCount, formatLoss, formatTick } from '../src/common/format.js';
import { isGoing } from '../src/engines/runState.js';
import type { RankEvaluation } from '../src/training/events.js';
import { createChart } from './chart.js';
import type { Curve } from './chart.js';
import { make, setShown, tile } from './dom.js';
import { createSiteMap } from './heatMapView.js';
import type { MapQuantity } from './heatMapView.js';
import type { Ask } from './requests.js';
import { createSharedFactors } from './sharedFactors.js';
import { framesWith, toldQuantities, totalOf } from './siteHistory.js';
import type { SiteFrame } from './siteHistory.js';
import type { View } from './view.js';

const quantities = (): readonly MapQuantity[] => [
  {
    key: 'rank',
    title: l10n.t`Rank`,
    about: l10n.t`Rank of the update of each matrix: how many directions it may change in. (SLTrain: without the numbers that train by themselves; GaLore: of each step, in the subspace of the moment.)`,
    format: formatCount,
  },
  {
    key: 'norm',
    title: l10n.t`Norm of ΔW`,
    about: l10n.t`Frobenius norm ‖ΔW‖ of what each module has learned, told at evaluations; of vectors that scale, of l − 1.`,
    format: formatLoss,
    formatShort: (value) => String(Number(value.toPrecision(3))),
  },
  {
    key: 'scale',
    title: l10n.t`Scale`,
    about: l10n.t`Factor s before the update: ΔW = s·B·A, or what a method has in place of B·A.`,
    format: formatTick,
    formatShort: (value) => String(Number(value.toPrecision(3))),
  },
];

/** Rank, norm and scale of every matrix over time, and the budget that ranks are shared out from. */
export function createRanksView(ask: Ask): View {
  const waiting = make('p', { class: 'muted' }, l10n.t`Ranks are told before the first step.`);
  const summary = make('dl', { class: 'tiles' });
  const map = createSiteMap(
    {
      label: l10n.t`Ranks: kinds of modules by layers`,
      quantities: quantities(),
      fileName: 'ranks',
      onChange: () => drawTiles(),
    },
    ask,
  );
  const shared = createSharedFactors();
  const budgetTitle = make('h2', { class: 'rank-sum' }, l10n.t`Sum of all ranks`);
  const chart = createChart(l10n.t`Sum of ranks over steps`);
  const lossTitle = make('h2', { class: 'rank-loss' }, l10n.t`Loss on held-out rows by rank`);
  const lossChart = createChart(l10n.t`Loss on held-out rows over ranks`);
  const body = make(
    'div',
    {},
    summary,
    map.element,
    shared.element,
    budgetTitle,
    chart.element,
    lossTitle,
    lossChart.element,
  );

  function drawTiles(): void {
    const frame = map.frame();
    const vector = frame?.values.rank;
    const ranks = [...(vector ?? [])].filter((rank) => !Number.isNaN(rank));
    setShown(summary, frame !== undefined && ranks.length > 0);
    if (!frame || ranks.length === 0) return;
    const total = totalOf(frame, 'rank');
    summary.replaceChildren(
      tile(l10n.t`After step`, formatCount(frame.step)),
      tile(l10n.t`Sum of ranks`, formatCount(total)),
      tile(l10n.t`Mean rank`, formatTick(total / ranks.length)),
      tile(l10n.t`Lowest to highest`, l10n.t`${Math.min(...ranks)} to ${Math.max(...ranks)}`),
      tile(l10n.t`Matrices at rank 0`, formatCount(ranks.filter((rank) => rank === 0).length)),
      ...(frame.budget === undefined ? [] : [tile(l10n.t`Budget`, formatCount(frame.budget))]),
      ...(frame.target === undefined ? [] : [tile(l10n.t`Budget in the end`, formatCount(frame.target))]),
    );
  }

  return {
    element: make('div', { class: 'tab' }, waiting, body),
    draw({ ranks, rankEvaluations, started, coverage }, state) {
      // A method that learns no matrix of low rank tells norms alone.
      const [first] = toldQuantities(ranks);
      const frames = first === undefined ? [] : framesWith(ranks, first);
      setShown(waiting, frames.length === 0);
      setShown(body, frames.length > 0);
      if (frames.length === 0) return;
      map.draw(ranks);
      drawTiles();
      shared.draw(coverage);
      const last = rankEvaluations.at(-1);
      setShown(lossTitle, last !== undefined);
      setShown(lossChart.element, last !== undefined);
      if (last !== undefined) {
        lossChart.draw({
          curves: lossCurves(rankEvaluations),
          xName: l10n.t`rank`,
          yName: l10n.t`loss`,
          formatY: formatLoss,
          empty: l10n.t`Nothing told yet.`,
        });
      }
      // Where ranks are given there is no curve to see.
      const sums = new Set(frames.map((frame) => totalOf(frame, 'rank')));
      const hasCurve = sums.size > 1 || frames.some(({ budget }) => budget !== undefined);
      setShown(budgetTitle, hasCurve);
      setShown(chart.element, hasCurve);
      if (!hasCurve) return;
      chart.draw({
        curves: budgetCurves(frames),
        xName: l10n.t`step`,
        yName: l10n.t`sum of the ranks of all matrices`,
        formatY: formatCount,
        fromZero: true,
        xEnd: isGoing(state) ? started?.totalSteps : undefined,
        empty: l10n.t`Nothing told yet.`,
      });
    },
  };
}

/** At the last evaluation, and at the first one that told of ranks. */
function lossCurves(told: readonly RankEvaluation[]): Curve[] {
  const [first, last] = [told[0]!, told.at(-1)!];
  const curveOf = ({ step, ranks }: RankEvaluation, look: Curve['look']): Curve => ({
    name: l10n.t`after step ${step}`,
    look,
    x: ranks.map(({ rank }) => rank),
    y: ranks.map(({ loss }) => loss),
    dots: true,
  });
  return [curveOf(last, 'main'), ...(first === last ? [] : [curveOf(first, 'second')])];
}

function budgetCurves(frames: readonly SiteFrame[]): Curve[] {
  const x = frames.map(({ step }) => step);
  return [
    { name: l10n.t`ranks`, look: 'main', x, y: frames.map((frame) => totalOf(frame, 'rank')), dots: true },
    ...(frames.some(({ budget }) => budget !== undefined) ? limits(frames, x) : []),
  ];
}

function limits(frames: readonly SiteFrame[], x: readonly number[]): Curve[] {
  return [
    { name: l10n.t`budget`, look: 'second', x, y: frames.map(({ budget }) => budget ?? NaN) },
    { name: l10n.t`budget in the end`, look: 'limit', x, y: frames.map(({ target }) => target ?? NaN) },
  ];
}
