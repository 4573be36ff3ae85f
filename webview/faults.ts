import type { FromAnyPage } from '../src/host/pageProtocol.js';

/** What a page says of a fault; every page's protocol has it. */
export type Fault = Extract<FromAnyPage, { readonly type: 'pageError' }>;

/**
 * Tells the editor whatever goes wrong in the page from now on: nobody looks at the page's console.
 * @returns tells of an error that was caught
 */
export function reportFaults(send: (fault: Fault) => void): (error: unknown) => void {
  const report = (error: unknown): void =>
    send({ type: 'pageError', message: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  window.addEventListener('error', ({ error, message }) => report(error ?? message));
  window.addEventListener('unhandledrejection', ({ reason }) => report(reason));
  window.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI, sourceFile, lineNumber }) =>
    report(`${violatedDirective} refuses ${blockedURI} in ${sourceFile}:${lineNumber}`),
  );
  return report;
}
