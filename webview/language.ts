import * as l10n from '@vscode/l10n';

// The first import of every page: texts are in the editor's language from the first one on.
l10n.config({ contents: document.getElementById('texts')?.textContent ?? '{}' });
