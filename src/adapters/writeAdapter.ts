import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { JsonObject } from '../common/json.js';
import type { SavedAdapter, SavedPart } from '../methods/method.js';
import { writeSafetensors } from '../models/writeSafetensors.js';
import { elementCount } from '../models/tensorSpans.js';
import type { Tokenizer } from '../models/tokenizer.js';
import {
  ADAPTER_CONFIG,
  ADAPTER_LABELS,
  ADAPTER_SETUP,
  INDEX_DTYPE,
  LIBRARY_FILES,
  NESTED,
  weightsName,
} from './adapterFiles.js';
import { writeFolderWhole } from '../common/wholeFolder.js';
import { withStoredNumbers } from './storedNumbers.js';

/**
 * Writes an adapter as a folder of Hugging Face PEFT or the `adapters` library: `adapter_config.json`, the weights
 * (`adapter_model.safetensors`, `adapter.safetensors`; float32), the model card and the tokenizer. Whole or not at all. Tensors that share their numbers are each written under
 * their own key, as PEFT expects them.
 *
 * @param extra.card the text of README.md
 * @throws ProblemError `folder.exists`, `folder.no-space`, `safetensors.duplicate`, `safetensors.data-length`
 */
export async function writeAdapter(
  folder: string,
  saved: SavedAdapter,
  extra: {
    readonly tokenizer: Pick<Tokenizer, 'files'>;
    readonly card: string;
    /** Further files of text, by their names. */
    readonly beside?: ReadonlyMap<string, string>;
    /** What becomes of a folder that is there already; default: it stays, and that is an error. */
    readonly existing?: 'refuse' | 'replace';
  },
): Promise<void> {
  const companions = new Map<string, string | Uint8Array>([
    ...(await extra.tokenizer.files()),
    ...(extra.beside ?? []),
    ['README.md', extra.card],
    [ADAPTER_CONFIG, configText({ ...saved, config: withStoredNumbers(saved) })],
    ...(saved.setup === undefined ? [] : [[ADAPTER_SETUP, jsonText(saved.setup)] as const]),
    ...(saved.labels === undefined ? [] : [[ADAPTER_LABELS, labelsText(saved.labels)] as const]),
  ]);
  const { tensors, indices = [], parts = [] } = saved;
  const bytes =
    [tensors, ...parts.map((part) => part.tensors)]
      .flat()
      .reduce((sum, { shape }) => sum + 4 * (elementCount(shape) ?? Infinity), 0) +
    indices.reduce((sum, { data }) => sum + data.byteLength, 0);
  const write = async (content: string): Promise<void> => {
    for (const part of parts) await writePart(content, part);
    if (parts.length === 0 || tensors.length > 0) {
      await writeSafetensors(
        path.join(content, weightsName(saved.library)),
        [
          ...tensors.map((tensor) => ({ ...tensor, dtype: 'F32' as const })),
          ...indices.map((each) => ({ ...each, shape: [each.data.length], dtype: INDEX_DTYPE })),
        ],
        { format: 'pt', ...(saved.nested === true ? NESTED : {}) },
      );
    }
    for (const [name, text] of companions) await writeFile(path.join(content, name), text);
  };
  await writeFolderWhole(folder, bytes, write, extra.existing);
}

/** One folder of the `adapters` library. */
async function writePart(content: string, { folder, name, config, tensors }: SavedPart): Promise<void> {
  const own = path.join(content, folder);
  const files = LIBRARY_FILES[name];
  // A fusion of one adapter is called like it.
  await mkdir(own, { recursive: true });
  await writeFile(path.join(own, files.config), configText({ config, library: 'adapters' }));
  const typed = tensors.map((tensor) => ({ ...tensor, dtype: 'F32' as const }));
  await writeSafetensors(path.join(own, files.weights), typed, { format: 'pt' });
}

function labelsText(labels: readonly string[]): string {
  return jsonText({ labels: [...labels] });
}

function jsonText(value: JsonObject): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

/** Keys in order, as PEFT writes them; but not those of patterns, whose order decides which one counts. */
export function configText({ config, library }: Pick<SavedAdapter, 'config' | 'library'>): string {
  const sorted = Object.entries(config).sort(([a], [b]) => (a < b ? -1 : 1));
  const text = `${JSON.stringify(Object.fromEntries(sorted), undefined, 2)}\n`;
  // The `adapters` library takes no integer for a scaling.
  return library === 'adapters' ? text.replace(/^( *"scaling": -?\d+)(?=,?$)/gm, '$1.0') : text;
}
