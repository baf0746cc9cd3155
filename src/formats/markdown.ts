/** A cell of a Markdown table: one line, without a bar that would end it. */
export const markdownCell = (text: string): string => text.replace(/[\r\n]+/g, " ").replaceAll("|", "\\|");
