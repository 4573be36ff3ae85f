import { PANEL_VERSION } from '../src/engines/panelVersion.js';
import type { PanelVersion } from '../src/engines/panelVersion.js';
import { freshChoice } from './curveChoice.js';
import type { CurvesChoice } from './curveChoice.js';

/** What the editor keeps for a page while it is hidden and over a reload of the window. */
export interface Kept {
  readonly version: PanelVersion;
  /** The run's folder: the editor restores the panel from it. */
  folder?: string;
  /** The tab in front. */
  tab: string;
  readonly curves: CurvesChoice;
}

/** What was kept, or the beginning: also where another version kept it. */
export function keptOr(found: unknown): Kept {
  const fresh: Kept = { version: PANEL_VERSION, tab: 'curves', curves: freshChoice() };
  const isOurs =
    typeof found === 'object' && found !== null && 'version' in found && found.version === PANEL_VERSION;
  return isOurs ? { ...fresh, ...found, version: PANEL_VERSION } : fresh;
}
