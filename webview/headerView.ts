import { fileName } from '../src/common/fileName.js';
import { formatBytes, formatCount, formatDuration, formatLoss, formatRate } from '../src/common/format.js';
import { runName } from '../src/config/runName.js';
import { describeState, isGoing, wasStoppedEarly } from '../src/engines/runState.js';
import type { RunState } from '../src/engines/runState.js';
import type { RunAbout } from '../src/host/protocol.js';
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
  const pause = button('Pause', 'secondary', () => send({ type: 'pause' }));
  pause.title = 'Finish the present step, then wait; nothing that the run computes changes by it';
  const goOn = button('Continue', 'primary', () => send({ type: 'continue' }));
  const checkpoint = button('Checkpoint Now', 'secondary', () => send({ type: 'checkpoint' }));
  checkpoint.title = 'Write a checkpoint after the present step, and go on';
  const openFolder = button('Open Folder', 'secondary', () => send({ type: 'openRunFolder' }));
  openFolder.title = 'Show the folder of the run: events, checkpoints, adapter';
  const stop = button('Stop', 'secondary', () => send({ type: 'stop' }));
  const again = button('Train Again', 'primary', () => send({ type: 'train' }));
  const resume = button('Resume', 'secondary', () => send({ type: 'resume' }));
  resume.title = 'Go on from the last checkpoint';
  const openFile = button('Run File', 'secondary', () => send({ type: 'openRunFile' }));
  const showLog = button('Show Log', 'secondary', () => send({ type: 'showLog' }));
  stop.title = 'Finish the present step, write the adapter so far and end';
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
      'aria-label': 'Optimizer steps',
      'aria-valuemin': '0',
      'aria-valuemax': '100',
    },
    bar,
  );
  const tiles = make('dl', { class: 'tiles' });
  const values = new Map<string, HTMLElement>();
  for (const title of [
    'Step',
    'Loss',
    'Held-out loss',
    'Learning rate',
    'Tokens/s',
    'Elapsed',
    'Remaining',
    'Peak memory',
  ]) {
    const value = make('dd', {});
    values.set(title, value);
    tiles.append(make('div', { class: 'tile' }, make('dt', {}, title), value));
  }
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
      setText(spoken, run.kind === 'idle' ? '' : `${runName(run.file)}: ${spokenState(model, run)}`);
      const waits = run.kind === 'paused';
      const works = run.kind === 'running' || run.kind === 'pausing';
      setShown(goOn, canControl && waits);
      setShown(pause, canControl && works);
      setText(pause, run.kind === 'pausing' ? 'Pausing…' : 'Pause');
      setShown(checkpoint, canControl && (works || waits));
      setShown(openFolder, folder !== undefined);
      setShown(stop, canControl && going);
      setText(stop, run.kind === 'stopping' ? 'Stopping…' : 'Stop');
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
            `${started.method} on ${fileName(started.model)} · ${started.engine} engine · seed ${started.seed}`
          : run.kind === 'idle'
            ? 'No run yet. Open a file that ends in .peft.yaml and run “PEFT Studio: Train”.'
            : '',
      );
      subject.title = started?.model ?? '';
      const share = shareOf(model);
      bar.style.width = `${share * 100}%`;
      progress.setAttribute('aria-valuenow', String(Math.round(share * 100)));
      setShown(progress, started !== undefined);
      setText(activity, going ? activityOf(model, run, canControl) : '');
      setShown(tiles, model.steps.length > 0 || started !== undefined);
      for (const [title, text] of tileTexts(model, run)) {
        const value = values.get(title);
        if (value) setText(value, text);
      }
    },
  };
}

function shareOf({ started, steps }: RunModel): number {
  const last = steps.at(-1);
  return started && last && started.totalSteps > 0 ? Math.min(1, last.step / started.totalSteps) : 0;
}

/** The state as it is read out: it changes a few times in a run. */
function spokenState({ paused }: RunModel, run: RunState): string {
  return run.kind === 'paused' && paused ? `paused after step ${paused.step}` : describeState(run);
}

function activityOf(
  { progress, steps, paused, checkpoint }: RunModel,
  run: RunState,
  canControl: boolean,
): string {
  if (run.kind === 'stopping') return 'Finishing the present step, then writing the adapter';
  if (run.kind === 'pausing') return 'Finishing the present step, then waiting';
  if (run.kind === 'paused') {
    const kept = checkpoint && checkpoint.step === paused?.step ? ', which a checkpoint holds' : '';
    return `Paused after step ${formatCount(paused?.step ?? 0)}${kept}. Nothing is computed; the worker keeps its memory.`;
  }
  if (progress) {
    return progress.total > 0 ? `${progress.activity}: ${progress.done} of ${progress.total}` : progress.activity;
  }
  if (steps.length === 0) return 'Starting the worker';
  return canControl ? '' : 'Trained elsewhere: where it was started it can be stopped.';
}

function tileTexts(model: RunModel, run: RunState): readonly (readonly [string, string])[] {
  const last = model.steps.at(-1);
  const heldOut = model.evaluations.filter(({ split }) => split === 'validation').at(-1);
  const elapsed = elapsedSeconds(model, run, Date.now());
  const hasMore = run.kind === 'running' || run.kind === 'pausing' || run.kind === 'paused';
  const remaining = hasMore ? remainingSeconds(model) : undefined;
  const speed = tokensPerSecond(model);
  const peak = run.kind === 'finished' ? run.result.peakMemory : model.memory.at(-1)?.peakResident;
  return [
    ['Step', `${formatCount(last?.step ?? 0)} of ${model.started ? formatCount(model.started.totalSteps) : '–'}`],
    ['Loss', last ? formatLoss(last.loss) : '–'],
    ['Held-out loss', heldOut ? formatLoss(heldOut.loss) : '–'],
    ['Learning rate', last ? formatRate(last.learningRate) : '–'],
    ['Tokens/s', speed === undefined ? '–' : formatCount(speed)],
    ['Elapsed', formatDuration(elapsed)],
    ['Remaining', remaining === undefined ? '–' : formatDuration(remaining)],
    ['Peak memory', peak === undefined ? '–' : formatBytes(peak)],
  ];
}
