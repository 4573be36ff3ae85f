import { METHODS } from '../methods/registry.js';
import type { Command } from './command.js';
import { DONE } from './exitCode.js';
import { table } from './table.js';

export const methods: Command = {
  name: 'methods',
  summary: 'List the fine-tuning methods.',
  positionals: [],
  options: {},
  json: '[{ "type", "family", "title", "paper", "engines", "mergeable" }]',
  jsonForm: 'document',
  examples: ['', '--json'],
  async run(args, io) {
    if (args.flag('json')) {
      io.json(
        METHODS.map(({ type, family, title, paper, engines, mergeable }) => ({
          type,
          family,
          title,
          paper,
          engines,
          mergeable,
        })),
      );
      return DONE;
    }
    const rows = METHODS.map(({ type, family, title, paper, engines, mergeable }) => [
      type,
      family,
      title,
      `${paper.authors} (${paper.year})`,
      engines.join(', '),
      mergeable ? 'yes' : 'no',
    ]);
    io.line(table(rows, ['TYPE', 'FAMILY', 'TITLE', 'PAPER', 'ENGINES', 'MERGEABLE']));
    return DONE;
  },
};
