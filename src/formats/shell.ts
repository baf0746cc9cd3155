/** One POSIX shell word, whatever is in it. @throws RangeError for NUL. */
export const shellWord = (text: string): string => {
  if (text.includes("\0")) throw new RangeError(`${JSON.stringify(text)} cannot be written in a shell word`);
  return `'${text.replaceAll("'", "'\\''")}'`;
};
