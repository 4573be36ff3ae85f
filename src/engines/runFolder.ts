import { appendFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { stringify } from 'yaml';
import { writeFileWhole } from '../common/files.js';
import { fail } from '../common/problem.js';
import type { ResolvedRunConfig } from '../config/loadRunFile.js';
import type { RunEvent } from '../training/events.js';

/** Where a run writes: `<dir>/<name>/<time>/`. */
export interface RunFolder {
  readonly path: string;
  /** Appends to `events.jsonl`, so that any past run can be reopened. */
  record(event: RunEvent): void;
}

/** Makes the folder of a new run and writes the resolved config into it. */
export async function createRunFolder(config: ResolvedRunConfig, now: Date): Promise<RunFolder> {
  const parent = path.join(config.output.dir, config.output.name);
  const folder = await newFolder(parent, now.toISOString().slice(0, 19).replace(/:/g, '-'));
  await writeFileWhole(path.join(folder, 'run.peft.yaml'), stringify(config));
  const events = path.join(folder, 'events.jsonl');
  return { path: folder, record: (event) => appendFileSync(events, `${JSON.stringify(event)}\n`) };
}

/** Two runs of one second get names of their own. */
async function newFolder(parent: string, name: string): Promise<string> {
  try {
    await mkdir(parent, { recursive: true });
    for (let attempt = 1; ; attempt++) {
      const folder = path.join(parent, attempt === 1 ? name : `${name}-${attempt}`);
      try {
        await mkdir(folder);
        return folder;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
    }
  } catch (error) {
    return fail(
      {
        code: 'config.output',
        message: `the folder for results cannot be made: ${(error as Error).message}`,
        where: { file: parent },
        mend: 'Set output.dir to a folder that you may write to.',
      },
      error,
    );
  }
}
