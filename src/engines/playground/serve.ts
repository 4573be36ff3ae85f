import * as l10n from '@vscode/l10n';
import { fail, problemOf } from '../../common/problem.js';
import type { RuntimeOptions } from '../../runtime/runtime.js';
import { PLAYGROUND_PROTOCOL } from './protocol.js';
import type { PlaygroundEvent, PlaygroundRequest } from './protocol.js';
import { openPlayground } from './session.js';
import type { PlaygroundSession } from './session.js';

/** Takes requests; see {@link servePlayground}. */
export interface PlaygroundServer {
  take(request: PlaygroundRequest): void;
  /** Settles when everything taken so far is done. */
  idle(): Promise<void>;
}

/** Serves one session: requests in order, except for `stop`, which acts at once. */
export function servePlayground(
  tell: (event: PlaygroundEvent) => void,
  runtime: RuntimeOptions = {},
): PlaygroundServer {
  let session: PlaygroundSession | undefined;
  let working: Promise<void> = Promise.resolve();
  const stopped = new Set<number>();

  async function work(request: Exclude<PlaygroundRequest, { type: 'stop' }>): Promise<void> {
    switch (request.type) {
      case 'open':
        if (request.protocol !== PLAYGROUND_PROTOCOL || session !== undefined) wrongTalk(request.protocol);
        session = await openPlayground(request.base, tell, { folder: request.folder, runtime });
        tell({ type: 'opened', base: session.base });
        break;
      case 'attach': {
        const warnings = await opened(session).attach(request.column, request.folder, request.steering);
        tell({ type: 'attached', column: request.column, warnings });
        break;
      }
      case 'detach':
        await opened(session).detach(request.column);
        tell({ type: 'detached', column: request.column });
        break;
      case 'steer':
        opened(session).steer(request.column, request.alpha);
        break;
      case 'generate':
        await opened(session).generate(request, () => stopped.has(request.request));
        stopped.delete(request.request);
        break;
    }
  }

  return {
    take(request) {
      if (request.type === 'stop') {
        stopped.add(request.request);
        return;
      }
      working = working
        .then(() => work(request))
        .catch((error: unknown) => {
          const column = 'column' in request ? { column: request.column } : {};
          tell({ type: 'refused', ...column, problem: problemOf(error) });
          if (request.type === 'generate') tell({ type: 'done', request: request.request });
        });
    },
    idle: () => working,
  };
}

function opened(session: PlaygroundSession | undefined): PlaygroundSession {
  if (session !== undefined) return session;
  return fail({
    code: 'playground.not-open',
    message: l10n.t`no base model is open`,
    mend: l10n.t`Open one first.`,
  });
}

function wrongTalk(protocol: number): never {
  return fail({
    code: 'playground.protocol',
    message: l10n.t`the playground's process was asked to open a model a second time, or by protocol ${protocol}`,
    expected: l10n.t`one base model for each process, by protocol ${PLAYGROUND_PROTOCOL}`,
    mend: l10n.t`Reload the window: the extension was updated while it ran.`,
  });
}
