/** Node's arguments for a program: a loader of TypeScript is passed on; a bundle must not take over an inspector's port. */
export function loaderOf(program: string): readonly string[] {
  return program.endsWith('.ts') ? process.execArgv : [];
}
