import * as l10n from '@vscode/l10n';
import path from 'node:path';
import { pathKind, writeFileWhole } from '../common/files.js';
import { fail } from '../common/problem.js';
import { importFile } from '../config/import/importFile.js';
import { importedName } from '../config/import/importedName.js';
import { leftText } from '../config/import/runFileText.js';
import { RUN_FILE_NAME } from '../config/newRunText.js';
import type { Command } from './command.js';
import { DONE } from './exitCode.js';
import { printable } from './styles.js';

export const importCommand: Command = {
  name: 'import',
  summary: 'Make a run file of an adapter_config.json, an Axolotl or a LLaMA-Factory config.',
  positionals: [{ name: 'FILE', help: 'adapter_config.json, or the YAML file that the tool trains with' }],
  options: {
    out: { value: 'FILE', help: 'The run file to write. Default: beside the config, NAME.peft.yaml.' },
    force: { help: 'Overwrite the run file where it exists.' },
  },
  json: '{ "file", "tool", "carried", "left": [{ "key", "line", "value", "kind", "reason" }], "notes" }',
  jsonForm: 'document',
  examples: ['lora.yml', 'runs/a/adapter/adapter_config.json --out again.peft.yaml'],
  async run(args, io) {
    const source = path.resolve(args.positional(0));
    const named = args.text('out');
    const file = named === undefined ? path.join(path.dirname(source), importedName(source)) : path.resolve(named);
    if (!RUN_FILE_NAME.test(file)) {
      fail({
        code: 'cli.run-file-name',
        message: l10n.t`a run file cannot be called "${path.basename(file)}"`,
        expected: l10n.t`NAME.peft.yaml, by which the editor too knows it`,
      });
    }
    const { text, tool, carried, left, notes } = await importFile(source, path.dirname(file));
    if (!args.flag('force') && (await pathKind(file)) !== 'nothing') {
      fail({
        code: 'cli.file-exists',
        message: l10n.t`the file exists already and is left as it is`,
        where: { file },
        mend: l10n.t`Name another file with --out, or overwrite it with --force.`,
      });
    }
    io.interrupt.check();
    await writeFileWhole(file, text);
    if (args.flag('json')) io.json({ file, tool, carried, left, notes });
    else {
      io.line(`Wrote ${file}: ${carried} settings of ${tool}.`);
      for (const note of notes) io.line(printable(note));
      if (left.length > 0) io.line(`Not carried over (${left.length}; in its comments, too):`);
      for (const each of left) io.line(printable(`  ${leftText(each)}`));
    }
    return DONE;
  },
};
