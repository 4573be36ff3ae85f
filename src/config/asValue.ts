/** Words that YAML reads as text without quotes. */
const PLAIN = /^[A-Za-z_./][\w./ +@-]*$/;
/** Words that YAML reads as something else than text. */
const OTHER = /^(?:true|false|null|~|\.inf|\.nan|[-+]?[.\d][\w.+-]*)$/i;

/** A text as a value of the run file: plain where YAML takes it for text, else in quotes; in JSON always in quotes. */
export function asValue(text: string, file: string): string {
  if (file.endsWith('.json')) return JSON.stringify(text);
  if (PLAIN.test(text) && !OTHER.test(text) && !text.endsWith(' ')) return text;
  return /[\p{Cc}]/u.test(text) ? JSON.stringify(text) : `'${text.replaceAll("'", "''")}'`;
}
