/** What the parser says, with what to do. Pure. */
import type { YAMLError } from "yaml";

const helps: Readonly<Partial<Record<YAMLError["code"], string>>> = {
  MULTIPLE_DOCS: "remove the line ---, and put what is below it into a file of its own, or under the keys above",
  MULTILINE_IMPLICIT_KEY: "a colon with a blank after it is missing here, or the next line is indented too far",
  BLOCK_AS_IMPLICIT_KEY: "a value with a colon and a blank in it needs quotes; a key begins in a line of its own",
  BLOCK_IN_FLOW: "between { and } keys are separated by commas",
  BAD_INDENT: "keys of one map begin in one column, and deeper than the key above them",
  MISSING_CHAR: "a key is followed by a colon and a blank; quotes and brackets are closed in their line",
  BAD_SCALAR_START: "put the value into quotes",
  UNEXPECTED_TOKEN: "put the whole value into quotes, or remove what follows it",
  TAB_AS_INDENT: "write blanks for the tab",
  IMPOSSIBLE: "look at quotes and brackets of the lines above",
};

/** A parser's error in words, and what to do about it. Pure. */
export const parserHelp = ({ code, message }: YAMLError): { message: string; help: { help?: string } } => {
  const help = helps[code];
  return {
    message:
      code === "MULTIPLE_DOCS"
        ? "a profile is one document; this file has several"
        : message.replace(/ '(quote)$/, " '").replace(/^Missing closing (["'])quote$/, "a quote $1 is not closed"),
    help: help === undefined ? {} : { help },
  };
};
