import { useLanguage } from './common/language.js';
import type { PlaygroundRequest } from './engines/playground/protocol.js';
import { servePlayground } from './engines/playground/serve.js';

/**
 * Process entry of the playground, forked by the editor: the native runtime never loads into the extension host. It
 * writes nothing and ends with its parent.
 */
useLanguage();
const { take } = servePlayground((event) => {
  // The parent may be gone though nobody was told yet: a run of the model holds the thread.
  if (process.connected) process.send!(event, undefined, undefined, () => undefined);
});
process.on('message', (request: PlaygroundRequest) => take(request));
process.on('disconnect', () => process.exit());
// Ctrl-C in a terminal reaches the whole process group; the parent decides.
process.on('SIGINT', () => undefined);
