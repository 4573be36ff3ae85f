import * as l10n from '@vscode/l10n';
import type { JsonObject } from '../common/json.js';
import { configReader } from '../models/configReader.js';
import type { ConfigReader } from '../models/configReader.js';
import { bert } from './families/encoders.js';
import { gemma, llama, mistral, mixtral, phi3, qwen2, qwen3 } from './families/gatedDecoders.js';
import { bloom, falcon, gpt2, gptNeoX, opt, phi } from './families/plainDecoders.js';
import { t5 } from './families/t5.js';
import { sum } from './modelShape.js';
import type { ModelShape } from './modelShape.js';

/** How each `model_type` is read. */
const FAMILIES: ReadonlyMap<string, (config: ConfigReader) => ModelShape> = new Map([
  ['llama', llama],
  ['mistral', mistral],
  ['mixtral', mixtral],
  ['qwen2', qwen2],
  ['qwen3', qwen3],
  ['gemma', (config: ConfigReader) => gemma(config, 1)],
  ['gemma2', (config: ConfigReader) => gemma(config, 2)],
  ['gemma3_text', (config: ConfigReader) => gemma(config, 3)],
  ['gemma3', gemma3WithVision],
  ['phi', phi],
  ['phi3', phi3],
  ['gpt2', gpt2],
  ['gpt_neox', gptNeoX],
  ['falcon', falcon],
  ['bloom', bloom],
  ['opt', opt],
  ['bert', (config: ConfigReader) => bert(config, 'bert')],
  ['roberta', (config: ConfigReader) => bert(config, 'roberta')],
  ['t5', (config: ConfigReader) => t5(config, 't5')],
  ['mt5', (config: ConfigReader) => t5(config, 'mt5')],
]);

/** Experts of all layers count one by one: the largest models have some 50,000. A list of all is made, for headers. */
const MAX_MODULES = 500_000;

/** The `model_type`s that can be planned for; more than can be trained. */
export const PLANNED_MODEL_TYPES: readonly string[] = [...FAMILIES.keys()];

/**
 * What a model consists of, out of its `config.json` alone.
 * @param source the file, for messages
 * @throws a problem `model.config` for a value that is missing or makes no sense, `model.unsupported` for a
 * `model_type` that is not among {@link PLANNED_MODEL_TYPES}
 */
export function readModelShape(config: JsonObject, source: string): ModelShape {
  const reader = configReader(config, source);
  const read = FAMILIES.get(reader.text('model_type', ''));
  if (read === undefined) {
    return reader.fail(
      l10n.t`memory cannot be planned for model_type ${JSON.stringify(config['model_type'] ?? null)}`,
      l10n.t`one of ${PLANNED_MODEL_TYPES.join(', ')}`,
      'model.unsupported',
    );
  }
  const shape = read(reader);
  const modules = sum(shape.blocks, (block) => block.layers * sum(block.modules, ({ copies }) => copies));
  if (modules > MAX_MODULES) {
    return reader.fail(l10n.t`the layers have ${modules} modules together`, l10n.t`at most ${MAX_MODULES}`);
  }
  return shape;
}

/** Gemma 3 with its vision tower: the text model is within `text_config`. */
function gemma3WithVision(config: ConfigReader): ModelShape {
  const text = config.object('text_config') ?? config;
  const shape = gemma(text, 3);
  return config.has('vision_config') ? { ...shape, leftOut: [l10n.t`the vision tower and its projector`] } : shape;
}
