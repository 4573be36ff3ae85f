import { cp, mkdir, open, readdir } from 'node:fs/promises';
import path from 'node:path';
import { pathKind } from '../common/files.js';
import { writeFolderWhole } from '../common/wholeFolder.js';

/** A run file that comes with PEFT Studio. */
export interface RunExample {
  /** Its place in the gallery, as in `adalora/adalora.peft.yaml`. */
  readonly file: string;
  readonly name: string;
  /** The first line of its comment on top. */
  readonly description: string;
}

/** The gallery's folders, the one to begin with first. Each has one run file of its name, and its data. */
export const EXAMPLES = ['quickstart', 'adalora', 'fish-mask', 'prompt-tuning'] as const;

/** The model that they train, in the gallery. */
const MODEL = path.join('base-model', 'peft-studio-tiny');

/** The name of the folder that a copy of the gallery gets. */
export const COPY_NAME = 'peft-studio-examples';

/** Sources and results of whoever works on PEFT Studio stay where they are. */
const COPIED = /\.(yaml|jsonl)$/;

/** As much of a run file as its comment on top is looked for in. */
const HEAD_BYTES = 2048;

/** More than the copy takes on disk. */
const COPY_BYTES = 16 * 2 ** 20;

/**
 * The examples in a gallery.
 * @param gallery the folder `examples` of PEFT Studio
 */
export async function listExamples(gallery: string): Promise<readonly RunExample[]> {
  return Promise.all(
    EXAMPLES.map(async (name) => {
      const file = path.join(name, `${name}.peft.yaml`);
      return { name, file, description: topComment(await head(path.join(gallery, file))) };
    }),
  );
}

/**
 * Copies the gallery with its model into `place`, as a whole or not at all. A copy that is there already stays as it
 * is, with what was made of it.
 * @returns the copy's folder
 * @throws ProblemError `folder.no-parent`, `folder.no-space`
 */
export async function copyExamples(gallery: string, place: string): Promise<string> {
  const target = path.join(place, COPY_NAME);
  if ((await pathKind(path.join(target, MODEL))) === 'folder') return target;
  await writeFolderWhole(target, COPY_BYTES, async (content) => {
    await cp(path.join(gallery, MODEL), path.join(content, MODEL), { recursive: true });
    for (const name of EXAMPLES) {
      await mkdir(path.join(content, name));
      const files = (await readdir(path.join(gallery, name))).filter((file) => COPIED.test(file));
      for (const file of files) await cp(path.join(gallery, name, file), path.join(content, name, file));
    }
  });
  return target;
}

async function head(file: string): Promise<string> {
  const handle = await open(file);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await handle.close();
  }
}

/** The comment that a file begins with, its first line. */
function topComment(text: string): string {
  return /^# *(.*)/.exec(text)?.[1]?.trim() ?? '';
}
