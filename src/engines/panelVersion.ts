/**
 * The version of what the editor and the panel's page say to each other (`host/protocol.ts`), and of what the page keeps
 * over a reload. To be counted up when either changes so that an older page or an older editor would misread it.
 */
export const PANEL_VERSION = 1;

export type PanelVersion = typeof PANEL_VERSION;
