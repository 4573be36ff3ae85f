import * as l10n from '@vscode/l10n';
import path from 'node:path';
import * as vscode from 'vscode';
import { fail } from '../common/problem.js';
import { isJsonObject } from '../common/json.js';
import type { Problem } from '../common/problem.js';
import type { FoundRun, Liveness } from '../engines/findRuns.js';
import { maskOf } from '../engines/maskOf.js';
import type { MaskReport } from '../engines/masks/maskReport.js';
import { packEvents } from '../engines/packEvents.js';
import { openPastRun } from '../engines/pastRun.js';
import type { Jobs } from './job.js';
import type { Panel } from './panel.js';
import type { PanelHandlers } from './panelRequests.js';
import { saveFile } from './saveFile.js';

/** The runs of the workspace. */
export type KnownRuns = () => Promise<readonly FoundRun[]>;

/** As many runs as anybody picks from. */
const MOST_RUNS = 500;

/** What the page of a panel may ask: for each request of the protocol, who answers it. */
export function createPanelHandlers({
  panel,
  isAlive,
  knownRuns,
  jobs,
}: {
  /** The one that asks. */
  readonly panel: Panel;
  readonly isAlive: Liveness;
  readonly knownRuns: KnownRuns;
  readonly jobs: Jobs;
}): PanelHandlers {
  async function compared(own: string, other: string, signal: AbortSignal): Promise<MaskReport> {
    let failure: Problem | undefined;
    const report = await jobs.run({
      title: l10n.t`Comparing masks`,
      args: ['masks', own, other],
      signal,
      onFailure: (problem) => (failure = problem),
    });
    if (failure !== undefined) return fail(failure);
    return isReport(report) ? report : fail(cancelled());
  }

  return {
    async listRuns() {
      const others = (await knownRuns()).filter(({ folder }) => folder !== panel.folder());
      return [...others]
        .sort((one, other) => other.modified - one.modified)
        .slice(0, MOST_RUNS)
        .map((run) => ({ folder: run.folder, name: nameOf(run), method: run.method, modified: run.modified }));
    },
    async runEvents({ folder }) {
      const found = (await knownRuns()).find((run) => run.folder === folder);
      if (found === undefined) {
        return fail({
          code: 'panel.unknown-run',
          message: l10n.t`the run is no longer in the workspace`,
          where: { file: folder },
          mend: l10n.t`Choose another one; “Refresh Adapters” looks for runs again.`,
        });
      }
      const run = await openPastRun(folder, isAlive);
      return { name: nameOf(found), state: run.state(), events: packEvents(run.events()) };
    },
    maskOf({ path: site, shape }) {
      const folder = panel.folder();
      return folder === undefined ? fail(noFolder()) : maskOf(folder, site, shape);
    },
    async compareMasks({ folder: named }, signal) {
      const own = panel.folder() ?? fail(noFolder());
      const other = named ?? (await askForMask());
      return other === undefined ? {} : { report: await compared(own, other, signal) };
    },
    saveFile: async (file) => saveFile(file, panel.folder()),
    async copyText({ text }) {
      await vscode.env.clipboard.writeText(text);
      return {};
    },
  };
}

const noFolder = (): Problem => ({
  code: 'panel.no-folder',
  message: l10n.t`the run has no folder yet`,
  mend: l10n.t`Wait until it has begun.`,
});

const cancelled = (): Problem => ({
  code: 'panel.masks-cancelled',
  message: l10n.t`the comparison was ended before it was done`,
  mend: l10n.t`Choose the mask again.`,
});

/** The command line is our own program: a part is enough to know its document. */
function isReport(value: unknown): value is MaskReport {
  return isJsonObject(value) && Array.isArray(value['masks']) && Array.isArray(value['pairs']);
}

async function askForMask(): Promise<string | undefined> {
  const [chosen] =
    (await vscode.window.showOpenDialog({
      title: l10n.t`Mask to compare with: the folder of an adapter or a run`,
      openLabel: l10n.t`Compare`,
      canSelectFiles: false,
      canSelectFolders: true,
    })) ?? [];
  return chosen?.fsPath;
}

/** Runs of one file are told apart by their folder, which is named after the time. */
function nameOf({ name, folder }: FoundRun): string {
  return `${name}, ${path.basename(folder)}`;
}
