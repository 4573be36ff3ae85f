import * as l10n from '@vscode/l10n';
import { formatBytes, formatCount, formatDuration, formatLoss, formatPercent } from '../common/format.js';
import { describeProblem } from '../common/problem.js';
import { momentName } from '../memory/partNames.js';
import type { Finished, Planned, RunEvent, Started } from './events.js';

export type LogLevel = 'trace' | 'debug' | 'info' | 'warning' | 'error';

/** An event as lines of the log, each with its level. */
export function describeEvent(event: RunEvent): readonly { readonly level: LogLevel; readonly text: string }[] {
  switch (event.type) {
    case 'started':
      return [
        info(
          l10n.t`${event.method} on ${event.model}: ${event.totalSteps} steps, seed ${event.seed}, ${engineName(event.engine)}`,
        ),
        info(l10n.t`Run folder: ${event.folder}`),
        ...(event.resumedFrom === undefined ? [] : [info(l10n.t`Goes on after step ${event.resumedFrom}.`)]),
      ];
    case 'coverage':
      return [
        ...event.targets.map(({ entry, matched }) => info(l10n.t`target ${entry}: ${matched} modules`)),
        ...(event.shared ?? []).map(({ name, paths }) => info(l10n.t`shared by ${paths.length} modules: ${name}`)),
        info(
          l10n.t`Trainable: ${formatCount(event.trainable)} of ${formatCount(event.total)} (${formatPercent(event.trainable / event.total)}), ${event.layersCovered} of ${event.layers} layers. ${event.saves}`,
        ),
        ...(event.classes === undefined
          ? []
          : [info(l10n.t`Classes: ${event.classes.map((name, at) => `${at} ${name}`).join(', ')}`)]),
        ...event.warnings.map((problem) => ({ level: 'warning' as const, text: describeProblem(problem) })),
      ];
    case 'data': {
      const { report, split } = event;
      return [
        info(
          report.classes === undefined
            ? l10n.t`${splitName(split)}: ${report.kept} of ${report.rows} rows (${report.format}), ${formatCount(report.supervisedTokens)} supervised of ${formatCount(report.tokens)} tokens; ${report.truncated} truncated, ${report.unsupervised} without label dropped`
            : l10n.t`${splitName(split)}: ${report.kept} of ${report.rows} rows (${report.format}), ${formatCount(report.tokens)} tokens; ${report.truncated} truncated; by class: ${report.classes.map(({ name, rows }) => `${name} ${rows}`).join(', ')}`,
        ),
        ...report.broken.map(({ file, line, reason }) => ({
          level: 'warning' as const,
          text: l10n.t`${file}:${line}: row skipped: ${reason}`,
        })),
        ...(report.brokenCount > report.broken.length
          ? [{ level: 'warning' as const, text: l10n.t`${report.brokenCount} rows skipped in all` }]
          : []),
      ];
    }
    case 'plan':
      return [info(planText(event))];
    case 'sample':
      return [
        {
          level: 'debug',
          text: l10n.t`${splitName(event.split)} line ${event.line}: ${event.spans.map(({ text, supervised }) => (supervised ? `⟦${text}⟧` : text)).join('')}`,
        },
      ];
    case 'step':
      return [
        {
          level: 'debug',
          text: l10n.t`step ${event.step}: loss ${formatLoss(event.loss)}, learning rate ${event.learningRate.toExponential(2)}, gradient norm ${formatLoss(event.gradientNorm)}, ${event.tokens} tokens, ${event.seconds.toFixed(2)} s`,
        },
      ];
    case 'evaluation':
      return [
        info(
          event.macroF1 === undefined
            ? l10n.t`step ${event.step}, ${splitName(event.split)}: loss ${formatLoss(event.loss)}, tokens right ${formatPercent(event.tokenAccuracy)}, rows right ${formatPercent(event.rowAccuracy)} (${event.rows} rows, ${formatDuration(event.seconds)})`
            : l10n.t`step ${event.step}, ${splitName(event.split)}: loss ${formatLoss(event.loss)}, accuracy ${formatPercent(event.rowAccuracy)}, macro F1 ${formatPercent(event.macroF1)} (${event.rows} rows, ${formatDuration(event.seconds)})`,
        ),
      ];
    case 'rank-evaluation':
      return [
        info(
          l10n.t`step ${event.step}, ${splitName('validation')}: loss at rank ${event.ranks.map(({ rank, loss }) => `${rank}: ${formatLoss(loss)}`).join(', ')}`,
        ),
      ];
    case 'generations': {
      const right = event.rows.filter(({ matches }) => matches).length;
      return [info(l10n.t`step ${event.step}: ${right} of ${event.rows.length} answers as expected`)];
    }
    case 'memory':
      return [
        {
          level: 'debug',
          text: l10n.t`memory: ${formatBytes(event.resident)} resident, ${formatBytes(event.anonymous)} anonymous, peak ${formatBytes(event.peakResident)}`,
        },
      ];
    case 'checkpoint':
      return [info(l10n.t`Checkpoint after step ${event.step}: ${event.folder}`)];
    case 'log':
      return [{ level: event.level, text: event.message }];
    case 'progress':
      return [
        {
          level: 'debug',
          text: event.total > 0 ? l10n.t`${event.activity}: ${event.done} of ${event.total}` : event.activity,
        },
      ];
    case 'paused':
      return [info(l10n.t`Paused after step ${event.step}.`)];
    case 'continued':
      return [info(l10n.t`Continued after step ${event.step}, having waited ${formatDuration(event.seconds)}.`)];
    case 'ranks':
    case 'masks':
    case 'attention':
      return [{ level: 'trace', text: l10n.t`step ${event.step}: ${event.type} of ${event.sites.length} sites` }];
    case 'finished':
      return [
        info(
          l10n.t`${endingText(event.reason)} after ${event.steps} steps and ${formatDuration(event.seconds)}, peak memory ${formatBytes(event.peakMemory)}`,
        ),
        ...Object.entries(event.metrics).map(([name, value]) => info(`${name}: ${value}`)),
        info(l10n.t`Written: ${event.adapter}`),
      ];
    case 'failed':
      return [event.problem, ...(event.others ?? [])].map((problem) => ({
        level: 'error' as const,
        text: describeProblem(problem),
      }));
  }
}

function endingText(reason: Finished['reason']): string {
  switch (reason) {
    case 'completed':
      return l10n.t`Finished`;
    case 'early-stopped':
      return l10n.t`Finished early, the metric no longer improved,`;
    case 'stopped':
      return l10n.t`Stopped on request`;
  }
}

/** What trains, in words. */
export function engineName(engine: Started['engine']): string {
  return engine === 'embedded' ? l10n.t`embedded engine` : l10n.t`Hugging Face engine`;
}

function splitName(split: 'train' | 'validation'): string {
  return split === 'train' ? l10n.t`train` : l10n.t`validation`;
}

/** `Memory: 1.4 GiB predicted at the peak (step, 4 × 180 tokens): …`. */
export function planText({ plan, batch }: Planned): string {
  const { total, peak, parts } = plan;
  const mapped = parts.reduce((sum, { bytes, fileBacked }) => sum + (fileBacked === true ? bytes : 0), 0);
  const given =
    mapped === 0 ? '' : l10n.t`; ${formatBytes(mapped)} of it are pages of files, which the system can take back`;
  return l10n.t`Memory: ${formatBytes(total)} predicted at the peak (${momentName(peak)}, ${batch.rows} × ${batch.length + (batch.source ?? 0)} tokens)${given}`;
}

function info(text: string): { readonly level: 'info'; readonly text: string } {
  return { level: 'info', text };
}
