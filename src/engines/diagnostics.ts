import { formatBytes } from '../common/format.js';
import { describeProblem, isError } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import type { RunEvent } from '../training/events.js';
import { describeEvent } from '../training/describeEvent.js';
import { redact } from './redact.js';
import type { RunState } from './runState.js';

/** What a report of the state of things is made of. */
export interface DiagnosticsParts {
  readonly time: Date;
  /** Name and version: `['VS Code', '1.100.0']`. */
  readonly versions: readonly (readonly [string, string])[];
  readonly machine: Machine;
  /** Those of the extension, as they are now. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly run: RunState;
  /** Of the last run. */
  readonly events: readonly RunEvent[];
  readonly problems: readonly Problem[];
  readonly home: string;
  /** See {@link redact}. */
  readonly secrets: readonly string[];
}

export interface Machine {
  /** `linux 6.1 x64` */
  readonly system: string;
  readonly processor: string;
  readonly cores: number;
  /** Bytes. */
  readonly memory: number;
  readonly free: number;
}

/** Lines of the run's log that are shown: its end says why it ended. */
const TAIL = 60;
/** Node quotes what is around a mistake in JSON: of a row, that is the user's data. */
const QUOTED_ROW = /, (?:\.\.\.)?"[^]{0,200}?"(?:\.\.\.)? is not valid JSON/g;
const MOST_PROBLEMS = 50;
/** Of a line of the log: a library may print megabytes in one. */
const MOST_CHARACTERS = 2000;

/**
 * One readable document of Markdown to be sent with a report: versions, machine, settings, the last run's events and
 * problems. Secrets and the user's folder are taken out of all of it; rows of the data are not in it.
 */
export function diagnosticsText(parts: DiagnosticsParts): string {
  const { machine, settings, problems } = parts;
  const lines = [
    '# PEFT Studio diagnostics',
    '',
    `${parts.time.toISOString()}. Secrets and your home folder are taken out; read it before you send it.`,
    '',
    '## Versions',
    '',
    ...parts.versions.map(([name, version]) => `- ${name}: ${version}`),
    '',
    '## Machine',
    '',
    `- System: ${machine.system}`,
    `- Processor: ${machine.processor}, ${machine.cores} cores`,
    `- Memory: ${formatBytes(machine.memory)}, ${formatBytes(machine.free)} free`,
    '',
    '## Settings',
    '',
    ...Object.entries(settings).map(([name, value]) => `- ${name}: ${JSON.stringify(value)}`),
    '',
    '## Last run',
    '',
    ...runLines(parts),
    '',
    '## Problems',
    '',
    ...(problems.length === 0 ? ['None.'] : problems.slice(0, MOST_PROBLEMS).map(problemLine)),
    ...(problems.length > MOST_PROBLEMS ? [`- and ${problems.length - MOST_PROBLEMS} more`] : []),
    '',
  ];
  return redact(lines.join('\n').replace(QUOTED_ROW, ''), parts.home, parts.secrets);
}

function runLines({ run, events }: DiagnosticsParts): string[] {
  if (run.kind === 'idle') return ['None in this window.'];
  const log = events
    // Samples are the user's data.
    .filter(({ type }) => type !== 'sample')
    .flatMap(describeEvent)
    .map(({ level, text }) => `${level.padEnd(7)} ${text.slice(0, MOST_CHARACTERS)}`)
    .slice(-TAIL);
  const ended = run.kind === 'failed' ? [run.problem, ...run.others].map(problemLine) : [];
  return [
    `- File: ${run.file}`,
    `- State: ${run.kind}, begun ${new Date(run.began).toISOString()}`,
    ...ended,
    '',
    ...(log.length === 0
      ? ['No events.']
      : ['```text', ...log.map((line) => line.replaceAll('```', "'''")), '```']),
  ];
}

function problemLine(problem: Problem): string {
  const kind = isError(problem) ? 'error' : 'warning';
  return `- ${kind} \`${problem.code}\`: ${describeProblem(problem).replaceAll('\n', ' ')}`;
}
