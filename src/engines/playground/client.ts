import * as l10n from '@vscode/l10n';
import { fork } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Problem } from '../../common/problem.js';
import { loaderOf } from '../loaderOf.js';
import { LAST_WORDS } from '../workerRun.js';
import { PLAYGROUND_PROTOCOL } from './protocol.js';
import type { PlaygroundEvent, PlaygroundRequest, PlaygroundTold } from './protocol.js';

/** A playground's process, from outside. */
export interface PlaygroundProcess {
  send(request: PlaygroundRequest): void;
  /** Ends the process, whatever it does: it has nothing to write. */
  close(): void;
  /** Settles when the process has ended. */
  readonly done: Promise<void>;
}

/**
 * Forks a playground's process and opens a base model in it. Never throws: a process that cannot be started is told
 * as `ended`.
 */
export function startPlayground(options: {
  /** The process's program, absolute; bundled or, run by a loader of TypeScript, not. */
  readonly program: string;
  readonly base: string;
  readonly folder?: string;
  readonly tell: (told: PlaygroundTold) => void;
  /** Called for each line that it prints. */
  readonly print: (line: string) => void;
}): PlaygroundProcess {
  const { program, base, folder, tell, print } = options;
  const lastWords: string[] = [];
  let closed = false;
  const child = fork(program, [], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    execArgv: [...loaderOf(program)],
    env: { ...process.env, ELECTRON_RUN_AS_NODE: '1' },
  });
  for (const stream of [child.stdout, child.stderr]) {
    if (!stream) continue;
    createInterface({ input: stream }).on('line', (line) => {
      if (line.trim() !== '') lastWords.push(line);
      if (lastWords.length > LAST_WORDS) lastWords.shift();
      print(line);
    });
  }
  child.on('message', (message) => {
    if (!closed) tell(message as PlaygroundEvent);
  });
  const done = new Promise<void>((resolve) => {
    const end = (how: string): void => {
      if (!closed) tell({ type: 'ended', problem: endProblem(how, lastWords) });
      closed = true;
      resolve();
    };
    child.on('error', (error) => child.pid === undefined && end(l10n.t`could not start: ${error.message}`));
    // 'close' comes after the last message and the last printed line.
    child.on('close', (code, by) =>
      end(by === null ? l10n.t`exited with code ${String(code)}` : l10n.t`was ended by ${by}`),
    );
  });

  function send(request: PlaygroundRequest): void {
    if (!child.connected) return;
    child.send(request, (error) => {
      if (error) print(l10n.t`The playground did not take the message "${request.type}": ${error.message}`);
    });
  }

  send({ type: 'open', protocol: PLAYGROUND_PROTOCOL, base, folder });
  return {
    send,
    close() {
      if (closed) return;
      closed = true;
      // Also in the middle of a run of the model: the signal ends it without asking.
      child.kill();
    },
    done,
  };
}

function endProblem(how: string, lastWords: readonly string[]): Problem {
  const said = lastWords.length > 0 ? l10n.t`; its last words: ${lastWords.join(' | ')}` : '';
  return {
    code: 'playground.process-ended',
    message: l10n.t`the playground's process ${how}${said}`,
    mend: l10n.t`Run it again; it opens the model anew. A process that is killed without a word often met the end of memory: close other programs or remove an adapter.`,
  };
}
