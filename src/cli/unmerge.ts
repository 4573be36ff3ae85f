import * as l10n from '@vscode/l10n';
import { unmerge as restore } from '../adapters/merging/unmerge.js';
import { formatBytes } from '../common/format.js';
import { modelOnDisk } from '../language/modelHub.js';
import type { Command } from './command.js';
import { DONE } from './exitCode.js';
import { refuseInside } from './refuseInside.js';
import { table } from './table.js';

export const unmerge: Command = {
  name: 'unmerge',
  summary: 'Restore the base of a merged model, bit for bit.',
  positionals: [{ name: 'MERGED', help: 'the folder of a model that `merge` wrote' }],
  options: {
    out: { value: 'DIR', required: true, help: 'The folder to write; it must not exist.' },
    model: {
      value: 'BASE',
      help: 'Where the base model is, if it was moved since. Default: where it was merged from.',
    },
  },
  json: '{ "out", "from", "base", "bytes" }',
  jsonForm: 'document',
  examples: ['merged --out base', 'merged --model models/SmolLM2-135M --out base'],
  async run(args, io) {
    const [named, merged, out] = [args.text('model'), args.positional(0), args.required('out')];
    await refuseInside(out, [merged]);
    const report = await restore({
      merged,
      out,
      findBase: (base) => modelOnDisk(named ?? base, '.'),
      onProgress(done, total) {
        io.interrupt.check();
        io.progress.update({ activity: l10n.t`Restoring the base`, done, total });
      },
    });
    io.progress.end();
    const { from, base, bytes } = report;
    if (args.flag('json')) io.json(report);
    else {
      io.line(
        table([
          ['Base model', report.out],
          ['Weights', formatBytes(bytes)],
          [
            'Restored',
            from === 'kept'
              ? `bit for bit from what the merge kept of ${base}, each tensor checked`
              : `as a copy of ${base}, each file checked against the merge's record`,
          ],
        ]),
      );
    }
    return DONE;
  },
};
