// Lays down the files of a new concern or rule: bin/new calls it with the root of the checkout and its own arguments.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const [root = "", kind, name = "", concern, ...more] = process.argv.slice(2);
const usage = "usage: new concern NAME | new rule NAME [CONCERN]; names of small letters, digits and -";

/** @returns {never} */
const fail = (text) => {
  process.stderr.write(`${text}\n`);
  process.exit(2);
};

const isName = (text) => /^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$/.test(text);
if (!["concern", "rule"].includes(kind) || !isName(name) || more.length > 0) fail(usage);
if (concern !== undefined && (kind !== "rule" || !isName(concern))) fail(usage);

const at = (path) => join(root, path);
const read = (path) => readFileSync(at(path), "utf8");
const identifier = name.replace(/-(.)/g, (_, letter) => letter.toUpperCase());

/** Everything is looked at before anything is written. */
const files = new Map();
const lay = (path, content) => {
  if (existsSync(at(path))) fail(`${path} is there already`);
  files.set(path, content);
};
const change = (path, pattern, replacement) => {
  const text = files.get(path) ?? read(path);
  const changed = text.replace(pattern, replacement);
  if (changed === text) fail(`${path} is not as it was when this was written: add ${name} by hand`);
  files.set(path, changed);
};

/** Imports stay in the order of their files. */
const addImport = (path, line) => {
  const text = files.get(path) ?? read(path);
  const lines = text.split("\n");
  const file = (each) => /from "([^"]+)"/.exec(each)?.[1] ?? "";
  const imports = lines.flatMap((each, index) => (/^import .* from "/.test(each) ? [index] : []));
  const next = imports.find((index) => file(lines[index]) > file(line));
  lines.splice(next ?? (imports.at(-1) ?? -1) + 1, 0, line);
  files.set(path, lines.join("\n"));
};

const steps = [];

if (kind === "concern") {
  if (existsSync(at(`src/node/${name}`))) fail(`src/node/${name} is there already`);
  lay(
    `src/node/${name}.ts`,
    `/** TODO: what of a node this is, and the guide row that it replaces. */
import type { Concern } from "./concern.ts";

export const ${identifier}: Concern = {
  name: "${name}",
  // All that it can add stands in Contribution, src/node/concern.ts: files, units, scripts, packages, checks, destinations …
  contribute: ({ profile: _profile, facts: _facts, header: _header }) => ({}),
};
`,
  );
  addImport("src/node/index.ts", `import { ${identifier} } from "./${name}.ts";`);
  change("src/node/index.ts", /(\nexport const concerns[^=]*= \[\n[\s\S]*?)(\n\];)/, `$1\n  ${identifier},$2`);
  steps.push(
    `src/node/${name}.ts: say what it is, and what it contributes`,
    `src/node/index.ts: move ${identifier} behind what it depends on; its checks run there`,
    "src/profile/schema/: its settings, when it has any; test/golden/everything/profile.yaml sets them, test/unit/schema.test.ts has defaults",
    "templates/systemd/ and templates/node/: its units and scripts, by the names that it gives; values through writers, {{comment header}} first",
    `npx vitest run --project fast test/golden test/docs -u: writes test/golden/concerns/${name}.yaml, and the pages that are made from code`,
  );
} else {
  const code = Array.from({ length: 100 }, (_, index) => `BK${100 + index}`).find(
    (each) => !read("src/error-codes.ts").includes(`  ${each}:`),
  );
  if (code === undefined) fail("no code from BK100 to BK199 is free");
  const inFolder = concern !== undefined;
  if (inFolder && !existsSync(at(`src/node/${concern}/index.ts`))) {
    fail(`src/node/${concern}/index.ts is not there: a concern with a rule of its own is a folder`);
  }
  const exported = `${identifier}Rule`;
  const file = inFolder ? `src/node/${concern}/${name}-rule.ts` : `src/profile/rules/${name}.ts`;
  lay(
    file,
    `import type { Rule } from "${inFolder ? "../../profile/rules/rule.ts" : "./rule.ts"}";

/** TODO: what goes wrong on a node with such a profile, and the guide row. */
export const ${exported}: Rule = {
  code: "${code}",
  // Paths of the profile that find reads: it is not asked while one of them has the wrong shape.
  reads: [],
  find: (_profile) => [],
};
`,
  );
  if (inFolder) {
    const index = `src/node/${concern}/index.ts`;
    addImport(index, `import { ${exported} } from "./${name}-rule.ts";`);
    if (/\n {2}rules: \[/.test(read(index))) change(index, /(\n {2}rules: \[)/, `$1${exported}, `);
    else change(index, /(: Concern = \{\n {2}name: "[^"]*",\n)/, `$1  rules: [${exported}],\n`);
  } else {
    addImport("src/profile/rules/index.ts", `import { ${exported} } from "./${name}.ts";`);
    change(
      "src/profile/rules/index.ts",
      /(\nexport const rulesAcross[^=]*= \[\n[\s\S]*?)(\n\];)/,
      `$1\n  ${exported},$2`,
    );
  }
  change(
    "src/error-codes.ts",
    /(\nexport const errorCodes = \{\n[\s\S]*?)(\n {2}BK2\d\d: \{)/,
    `$1\n  ${code}: {\n    title: "TODO",\n    text: "TODO: why it is an error, and what is behind it.",\n  },$2`,
  );
  lay(`test/negative/${name}/profile.yaml`, "extends: ../right.yaml\n");
  change("test/negative/codes.ts", /(\nexport const codesOf[^=]*= \{\n)/, `$1  "${name}": ["${code}"],\n`);
  steps.push(
    `${file}: what it reads and finds, under ${code}`,
    "src/error-codes.ts: its title and the paragraph behind it",
    `test/negative/${name}/profile.yaml: a profile that it refuses; one more folder for each of its other answers`,
    `npm test -- -u: writes test/negative/${name}/expected.txt and docs/errors.md; read what it wrote`,
  );
}

for (const [path, content] of files) {
  mkdirSync(dirname(at(path)), { recursive: true });
  writeFileSync(at(path), content);
  process.stdout.write(`${path}\n`);
}
process.stdout.write(`\nTo fill in:\n${steps.map((step) => `  ${step}\n`).join("")}`);
