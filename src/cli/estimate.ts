import { contractOf } from '../engines/estimate.js';
import { estimateRows } from '../engines/estimateText.js';
import { estimateFile } from '../language/estimateFile.js';
import type { Command } from './command.js';
import { DONE } from './exitCode.js';
import { openRunFile } from './runFile.js';
import { table } from './table.js';

export const estimate: Command = {
  name: 'estimate',
  summary: 'Tell what a run trains and needs, from the headers alone.',
  positionals: [{ name: 'FILE', help: 'a run file' }],
  options: {},
  json: '{ "total", "weights", "activations", "gradients", "optimizer", "other", "trainable", "parameters", "fileBacked", "anonymous", "assumptions", "parts": [{ "name", "bytes", "formula", "fileBacked" }], "moments": [{ "name", "bytes", "parts" }], "converted", "results": [{ "method", "what", "bytes" }], "notes" }; bytes',
  jsonForm: 'document',
  examples: ['sql.peft.yaml', 'sql.peft.yaml --json'],
  async run(args, io) {
    const run = await openRunFile(args.positional(0), io);
    const found = contractOf(await estimateFile(run));
    io.interrupt.check();
    if (args.flag('json')) {
      io.json(found);
      return DONE;
    }
    io.line(table(estimateRows(found)));
    for (const note of [...found.assumptions, ...found.notes]) io.line(note);
    return DONE;
  },
};
