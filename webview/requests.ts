import * as l10n from '@vscode/l10n';
import type { Problem } from '../src/common/problem.js';
import type {
  PageMessage,
  PanelRequest,
  ReplyToPage,
  RequestName,
  RequestParams,
  RequestReply,
} from '../src/host/protocol.js';

/** How a view asks the editor. Rejects with a {@link RequestRefused}; an aborted request never settles otherwise. */
export type Ask = <Name extends RequestName>(
  name: Name,
  params: RequestParams<Name>,
  signal?: AbortSignal,
) => Promise<RequestReply<Name>>;

/** Why the editor did not answer, to be shown as other problems are. */
export class RequestRefused extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.message);
    this.problem = problem;
    this.name = 'RequestRefused';
  }
}

/** The asking side of a page: numbers its requests and finds each reply's asker. */
export interface Requests {
  readonly ask: Ask;
  take(message: ReplyToPage): void;
}

/** Makes the asking side; `send` speaks to the editor. */
export function createRequests(send: (message: PageMessage) => void): Requests {
  let last = 0;
  const waiting = new Map<
    number,
    { readonly resolve: (value: RequestReply<RequestName>) => void; readonly reject: (error: unknown) => void }
  >();

  function ask<Name extends RequestName>(
    name: Name,
    params: RequestParams<Name>,
    signal?: AbortSignal,
  ): Promise<RequestReply<Name>> {
    last += 1;
    const id = last;
    return new Promise<RequestReply<Name>>((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(new RequestRefused(cancelled()));
        return;
      }
      // The editor answers a number with what was asked under it.
      waiting.set(id, { resolve: resolve as (value: RequestReply<RequestName>) => void, reject });
      signal?.addEventListener('abort', () => {
        if (!waiting.delete(id)) return;
        send({ type: 'cancelRequest', id });
        reject(new RequestRefused(cancelled()));
      });
      const request: PanelRequest<Name> = { type: 'request', id, name, params };
      send(request as PageMessage);
    });
  }

  return {
    ask,
    take(message) {
      const asker = waiting.get(message.id);
      waiting.delete(message.id);
      if (message.type === 'reply') asker?.resolve(message.value);
      else asker?.reject(new RequestRefused(message.problem));
    },
  };
}

const CANCELLED = 'panel.cancelled';

function cancelled(): Problem {
  return { code: CANCELLED, message: l10n.t`the request was cancelled` };
}

/** Whether a request ended because its asker took it back: nothing to tell anybody. */
export function isCancelled(error: unknown): boolean {
  return error instanceof RequestRefused && error.problem.code === CANCELLED;
}
