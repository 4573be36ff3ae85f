import path from 'node:path';
import { pathKind, writeFileWhole } from '../common/files.js';
import { fail } from '../common/problem.js';
import { RUN_FILE_NAME, newRunText } from '../config/newRunText.js';
import { usualValue } from '../config/unknownKeys.js';
import { METHODS } from '../methods/registry.js';
import type { MethodType } from '../methods/registry.js';
import type { Command } from './command.js';
import { DONE } from './exitCode.js';
import { shellWord } from '../common/shellWord.js';
import { unknownName } from './unknownName.js';

export const newRunFile: Command = {
  name: 'new',
  summary: 'Write a commented run file with every option at its default.',
  positionals: [{ name: 'FILE', help: 'the run file to write, NAME.peft.yaml' }],
  options: {
    model: {
      value: 'MODEL',
      required: true,
      help: 'The base model: a folder with config.json and safetensors, or a .gguf file.',
    },
    data: {
      value: 'FILE',
      required: true,
      multiple: true,
      help: 'The training data (.jsonl, .json, .csv, .txt).',
    },
    method: { value: 'TYPE', help: 'The fine-tuning method (see peft-studio methods). Default: lora.' },
    force: { help: 'Overwrite FILE where it exists.' },
  },
  json: '{ "file", "model", "data", "method" }, paths absolute',
  jsonForm: 'document',
  examples: [
    'sql.peft.yaml --model models/SmolLM2-135M --data train.jsonl',
    'all.peft.yaml --model m.gguf --data a.csv --data b.csv',
  ],
  async run(args, io) {
    const file = path.resolve(args.positional(0));
    checkName(file);
    const method = methodType(args.text('method') ?? 'lora');
    const [model, data] = [args.required('model'), args.all('data')];
    const folder = path.dirname(file);
    const train = data.map((each) => relativeTo(folder, each));
    const text = await newRunText(file, {
      model: relativeTo(folder, model),
      train: train.length === 1 ? train[0]! : train,
      method,
    });
    if (!args.flag('force') && (await pathKind(file)) !== 'nothing') {
      fail({
        code: 'cli.file-exists',
        message: 'the file exists already and is left as it is',
        where: { file },
        mend: 'Name another file, or overwrite it with --force.',
      });
    }
    io.interrupt.check();
    await writeFileWhole(file, text);
    if (args.flag('json')) {
      io.json({ file, model: path.resolve(model), data: data.map((each) => path.resolve(each)), method });
    } else {
      io.line(`Wrote ${file}. Train it: peft-studio train ${shellWord(args.positional(0))}`);
    }
    return DONE;
  },
};

function checkName(file: string): void {
  if (RUN_FILE_NAME.test(file)) return;
  fail({
    code: 'cli.run-file-name',
    message: `a run file cannot be called "${path.basename(file)}"`,
    expected: 'NAME.peft.yaml, by which the editor too knows it',
  });
}

function methodType(name: string): MethodType {
  const found = METHODS.find(({ type }) => type === name);
  if (found !== undefined) return found.type;
  const names = METHODS.map(({ type }) => type);
  return unknownName('method', name, names, 'peft-studio methods', usualValue('method', name.toLowerCase()));
}

/** A path as a file in `folder` names it; an absolute one stays as it was given. Slashes are the same everywhere. */
function relativeTo(folder: string, target: string): string {
  if (path.isAbsolute(target)) return target;
  return path.relative(folder, path.resolve(target)).split(path.sep).join('/');
}
