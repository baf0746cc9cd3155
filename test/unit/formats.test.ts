import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import {
  agentConfigValue,
  environmentFile,
  fstabField,
  gitConfigSection,
  gitConfigValue,
  tsv,
  unitValue,
  unitWord,
} from "../../src/formats/lines.ts";
import { checksumOf } from "../../src/formats/checksum-file.ts";
import { shellWord } from "../../src/formats/shell.ts";
import { hclString } from "../../src/formats/hcl.ts";
import { toToml } from "../../src/formats/toml.ts";
import { toYaml } from "../../src/formats/yaml.ts";
import { renderTemplate } from "../../src/render/templates.ts";

test("HCL: neither quotes nor templates get out of a string", () => {
  expect(hclString('a"b\\c\n${d} %{e} $f\u0007')).toBe('"a\\"b\\\\c\\n$${d} %%{e} $f\\u0007"');
});

test("YAML: what YAML 1.1 would take for something else is quoted, and the text is ASCII", () => {
  expect(toYaml({ a: "yes", b: "0755", c: "1:30", d: "é\u0085😀", e: "x: y", f: "=", g: "plain words" })).toBe(
    'a: "yes"\nb: "0755"\nc: "1:30"\nd: "\\u00e9\\u0085\\U0001f600"\ne: "x: y"\nf: "="\ng: plain words\n',
  );
  expect(toYaml({ a: "one\ntwo\n" })).toBe("a: |\n  one\n  two\n");
});

test.each([
  ["shell", shellWord("it's $HOME"), String.raw`'it'\''s $HOME'`],
  ["unit", unitValue("100% \\ done"), String.raw`100%% \\ done`],
  ["unit word", unitWord('a "$b" %c'), String.raw`"a \"$$b\" %%c"`],
  ["fstab", fstabField("/mnt/a b#c\\"), String.raw`/mnt/a\040b\043c\134`],
  ["git value", gitConfigValue('a"b\\c\n'), String.raw`"a\"b\\c\n"`],
  ["git section", gitConfigSection('a"b\\c'), String.raw`"a\"b\\c"`],
  ["environment", environmentFile({ A: 'x"y$z`\\' }), 'A="x\\"y\\$z\\`\\\\"\n'],
  ["agent cfg", agentConfigValue("--depth=1 #x"), '"--depth=1 #x"'],
  ["tsv", tsv([["a", "b c"]]), "a\tb c\n"],
])("%s", (_name, written, wanted) => {
  expect(written).toBe(wanted);
});

describe("what a format cannot hold is refused", () => {
  test.each([
    ["a line break in an environment file", () => environmentFile({ A: "a\nb" })],
    ["a line break in a unit", () => unitValue("a\nb")],
    ["a quote in the agent's cfg", () => agentConfigValue('a"b')],
    ["a tab in a list", () => tsv([["a\tb"]])],
    ["an empty field in a list", () => tsv([["", "b"]])],
    ["NUL in a shell word", () => shellWord("\0")],
  ])("%s", (_name, write) => {
    expect(write).toThrow(RangeError);
  });
});

describe("templates", () => {
  test("a value without a writer is refused", () => {
    expect(() => renderTemplate("t", "a = {{value}}", { value: "x" })).toThrow(/needs a writer/);
    expect(() => renderTemplate("t", "{{#if value}}{{{value}}}{{/if}}", { value: "x" })).toThrow(/needs a writer/);
  });

  test("an unknown variable is refused", () => {
    expect(() => renderTemplate("t", "a = {{hcl missing}}", {})).toThrow();
  });

  test("values go through the writer", () => {
    expect(renderTemplate("t", "a = {{hcl value}}", { value: 'q"${x}' })).toBe('a = "q\\"$${x}"');
  });
});

test("TOML is read back by Python's reader", () => {
  const tables = {
    "worker.oci": {
      gc: true,
      gckeepstorage: 20_000,
      "odd key": 'quotes " and \\ and \n ${x} %{y} {{z}} # \u00e9 \u{1f600} \u0000 \u0007',
    },
    'registry."docker.io"': { mirrors: ["mirror.example:5000/path", 'a"b\\c\u007f'] },
  };
  const read = execFileSync(
    "/usr/bin/python3",
    ["-c", "import sys,json,tomllib; print(json.dumps(tomllib.loads(sys.stdin.buffer.read().decode())))"],
    { input: toToml(tables), encoding: "utf8" },
  );
  expect(JSON.parse(read)).toEqual({
    worker: { oci: tables["worker.oci"] },
    registry: { "docker.io": tables['registry."docker.io"'] },
  });
  expect(() => toToml({ table: { key: "\ud800" } })).toThrow(RangeError);
});

describe("checksum files", () => {
  const [one, two] = ["1".repeat(64), "2".repeat(64)];
  test.each([
    ["the name after two blanks", `${two}  other\n${one}  crane.tar.gz\n`, { sha256: one }],
    ["a binary file, upper case, CRLF", `${"A".repeat(64)} *crane.tar.gz\r\n`, { sha256: "a".repeat(64) }],
    ["BSD", `SHA256 (crane.tar.gz) = ${one}\n`, { sha256: one }],
    ["one digest alone", `${one}\n`, { sha256: one }],
    ["a path, when no line has the very name", `${one}  dist/crane.tar.gz\n`, { sha256: one }],
    ["the very name before a path", `${two}  dist/crane.tar.gz\n${one}  ./crane.tar.gz\n`, { sha256: one }],
    ["nothing", " \n", { problem: "empty" }],
    ["a page", "<!DOCTYPE html>", { problem: "web page" }],
    ["sha1", `${"1".repeat(40)}  crane.tar.gz\n`, { problem: "no checksums" }],
    ["others", `${one}  a\n${two}  b\n`, { problem: "not named", files: ["a", "b"] }],
    ["two digests", `${one}  crane.tar.gz\n${two}  crane.tar.gz\n`, { problem: "ambiguous", digests: [one, two] }],
  ])("%s", (_name, text, wanted) => {
    expect(checksumOf(text, "crane.tar.gz")).toEqual(wanted);
  });
});
