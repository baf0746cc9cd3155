/** Slips of one line: its indentation, its colon, its quotes and brackets. Pure. */
import type { Mend } from "./yaml.ts";

interface Line {
  readonly text: string;
  readonly start: number;
  readonly indent: number;
}

const split = (text: string): Line[] => {
  let start = 0;
  return text.split("\n").map((line) => {
    const each = { text: line, start, indent: /^ */.exec(line)?.[0].length ?? 0 };
    start += line.length + 1;
    return each;
  });
};

const isBlank = ({ text }: Line): boolean => /^\s*(?:#|$)/.test(text);

/** The nearest lines with something in them, before and after. */
const neighbours = (lines: readonly Line[], at: number): Line[] =>
  [lines.slice(0, at).findLast((line) => !isBlank(line)), lines.slice(at + 1).find((line) => !isBlank(line))].filter(
    (line) => line !== undefined,
  );

/** How far the quotes and brackets of a line are open at its end. */
const openAtEnd = (text: string): { quote: string; at: number; brackets: string } => {
  let [quote, at, brackets] = ["", -1, ""];
  for (let index = 0; index < text.length; index++) {
    const sign = text[index] ?? "";
    if (quote !== "") {
      if (sign === "\\" && quote === '"') index++;
      else if (sign === quote) quote = "";
    } else if (sign === "#" && /\s/.test(text[index - 1] ?? " ")) break;
    else if ((sign === '"' || sign === "'") && /[\s[{,:-]/.test(text[index - 1] ?? " ")) [quote, at] = [sign, index];
    else if (sign === "{" || sign === "[") {
      if (brackets === "") at = index;
      brackets += sign;
    } else if (sign === "}" || sign === "]") brackets = brackets.slice(0, -1);
  }
  return { quote, at, brackets };
};

const closing = (brackets: string): string =>
  brackets
    .split("")
    .toReversed()
    .map((sign) => (sign === "{" ? " }" : "]"))
    .join("");

const count = (number: number): string => `${number} blank${number === 1 ? "" : "s"}`;

/** What one line may have meant, with the most certain first. */
function* ofLine(
  lines: readonly Line[],
  at: number,
  keys: ReadonlySet<string>,
): Generator<Omit<Mend, "text"> & { line: string }> {
  const line = lines[at];
  if (line === undefined || isBlank(line)) return;
  const { text, start, indent } = line;
  const place = (from: number, to = from + 1) => ({ start: start + from, end: start + to });

  const noBlank = /^(\s*(?:- +)?[A-Za-z][A-Za-z0-9]*):(?=[^\s/])/.exec(text);
  if (noBlank !== null) {
    const colon = noBlank[0].length - 1;
    yield {
      ...place(colon),
      message: "no blank after the colon",
      label: "a blank is missing here",
      line: `${text.slice(0, colon + 1)} ${text.slice(colon + 1)}`,
    };
  }
  const inFlow = /([{,]\s*[A-Za-z][A-Za-z0-9]*):(?=[^\s/])/.exec(text);
  if (inFlow !== null) {
    const colon = inFlow.index + inFlow[0].length - 1;
    yield {
      ...place(colon),
      message: "no blank after the colon",
      label: "a blank is missing here",
      line: text.replace(/([{,]\s*[A-Za-z][A-Za-z0-9]*):(?=[^\s/])/g, "$1: "),
    };
  }
  const noColon = /^(\s*)([A-Za-z][A-Za-z0-9]*)( *= *| +)(?=\S)(.*)$/.exec(text);
  if (noColon !== null && keys.has(noColon[2] ?? "")) {
    const [, blank = "", key = "", between = "", rest = ""] = noColon;
    const from = blank.length + key.length;
    yield {
      ...place(from, from + between.length),
      message: `no colon after ${key}`,
      label: between.includes("=") ? "write a colon" : "a colon is missing here",
      line: `${blank}${key}: ${rest}`,
    };
  }
  const onlyKey = /^(\s*)([A-Za-z][A-Za-z0-9]*)\s*$/.exec(text);
  if (onlyKey !== null && keys.has(onlyKey[2] ?? "")) {
    const end = text.trimEnd().length;
    yield {
      ...place(end - (onlyKey[2]?.length ?? 1), end),
      message: `no colon after ${onlyKey[2]}`,
      label: "a colon is missing here",
      line: `${text.trimEnd()}:`,
    };
  }
  const dash = /^(\s*)- *([A-Za-z][A-Za-z0-9]*:(?: |$).*)$/.exec(text);
  if (dash !== null) {
    const [, blank = "", rest = ""] = dash;
    yield {
      ...place(blank.length),
      message: "a dash before a key of a map",
      label: "remove it",
      line: `${blank}${rest}`,
    };
  }
  const noDashBlank = /^(\s*)-(?=[A-Za-z0-9"'])(.*)$/.exec(text);
  if (noDashBlank !== null) {
    const [, blank = "", rest = ""] = noDashBlank;
    yield {
      ...place(blank.length),
      message: "no blank after the dash",
      label: "a blank is missing here",
      line: `${blank}- ${rest}`,
    };
  }
  const open = openAtEnd(text);
  if (open.quote !== "") {
    const comment = / +#.*$/.exec(text.slice(open.at));
    const end = comment === null ? text.trimEnd().length : open.at + comment.index;
    yield {
      ...place(open.at),
      message: "a quote that is not closed",
      label: "opened here",
      line: `${text.slice(0, end).replace(/(\s*[}\]]+)$/, `${open.quote}$1`)}${/[}\]]$/.test(text.slice(0, end)) ? "" : open.quote}${text.slice(end)}`,
    };
  } else if (open.brackets !== "") {
    yield {
      ...place(open.at),
      message: `a ${open.brackets.endsWith("{") ? "brace" : "bracket"} that is not closed`,
      label: "opened here",
      line: `${text.trimEnd()}${closing(open.brackets)}`,
    };
  }
  const comma = /([^\s{,:]) +(?=[A-Za-z][A-Za-z0-9]*: )/g;
  if (/[{]/.test(text)) {
    const missing = [...text.matchAll(comma)].filter(({ index }) => text.lastIndexOf("{", index) >= 0);
    const [first] = missing;
    if (first !== undefined) {
      yield {
        ...place(first.index + 1),
        message: "no comma between two keys",
        label: "a comma is missing here",
        line: text.replace(comma, "$1, "),
      };
    }
  }
  const value = /^(\s*(?:- +)?[A-Za-z][A-Za-z0-9]*: +|\s*- +)(\S.*?)(\s+#.*)?$/.exec(text);
  if (value !== null && !/^(?:["'|>[]|\{(?!\{))/.test(value[2] ?? "")) {
    const [, before = "", what = "", comment = ""] = value;
    const reason = /^[@`%*&!{[]/.test(what)
      ? `${what[0]} has a meaning of its own in YAML`
      : "a colon with a blank in it";
    yield {
      ...place(before.length, before.length + what.length),
      message: "a value that needs quotes",
      label: reason,
      line: `${before}${what.includes('"') ? `'${what.replaceAll("'", "''")}'` : `"${what.replaceAll("\\", "\\\\")}"`}${comment}`,
    };
  }
  const indents = [...new Set([...neighbours(lines, at).flatMap((each) => [each.indent, each.indent + 2]), 0])];
  for (const wanted of indents.filter((each) => each !== indent)) {
    yield {
      ...place(0, Math.max(1, indent)),
      message: `${count(indent)} before ${text.trim().split(/[\s:]/)[0] ?? "it"}, where ${wanted} ${wanted === 1 ? "is" : "are"} right`,
      label: indent > wanted ? `${count(indent - wanted)} too many` : `${count(wanted - indent)} too few`,
      help: `write ${count(wanted)} before it: keys of one map begin in one column, items of one list too`,
      line: `${" ".repeat(wanted)}${text.trimStart()}`,
      columns: true,
      // Rather the column that other lines have too.
      doubt: 1 / lines.filter((each) => each.indent === wanted && !isBlank(each)).length,
    };
  }
}

/** Repairs of the lines around these, the nearest first. @param at Lines of errors, from 0. */
export function* lineMends(text: string, at: readonly number[], keys: ReadonlySet<string>): Generator<Mend> {
  const lines = split(text);
  const [first = 0] = at;
  const opened = lines.slice(0, first).findLastIndex(({ text: line }) => {
    const { quote, brackets } = openAtEnd(line);
    return quote !== "" || brackets !== "";
  });
  const last = at.at(-1) ?? first;
  const begin = lines.findIndex((line) => !isBlank(line));
  const near = [first, first - 1, first + 1, first - 2, first + 2, last, opened, begin];
  for (const index of new Set(near)) {
    for (const mend of ofLine(lines, index, keys)) {
      const before = lines.slice(0, index).map((line) => line.text);
      const after = lines.slice(index + 1).map((line) => line.text);
      yield { ...mend, text: [...before, mend.line, ...after].join("\n") };
    }
  }
}
