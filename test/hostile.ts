/** Strings that break writers: fragments that some format takes for syntax, in any order. The same seed gives the same strings. */

/** Another seed by HOSTILE_SEED; tests name it when they fail. */
export const seed = Number(process.env["HOSTILE_SEED"] ?? 20_261_125);

/** mulberry32: small, and the same everywhere. */
const random = (start: number): (() => number) => {
  let state = start >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
};

const fragments = [
  ...['"', "'", "`", "\\", "\\\\", "\\n", "\\0", '\\"', "\n", "\r", "\r\n", "\t", "\0", "\u0007", "\u001b", "\u007f"],
  ...[
    "${",
    "${x}",
    "$${",
    "$x",
    "$(id)",
    "%{",
    "%{ if true }",
    "%%",
    "%h",
    "%n",
    "{{",
    "{{x}}",
    "{{{",
    "}}",
    "{%",
    "#",
    " #",
    "# x",
  ],
  ...[
    ": ",
    ":",
    "- ",
    "-",
    "--",
    "? ",
    "! ",
    "!!int 1",
    "&a",
    "*a",
    "|",
    ">",
    "@",
    "=",
    "==",
    ";",
    ",",
    "[",
    "]",
    "{",
    "}",
    "<<",
    "...",
  ],
  ...[
    "yes",
    "no",
    "on",
    "off",
    "y",
    "n",
    "true",
    "null",
    "~",
    "NaN",
    ".inf",
    "0x1f",
    "0o17",
    "0755",
    "1e3",
    "1_000",
    "1:30",
    "2026-11-25",
  ],
  ...[
    "\ufeff",
    "\u0085",
    "\u00a0",
    "\u2028",
    "\u2029",
    "\u200b",
    "\u202e",
    "é",
    "队列",
    "\u{1f600}",
    "\u{10ffff}",
    "e\u0301",
  ],
  ...[
    " ",
    "  ",
    "a",
    "b c",
    "path/to",
    "../..",
    "/",
    "*",
    "?",
    "~root",
    "!x",
    "<<EOF",
    "EOF",
    "\\x41",
    "\\u0041",
    "[section]",
    "key=value",
    "AUTO",
  ],
];

/** `count` strings; a few of them have 64 KiB. */
export const hostileStrings = (count: number, from = seed): string[] => {
  const next = random(from);
  const pick = (): string => fragments[Math.floor(next() * fragments.length)] ?? "";
  return Array.from({ length: count }, (_, index) => {
    const long = index % 2500 === 1234;
    const pieces = long ? 20_000 : 1 + Math.floor(next() * 7);
    const text = Array.from({ length: pieces }, pick).join("");
    return long ? text.slice(0, 65_536).replace(/[\ud800-\udbff]$/, "") : text;
  });
};
