import type { Place, Problem } from '../common/problem.js';
import type { PackedEvents } from '../engines/packEvents.js';
import type { PanelVersion } from '../engines/panelVersion.js';
import type { RunState } from '../engines/runState.js';
import type { MaskReport } from '../engines/masks/maskReport.js';
import type { TensorMask } from '../engines/tensorMask.js';

/**
 * What the editor and the page of a run's panel say to each other. Each message carries the version of this module; a
 * page of another version is told apart and not listened to. Nothing is sent to a page before it said `ready`.
 */
export type ToPage = { readonly version: PanelVersion } & (
  | RunToPage
  | ReplyToPage
  /** Brings a tab to the front. */
  | { readonly type: 'showTab'; readonly tab: string }
);

/** The run, as the page is fed with it. */
export type RunToPage = {
  readonly about: RunAbout;
  readonly events: PackedEvents;
} & (
  | /** A run from its beginning: the page forgets what it had. */
    { readonly type: 'run' }
    /** What happened since. */
  | { readonly type: 'more' }
);

/** What the page has to know of a run beside its events. */
export interface RunAbout {
  readonly state: RunState;
  /** Where the run lies now, absolute; undefined until it has a folder. The page keeps it, so that it can be restored. */
  readonly folder?: string;
  /** Whether this window can pause, stop, … the run; otherwise whoever started it does. */
  readonly canControl: boolean;
}

/** What the page sends to the editor. */
export type FromPage = { readonly version: PanelVersion } & PageMessage;

/** A message of the page, without its version. */
export type PageMessage =
  | { readonly type: 'ready' }
  /** So many events are drawn, and the next batch may come; fewer than were sent when drawing failed. */
  | { readonly type: 'drawn'; readonly events: number }
  /** A tab came to the front and is drawn. */
  | { readonly type: 'tabShown'; readonly tab: string }
  | { readonly type: PageCommand }
  | { readonly type: 'openPlace'; readonly place: Place }
  | AnyRequest
  /** Nobody waits for the reply any more. */
  | { readonly type: 'cancelRequest'; readonly id: number }
  /** Something in the page went wrong; the editor logs and counts it. */
  | { readonly type: 'pageError'; readonly message: string };

/** What a button of the page asks for; the answer, if any, is what happens to the run. */
export type PageCommand =
  | 'train'
  | 'resume'
  | 'pause'
  | 'continue'
  | 'stop'
  | 'checkpoint'
  | 'openRunFolder'
  | 'showLog'
  | 'openRunFile'
  | 'revealAdapter'
  | 'openPlayground';

/**
 * What the page may ask, with what it sends and what comes back: a new kind is an entry here and a handler in
 * `panelHandlers.ts`. Parameters and replies are plain data; typed arrays travel as they are.
 */
export interface PanelRequests {
  /** The other runs of the workspace, newest first: what may be laid over this one. */
  readonly listRuns: { readonly params: Record<string, never>; readonly reply: readonly RunChoice[] };
  /** The events of one of them. */
  readonly runEvents: { readonly params: { readonly folder: string }; readonly reply: OtherRun };
  /** Which numbers of a tensor of this run train; `path` and `shape` as its `masks` event has them. */
  readonly maskOf: {
    readonly params: { readonly path: string; readonly shape: readonly number[] };
    readonly reply: TensorMask;
  };
  /**
   * The mask of this run, first, and another, compared: of a run of the workspace, or of a folder that the user is asked for.
   * `report` is undefined when they cancel.
   */
  readonly compareMasks: {
    readonly params: { readonly folder?: string };
    readonly reply: { readonly report?: MaskReport };
  };
  /** Asks the user where to, and writes a text or (base64) a picture there; `saved` is undefined when they cancel. */
  readonly saveFile: { readonly params: FileToSave; readonly reply: { readonly saved?: string } };
  readonly copyText: { readonly params: { readonly text: string }; readonly reply: Record<string, never> };
}

/** A run as a list offers it. */
export interface RunChoice {
  /** Absolute: names the run. */
  readonly folder: string;
  /** `sql, 2026-11-25T14-00-00` */
  readonly name: string;
  readonly method?: string;
  /** When it last said something, in milliseconds since the epoch. */
  readonly modified: number;
}

export interface OtherRun {
  readonly name: string;
  readonly state: RunState;
  readonly events: PackedEvents;
}

export interface FileToSave {
  /** A name without a folder: `loss.csv`. */
  readonly name: string;
  readonly content: { readonly text: string } | { readonly base64: string };
}

export type RequestName = keyof PanelRequests;
export type RequestParams<Name extends RequestName> = PanelRequests[Name]['params'];
export type RequestReply<Name extends RequestName> = PanelRequests[Name]['reply'];

/** A request as it is sent; `id` counts the requests of one page. */
export interface PanelRequest<Name extends RequestName> {
  readonly type: 'request';
  readonly id: number;
  readonly name: Name;
  readonly params: RequestParams<Name>;
}

type AnyRequest = { [Name in RequestName]: PanelRequest<Name> }[RequestName];

/** The reply to the request of that number: what was asked for, or why it cannot be had. */
export type ReplyToPage =
  | { readonly type: 'reply'; readonly id: number; readonly value: RequestReply<RequestName> }
  | { readonly type: 'refused'; readonly id: number; readonly problem: Problem };
