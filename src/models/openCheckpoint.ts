import * as l10n from '@vscode/l10n';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { pathKind } from '../common/files.js';
import { fail } from '../common/problem.js';
import type { Checkpoint } from './checkpoint.js';
import { openGgufCheckpoint } from './ggufCheckpoint.js';
import { openSafetensorsFolder } from './safetensorsFolder.js';

/**
 * Opens a model on disk: a Hugging Face folder or a GGUF file, by what is there and not by its name. Reads
 * headers only. Errors: `checkpoint.folder-not-found`, `checkpoint.not-a-model`, and those of the formats.
 */
export async function openCheckpoint(source: string): Promise<Checkpoint> {
  if ((await pathKind(source)) !== 'file') return openSafetensorsFolder(source);
  if (await isGgufFile(source)) return openGgufCheckpoint(source);
  const file = path.resolve(source);
  return fail({
    code: 'checkpoint.not-a-model',
    message: l10n.t`${path.basename(file)} is a file, and not in GGUF format`,
    where: { file },
    expected: l10n.t`a model folder (config.json, model.safetensors) or a .gguf file`,
    mend: file.endsWith('.safetensors')
      ? l10n.t`Name the folder that holds it and config.json: ${path.dirname(file)}`
      : l10n.t`Name the model folder or a GGUF file.`,
  });
}

/** Whether a file claims to be GGUF: by its first four bytes, or by name (its header then says what is wrong). */
export async function isGgufFile(file: string): Promise<boolean> {
  if (file.toLowerCase().endsWith('.gguf')) return true;
  const handle = await open(file, 'r');
  try {
    const { buffer } = await handle.read(Buffer.alloc(4), 0, 4, 0);
    return buffer.toString('latin1') === 'GGUF';
  } finally {
    await handle.close();
  }
}
