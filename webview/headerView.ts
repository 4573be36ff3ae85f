import * as l10n from '@vscode/l10n';
import { fileName } from '../src/common/fileName.js';
import { formatBytes, formatCount, formatDuration, formatLoss, formatRate } from '../src/common/format.js';
import { runName } from '../src/config/runName.js';
import { describeState, isGoing, wasStoppedEarly } from '../src/engines/runState.js';
import type { RunState } from '../src/engines/runState.js';
import type { RunAbout } from '../src/host/protocol.js';
import { engineName } from '../src/training/describeEvent.js';
import { button, make, setShown, setText } from './dom.js';
import { elapsedSeconds, remainingSeconds, tokensPerSecond } from './runModel.js';
import type { RunModel } from './runModel.js';
import type { Send } from './view.js';

/** The head of the page. */
export interface HeaderView {
  readonly element: HTMLElement;
  draw(model: RunModel, about: RunAbout): void;
}

/** What is trained, how far it is, and the buttons. */
export function createHeaderView(send: Send): HeaderView {
  const name = make('h1', {});
  const state = make('span', { class: 'state' });
  const pause = button(l10n.t`Pause`, 'secondary', () => send({ type: 'pause' }));
  pause.title = l10n.t`Finish the present step, then wait; nothing that the run computes changes by it`;
  const goOn = button(l10n.t`Continue`, 'primary', () => send({ type: 'continue' }));
  const checkpoint = button(l10n.t`Checkpoint Now`, 'secondary', () => send({ type: 'checkpoint' }));
  checkpoint.title = l10n.t`Write a checkpoint after the present step, and go on`;
  const openFolder = button(l10n.t`Open Folder`, 'secondary', () => send({ type: 'openRunFolder' }));
  openFolder.title = l10n.t`Show the folder of the run: events, checkpoints, adapter`;
  const stop = button(l10n.t`Stop`, 'secondary', () => send({ type: 'stop' }));
  const again = button(l10n.t`Train Again`, 'primary', () => send({ type: 'train' }));
  const resume = button(l10n.t`Resume`, 'secondary', () => send({ type: 'resume' }));
  resume.title = l10n.t`Go on from the last checkpoint`;
  const openFile = button(l10n.t`Run File`, 'secondary', () => send({ type: 'openRunFile' }));
  const showLog = button(l10n.t`Show Log`, 'secondary', () => send({ type: 'showLog' }));
  stop.title = l10n.t`Finish the present step, write the adapter so far and end`;
  const buttons = [goOn, pause, stop, checkpoint, again, resume, openFile, openFolder, showLog];
  const subject = make('p', { class: 'subject' });
  const activity = make('p', { class: 'activity' });
  // Speaks when the state changes, not at every step.
  const spoken = make('p', { class: 'for-ears', role: 'status' });
  const bar = make('div', { class: 'bar-fill' });
  const progress = make(
    'div',
    {
      class: 'bar',
      role: 'progressbar',
      'aria-label': l10n.t`Optimizer steps`,
      'aria-valuemin': '0',
      'aria-valuemax': '100',
    },
    bar,
  );
  const values = TILES.map(() => make('dd', {}));
  const tiles = make(
    'dl',
    { class: 'tiles' },
    ...TILES.map(({ title }, at) => make('div', { class: 'tile' }, make('dt', {}, title()), values[at] ?? '')),
  );
  const element = make(
    'header',
    {},
    make('div', { class: 'title-row' }, name, state, make('div', { class: 'buttons' }, ...buttons)),
    subject,
    progress,
    activity,
    spoken,
    tiles,
  );

  return {
    element,
    draw(model, { state: run, folder, canControl }) {
      setText(name, run.kind === 'idle' ? 'PEFT Studio' : runName(run.file));
      setText(state, describeState(run));
      state.className = `state state-${wasStoppedEarly(run) ? 'stopped' : run.kind}`;
      const going = isGoing(run);
      const focused = buttons.find((each) => each === document.activeElement);
      setText(spoken, run.kind === 'idle' ? '' : l10n.t`${runName(run.file)}: ${spokenState(model, run)}`);
      const waits = run.kind === 'paused';
      const works = run.kind === 'running' || run.kind === 'pausing';
      setShown(goOn, canControl && waits);
      setShown(pause, canControl && works);
      setText(pause, run.kind === 'pausing' ? l10n.t`Pausing…` : l10n.t`Pause`);
      setShown(checkpoint, canControl && (works || waits));
      setShown(openFolder, folder !== undefined);
      setShown(stop, canControl && going);
      setText(stop, run.kind === 'stopping' ? l10n.t`Stopping…` : l10n.t`Stop`);
      setShown(again, run.kind === 'finished' || run.kind === 'failed');
      const unfinished = run.kind === 'failed' || (run.kind === 'finished' && run.result.reason === 'stopped');
      setShown(resume, unfinished && model.checkpoint !== undefined);
      setShown(openFile, run.kind !== 'idle');
      // Whoever pressed a button that is gone now goes on by keyboard where they were.
      if (focused?.hidden) buttons.find((each) => !each.hidden)?.focus();
      const { started } = model;
      setText(
        subject,
        started
          ? // Its whole path is in the tooltip.
            l10n.t`${started.method} on ${fileName(started.model)} · ${engineName(started.engine)} · seed ${started.seed}`
          : run.kind === 'idle'
            ? l10n.t`No run yet. Open a file that ends in .peft.yaml and run “PEFT Studio: Train”.`
            : '',
      );
      subject.title = started?.model ?? '';
      const share = shareOf(model);
      bar.style.width = `${share * 100}%`;
      progress.setAttribute('aria-valuenow', String(Math.round(share * 100)));
      setShown(progress, started !== undefined);
      setText(activity, going ? activityOf(model, run, canControl) : '');
      setShown(tiles, model.steps.length > 0 || started !== undefined);
      TILES.forEach(({ text }, at) => {
        const value = values[at];
        if (value) setText(value, text(model, run));
      });
    },
  };
}

function shareOf({ started, steps }: RunModel): number {
  const last = steps.at(-1);
  return started && last && started.totalSteps > 0 ? Math.min(1, last.step / started.totalSteps) : 0;
}

/** The state as it is read out: it changes a few times in a run. */
function spokenState({ paused }: RunModel, run: RunState): string {
  return run.kind === 'paused' && paused
    ? l10n.t`paused after step ${formatCount(paused.step)}`
    : describeState(run);
}

function activityOf(
  { progress, steps, paused, checkpoint }: RunModel,
  run: RunState,
  canControl: boolean,
): string {
  if (run.kind === 'stopping') return l10n.t`Finishing the present step, then writing the adapter`;
  if (run.kind === 'pausing') return l10n.t`Finishing the present step, then waiting`;
  if (run.kind === 'paused') {
    const step = formatCount(paused?.step ?? 0);
    return checkpoint && checkpoint.step === paused?.step
      ? l10n.t`Paused after step ${step}, which a checkpoint holds. Nothing is computed; the worker keeps its memory.`
      : l10n.t`Paused after step ${step}. Nothing is computed; the worker keeps its memory.`;
  }
  if (progress) {
    return progress.total > 0
      ? l10n.t`${progress.activity}: ${progress.done} of ${progress.total}`
      : progress.activity;
  }
  if (steps.length === 0) return l10n.t`Starting the worker`;
  return canControl ? '' : l10n.t`Trained elsewhere: where it was started it can be stopped.`;
}

/** A number of the run, under its title. */
interface HeaderTile {
  readonly title: () => string;
  readonly text: (model: RunModel, run: RunState) => string;
}

/** What stands for a number that is not known. */
const NONE = '–';

const TILES: readonly HeaderTile[] = [
  {
    title: () => l10n.t`Step`,
    text({ steps, started }) {
      const step = formatCount(steps.at(-1)?.step ?? 0);
      return l10n.t`${step} of ${started ? formatCount(started.totalSteps) : NONE}`;
    },
  },
  { title: () => l10n.t`Loss`, text: ({ steps }) => shown(steps.at(-1)?.loss, formatLoss) },
  {
    title: () => l10n.t`Held-out loss`,
    text: ({ evaluations }) =>
      shown(evaluations.findLast(({ split }) => split === 'validation')?.loss, formatLoss),
  },
  { title: () => l10n.t`Learning rate`, text: ({ steps }) => shown(steps.at(-1)?.learningRate, formatRate) },
  { title: () => l10n.t`Tokens/s`, text: (model) => shown(tokensPerSecond(model), formatCount) },
  {
    title: () => l10n.t`Elapsed`,
    text: (model, run) => formatDuration(elapsedSeconds(model, run, Date.now())),
  },
  {
    title: () => l10n.t`Remaining`,
    text(model, { kind }) {
      const hasMore = kind === 'running' || kind === 'pausing' || kind === 'paused';
      return shown(hasMore ? remainingSeconds(model) : undefined, formatDuration);
    },
  },
  {
    title: () => l10n.t`Peak memory`,
    text: ({ memory }, run) =>
      shown(run.kind === 'finished' ? run.result.peakMemory : memory.at(-1)?.peakResident, formatBytes),
  },
];

function shown(value: number | undefined, format: (value: number) => string): string {
  return value === undefined ? NONE : format(value);
}
