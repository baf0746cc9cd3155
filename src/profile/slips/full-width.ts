/** Full-width signs where YAML has ASCII: what Chinese input methods write, and what word processors make of quotes. Pure. */
import type { Mend } from "./yaml.ts";

/** What each stands for, with the blank that YAML needs after it. */
const ascii: ReadonlyMap<string, { readonly sign: string; readonly name: string }> = new Map([
  ["：", { sign: ": ", name: "full-width colon" }],
  ["，", { sign: ", ", name: "full-width comma" }],
  ["、", { sign: ", ", name: "Chinese comma" }],
  ["“", { sign: '"', name: "typographic quote" }],
  ["”", { sign: '"', name: "typographic quote" }],
  ["„", { sign: '"', name: "typographic quote" }],
  ["＂", { sign: '"', name: "full-width quote" }],
  ["‘", { sign: "'", name: "typographic quote" }],
  ["’", { sign: "'", name: "typographic quote" }],
  ["＇", { sign: "'", name: "full-width quote" }],
  ["－", { sign: "-", name: "full-width dash" }],
  ["—", { sign: "-", name: "long dash" }],
  ["–", { sign: "-", name: "long dash" }],
  ["｛", { sign: "{", name: "full-width brace" }],
  ["｝", { sign: "}", name: "full-width brace" }],
  ["［", { sign: "[", name: "full-width bracket" }],
  ["］", { sign: "]", name: "full-width bracket" }],
  ["【", { sign: "[", name: "Chinese bracket" }],
  ["】", { sign: "]", name: "Chinese bracket" }],
  ["＃", { sign: "#", name: "full-width #" }],
  ["\u3000", { sign: " ", name: "full-width blank" }],
  ["\u00a0", { sign: " ", name: "no-break blank" }],
  ["\u2003", { sign: " ", name: "wide blank" }],
]);

const signs = new RegExp(`[${[...ascii.keys()].join("")}]`, "g");

/** Whether a key holds what was meant as a sign of YAML. Pure. */
export const hasFullWidth = (key: string): boolean => key.search(signs) >= 0;

/** Offsets of such signs outside comments and ASCII quotes. Line by line: quotes of several lines are rare in profiles. */
const places = (text: string): number[] => {
  const found: number[] = [];
  let quote = "";
  for (let at = 0; at < text.length; at++) {
    const sign = text[at] ?? "";
    if (sign === "\n") quote = "";
    else if (quote !== "") quote = sign === quote ? "" : quote;
    else if ((sign === '"' || sign === "'") && /[\s[{,：，:\u3000-]/.test(text[at - 1] ?? " ")) quote = sign;
    else if (sign === "#" && /\s/.test(text[at - 1] ?? " ")) {
      const end = text.indexOf("\n", at);
      at = end < 0 ? text.length : end - 1;
    } else if (ascii.has(sign)) found.push(at);
  }
  return found;
};

const linesOf = (text: string, offsets: readonly number[]): number[] => {
  let [line, at] = [1, 0];
  return [
    ...new Set(
      offsets.map((offset) => {
        for (; at < offset; at++) if (text[at] === "\n") line++;
        return line;
      }),
    ),
  ];
};

/** The text with ASCII in the places of these signs; a blank of full width as wide as one or two. */
export const asciiMends = (text: string): Mend[] => {
  const found = places(text);
  const [first] = found;
  if (first === undefined) return [];
  const wrong = text[first] ?? "";
  const known = ascii.get(wrong);
  if (known === undefined) return [];
  const lines = linesOf(text, found);
  const others = lines.slice(1, 6).join(", ");
  const also =
    lines.length < 2
      ? ""
      : ` (the same in line${lines.length === 2 ? "" : "s"} ${others}${lines.length > 6 ? " …" : ""})`;
  return ["  ", " "].map((blank) => {
    const written = new Set(found);
    const mended = text
      .split("")
      .map((sign, at) => {
        if (!written.has(at)) return sign;
        if (sign === "\u3000") return blank;
        const plain = ascii.get(sign)?.sign ?? sign;
        return /\s/.test(text[at + 1] ?? " ") ? plain.trimEnd() || plain : plain;
      })
      .join("");
    const start = text.lastIndexOf("\n", first - 1) + 1;
    const before = text.slice(0, start).split("\n").length - 1;
    return {
      text: mended,
      start: first,
      end: first + 1,
      message: `a ${known.name} where YAML needs ASCII`,
      label: known.sign.trim() === "" ? "write a blank" : `write ${known.sign.trim()}`,
      line: `${mended.split("\n")[before]?.trim() ?? ""}${also}`,
    };
  });
};
