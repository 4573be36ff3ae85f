import { stringify } from 'yaml';
import { moduleCount } from '../methods/coverage.js';
import type { Attached } from '../methods/method.js';
import type { TaskType } from '../models/task.js';

/** What a model card tells of an adapter. */
export interface CardFacts {
  /** A hub id, or the absolute path of a folder or file. */
  readonly baseModel: string;
  readonly method: Attached;
  readonly task: TaskType;
  /** Measured on held-out rows, by name. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Optimizer steps taken. */
  readonly steps: number;
}

/** What the hub calls the tasks. */
const PIPELINES: Readonly<Record<TaskType, string>> = {
  CAUSAL_LM: 'text-generation',
  SEQ_2_SEQ_LM: 'text2text-generation',
  SEQ_CLS: 'text-classification',
  MASKED_LM: 'fill-mask',
};

/** What loads the adapters of a method beside PEFT Studio, as the hub calls it; of the others nothing does. */
const LIBRARIES: ReadonlyMap<string, string> = new Map([
  ...['lora', 'adalora', 'dora_rank', 'sora', 'dylora', 'lokr', 'relora', 'cola'].map(byPeft),
  ...['prompt_tuning', 'prefix_tuning', 'ia3'].map(byPeft),
  ['adapter', 'adapter-transformers'],
  ['adapter_fusion', 'adapter-transformers'],
]);

function byPeft(type: string): readonly [string, string] {
  return [type, 'peft'];
}

/**
 * The README.md of an adapter: front matter as Hugging Face's hub reads it, then what was trained and how well it
 * does. A base model that is a path here is named by its last part only: the rest says nothing to others.
 */
export function modelCard({ baseModel, method, task, metrics, steps }: CardFacts): string {
  const id = hubId(baseModel);
  const name = id ?? baseModel.split(/[\\/]/).filter(Boolean).at(-1) ?? baseModel;
  const { modules, layersCovered } = method.coverage;
  const trainable = modules.reduce((sum, module) => sum + module.trainable, 0);
  const library = LIBRARIES.get(method.type);
  const front = {
    ...(id === undefined ? {} : { base_model: id }),
    ...(library === undefined ? {} : { library_name: library }),
    pipeline_tag: PIPELINES[task],
    tags: [...(id === undefined ? [] : [`base_model:adapter:${id}`]), method.type, 'peft-studio'],
  };
  const measured = Object.entries(metrics).map(
    ([key, value]) => `| ${cell(key)} | ${Number(value.toPrecision(6))} |`,
  );
  return [
    `---\n${stringify(front)}---\n`,
    `# ${method.type} adapter for ${inline(name)}\n`,
    '| | |',
    '|---|---|',
    `| method | ${method.type} |`,
    `| base model | ${cell(inline(name))} |`,
    `| trainable parameters | ${trainable.toLocaleString('en-US')} in ${moduleCount(method.coverage)} modules${layersCovered > 0 ? ` of ${layersCovered} layers` : ''} |`,
    `| optimizer steps | ${steps} |\n`,
    ...(measured.length === 0
      ? ['It was not evaluated on held-out rows.\n']
      : ['Measured at the end of the run:\n', '| metric | value |', '|---|---|', ...measured, '']),
  ].join('\n');
}

/** What stands at the end of a card of an adapter that was cut to a lower rank. */
export function cutLine(from: number, rank: number): string {
  return `Cut from rank ${from} to its first ${rank === 1 ? 'component' : `${rank} components`} by \`peft-studio convert\`.`;
}

/** `owner/name`, as it stands or out of a path in the hub's cache (`models--owner--name/snapshots/…`). */
function hubId(model: string): string | undefined {
  const cached = /[\\/]models--([\w.-]+?)--([\w.-]+)[\\/]snapshots[\\/]/.exec(model);
  if (cached !== null) return `${cached[1]}/${cached[2]}`;
  return /^[\w-][\w.-]*\/[\w-][\w.-]*$/.test(model) ? model : undefined;
}

function inline(text: string): string {
  return `\`${text.replaceAll('`', '')}\``;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}
