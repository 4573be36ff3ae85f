/** Characters that no common shell reads as anything but themselves. */
const PLAIN = /^[\w@%+=:,./-]+$/;

/** A word of a command that is printed for the user to run: in quotes where the shell would take it apart. */
export function shellWord(word: string, platform: NodeJS.Platform = process.platform): string {
  // Windows' shells know only double quotes, and its file names hold none.
  if (platform === 'win32') return PLAIN.test(word.replaceAll('\\', '/')) ? word : `"${word}"`;
  return PLAIN.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
