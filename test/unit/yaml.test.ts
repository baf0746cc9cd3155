/** The writer of YAML against the yaml package, which writes the same bytes and takes longer. */
import { expect, test } from "vitest";
import { Document, Scalar, visit } from "yaml";
import { toYaml } from "../../src/formats/yaml.ts";
import { hostileStrings, seed } from "../hostile.ts";

const mergeTag = "tag:yaml.org,2002:merge";
const plain = /^[A-Za-z_/][A-Za-z0-9_/.@%+-]*( [A-Za-z0-9_/.@%+-]+)*$/;
const looksTyped = /^(y|n|yes|no|on|off|true|false|null|~)$/i;

const canBeBlock = (text: string): boolean =>
  /^[\x21-\x7e]/.test(text) && /[^\n]\n$/.test(text) && !/ \n/.test(text) && /^[\x20-\x7e\n]*$/.test(text);

const byPackage = (value: object): string => {
  const document = new Document(value, {
    version: "1.1",
    aliasDuplicateObjects: false,
    // Else the text `<<` is written as a merge key, without quotes.
    customTags: (tags) => tags.filter((tag) => tag !== "merge" && !(typeof tag === "object" && tag.tag === mergeTag)),
  });
  visit(document, {
    Scalar(key, node) {
      if (typeof node.value !== "string") return;
      if (key !== "key" && canBeBlock(node.value)) node.type = Scalar.BLOCK_LITERAL;
      else node.type = plain.test(node.value) && !looksTyped.test(node.value) ? Scalar.PLAIN : Scalar.QUOTE_DOUBLE;
    },
  });
  return document
    .toString({ lineWidth: 0, directives: false, doubleQuotedMinMultiLineLength: 1e9 })
    .replace(/^%YAML 1\.1\n---\n/, "")
    .replace(/[^\n\x20-\x7e]/gu, (character) => {
      const code = character.codePointAt(0) ?? 0;
      return code > 0xffff ? `\\U${code.toString(16).padStart(8, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
    });
};

const strings = [
  ...hostileStrings(1000),
  ...["", "a-", "a b", "a  b", "x\n", "x\n\ny\n", "x \ny\n", " x\n", "\nx\n", "x\n\n", "---\n", "%a\n", "...\n", "#\n"],
  ...["a \\n", "a \n b", "\u0000\u0007\u000b\u001b\u0085\u00a0\u2028\ud800", "\u007f", "yes", "No", "<<", "=", "\t"],
  ...["x".repeat(2000), `${"x y ".repeat(500)}z`, "line of words\n".repeat(300)],
];

/** Strings, other values, lists and maps in each other, four levels deep. */
const nested = (next: () => number, depth: number): unknown => {
  const kind = next() % (depth > 3 ? 5 : 9);
  const text = (): string => strings[next() % strings.length] ?? "";
  const size = next() % 4;
  if (kind < 3) return text();
  if (kind === 3) return [0, -7, 1.5, 1e21, 1e-9, 4096][next() % 6];
  if (kind === 4) return [true, false, null][next() % 3];
  if (kind < 7) return Array.from({ length: size }, () => nested(next, depth + 1));
  return Object.fromEntries(Array.from({ length: size }, () => [text(), nested(next, depth + 1)]));
};

test("each string in each place", () => {
  for (const text of strings) {
    const value = {
      [text]: text,
      a: [text, [text], { [text]: text, b: { c: text } }],
      d: { [text]: { [text]: [text] } },
    };
    expect(toYaml(value), `${JSON.stringify(text)}, seed ${seed}`).toBe(byPackage(value));
    expect(toYaml([text, { [text]: [] }])).toBe(byPackage([text, { [text]: [] }]));
  }
});

test("lists and maps in each other", () => {
  let state = seed;
  const next = (): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return state >>> 8;
  };
  for (let count = 0; count < 300; count++) {
    const value = { top: nested(next, 0), also: nested(next, 0) };
    expect(toYaml(value), `seed ${seed}`).toBe(byPackage(value));
  }
});

test("what says nothing is left out; what YAML has no text for is refused", () => {
  expect(toYaml({ a: undefined, b: {}, c: { d: undefined }, e: [] })).toBe("b: {}\nc: {}\ne: []\n");
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, [undefined], () => 1, 1n, Symbol("x")])
    expect(() => toYaml({ value })).toThrow(RangeError);
});
