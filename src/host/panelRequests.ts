import * as l10n from '@vscode/l10n';
import { problemOf } from '../common/problem.js';
import type { PanelRequest, ReplyToPage, RequestName, RequestParams, RequestReply } from './protocol.js';

/** Who answers what a page asks; `signal` tells that nobody waits any more. A handler throws a ProblemError to refuse. */
export type PanelHandlers = {
  readonly [Name in RequestName]: (
    params: RequestParams<Name>,
    signal: AbortSignal,
  ) => Promise<RequestReply<Name>> | RequestReply<Name>;
};

/** The answering side of one page. */
export interface PanelRequestsTaken {
  /** Answers a request with exactly one `reply` or `refused`, unless it is cancelled before. */
  take(request: PanelRequest<RequestName>): void;
  /** The page takes a request back. */
  cancel(id: number): void;
  /** The page is gone or loads anew: nothing that it asked is answered. */
  cancelAll(): void;
}

/** Makes the answering side; `post` sends to the page. */
export function createPanelRequests(
  handlers: PanelHandlers,
  post: (message: ReplyToPage) => void,
): PanelRequestsTaken {
  const waiting = new Map<number, AbortController>();

  async function answer(request: PanelRequest<RequestName>, signal: AbortSignal): Promise<ReplyToPage> {
    const { id, name } = request;
    try {
      // The page of another version may ask for more.
      if (!Object.hasOwn(handlers, name)) return { type: 'refused', id, problem: unknownRequest(name) };
      return { type: 'reply', id, value: await call(handlers, request, signal) };
    } catch (error) {
      return { type: 'refused', id, problem: problemOf(error) };
    }
  }

  return {
    take(request) {
      const { id } = request;
      const controller = new AbortController();
      waiting.get(id)?.abort();
      waiting.set(id, controller);
      void answer(request, controller.signal).then((reply) => {
        if (waiting.get(id) !== controller) return;
        waiting.delete(id);
        post(reply);
      });
    },
    cancel(id) {
      waiting.get(id)?.abort();
      waiting.delete(id);
    },
    cancelAll() {
      for (const controller of waiting.values()) controller.abort();
      waiting.clear();
    },
  };
}

function call<Name extends RequestName>(
  handlers: PanelHandlers,
  { name, params }: PanelRequest<Name>,
  signal: AbortSignal,
): Promise<RequestReply<Name>> | RequestReply<Name> {
  return handlers[name](params, signal);
}

function unknownRequest(name: string): ReturnType<typeof problemOf> {
  return {
    code: 'panel.unknown-request',
    message: l10n.t`the panel's page asked for "${name}", which this version of PEFT Studio does not answer`,
    mend: l10n.t`Reload the window, so that page and extension are of one version.`,
  };
}
