import { METHODS } from '../methods/registry.js';
import type { MethodInfo } from '../methods/info.js';

/** The methods as a Markdown table, for the README: kept there between markers and compared in a test. */
export function methodsTable(methods: readonly MethodInfo[] = METHODS): string {
  const rows = methods.map(({ type, title, family, summary, paper, engines, mergeable }) => [
    `\`${type}\``,
    title,
    family,
    summary,
    source(paper),
    engines.join(', '),
    mergeable ? 'yes' : 'no',
  ]);
  const head = ['`type`', 'Method', 'Family', 'What it does', 'Paper', 'Engines', 'Merges'];
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.map(cell).join(' | ')} |`).join('\n');
}

function source({ authors, year, title, arxiv }: MethodInfo['paper']): string {
  const [first = authors] = authors.split(/, | & /);
  const text = `${first}${first === authors ? '' : ' et al.'} ${year}`;
  return arxiv === undefined ? `${text}, ${title}` : `[${text}](https://arxiv.org/abs/${arxiv})`;
}

/** A bar inside a cell would end it. */
function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}
