import { entryOf } from '../tree.js';
import type { MapNode } from '../tree.js';
import { AXOLOTL_RULES, axolotlDefaults } from './axolotl.js';
import { LLAMA_FACTORY_RULES, llamaFactoryDefaults } from './llamaFactory.js';
import { PEFT_RULES, peftDefaults } from './peft.js';
import type { Draft, Rules } from './rules.js';

/** A tool whose configs can be carried over. */
export interface Tool {
  readonly name: string;
  readonly rules: Rules;
  /** Writes what the tool does where nothing is written, and we would do otherwise. */
  readonly defaults: (draft: Draft) => void;
  /** A key that only this tool's configs have. */
  readonly mark: string;
}

export const TOOLS: readonly Tool[] = [
  { name: 'Hugging Face PEFT', rules: PEFT_RULES, defaults: peftDefaults, mark: 'peft_type' },
  {
    name: 'LLaMA-Factory',
    rules: LLAMA_FACTORY_RULES,
    defaults: llamaFactoryDefaults,
    mark: 'model_name_or_path',
  },
  { name: 'Axolotl', rules: AXOLOTL_RULES, defaults: axolotlDefaults, mark: 'base_model' },
];

/** The tool that a config is of; undefined where it is none of those known. */
export function detectTool(root: MapNode): Tool | undefined {
  return TOOLS.find(({ mark }) => entryOf(root, mark) !== undefined);
}
