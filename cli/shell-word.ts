/** Returns a text, such as the name of a file, as one word of a command for a POSIX shell. */
export const shellWord = (text: string): string =>
  /^[\w./\\:@+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
