/** Forms, options and directives that are newer than the oldest system: none of what a node runs has one. */
import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { isAtLeast } from "../../src/formats/version.ts";
import { directives, floor, newerForms, newerValues } from "./newer-forms.ts";
import { bashScripts, checkCommands, hostScript, pythonScripts, units } from "./scripts-of-nodes.ts";

test.each([...newerForms, ...newerValues])(
  "$of $since: the pattern of `$example` knows it",
  ({ of, since, pattern, example }) => {
    expect(example).toMatch(pattern);
    expect(isAtLeast(since, floor[of]) && since !== floor[of]).toBe(true);
  },
);

/** Without comments, which may name what is not used. */
const code = (text: string): string => text.replaceAll(/^\s*#.*$/gm, "");

describe("scripts and check commands", () => {
  const texts = [...bashScripts, ...checkCommands, hostScript];
  test.each(newerForms.map((form) => [`${form.of} ${form.since}: ${form.example}`, form] as const))(
    "have none of %s",
    (_, form) => {
      const found = texts.flatMap(({ name, text }) =>
        code(text)
          .split("\n")
          .filter((line) => form.pattern.test(line) && !allowed(name, line))
          .map((line) => `${name}: ${line.trim()}`),
      );
      expect(found).toEqual([]);
    },
  );
});

/** The agents' hook gives a job an EPOCHSECONDS because older ones have none. */
const allowed = (name: string, line: string): boolean =>
  name.endsWith("/hooks/environment") && /\bEPOCHSECONDS\b/.test(line);

describe("units", () => {
  test("have directives that systemd 239 knows", () => {
    const unknown = units.flatMap(({ name, text }) =>
      [...text.matchAll(/^([A-Z]\w*)=/gm)]
        .filter(([, directive = ""]) => !((directives[directive] ?? Number.POSITIVE_INFINITY) <= Number(floor.systemd)))
        .map(([, directive]) => `${name}: ${directive}`),
    );
    expect(unknown).toEqual([]);
    expect(units.length).toBeGreaterThan(15);
  });

  test.each(newerValues)("have none of systemd $since: $example", ({ pattern }) => {
    expect(units.filter(({ text }) => pattern.test(text)).map(({ name }) => name)).toEqual([]);
  });
});

test("scripts in Python are read by the grammar of 3.6", () => {
  expect(pythonScripts.length).toBeGreaterThanOrEqual(3);
  for (const { name, text } of pythonScripts) {
    // Its parser takes the grammar of earlier releases, too.
    const { stderr } = spawnSync(
      "python3",
      ["-c", "import ast, sys; ast.parse(sys.stdin.read(), feature_version=(3, 6))"],
      {
        input: text,
        encoding: "utf8",
      },
    );
    expect(stderr, name).toBe("");
    // Methods that came later.
    expect(text, name).not.toMatch(/\.remove(prefix|suffix)\(|capture_output=|subprocess\.run\([^)]*\btext=/);
  }
});
