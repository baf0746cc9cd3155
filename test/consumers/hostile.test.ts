/**
 * Every writer with strings that look like syntax, read back by the program that reads the format on a node: equal, or
 * refused with a RangeError. 10,000 strings each; HOSTILE_SEED chooses others.
 */
import { type SpawnSyncOptions, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { hclString } from "../../src/formats/hcl.ts";
import {
  agentConfigValue,
  environmentFile,
  fstabField,
  gitConfigSection,
  gitConfigValue,
  tsv,
} from "../../src/formats/lines.ts";
import { toToml } from "../../src/formats/toml.ts";
import { toYaml } from "../../src/formats/yaml.ts";
import { shellWord } from "../../src/formats/shell.ts";
import { hostileStrings, seed } from "../hostile.ts";
import { needs, toolPath } from "../needs.ts";

const all = hostileStrings(10_000);

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "bake-hostile-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The strings that the writer takes, with what it wrote; the others it must refuse by RangeError. */
const written = (write: (text: string) => string, texts: readonly string[] = all): { text: string; line: string }[] =>
  texts.flatMap((text) => {
    try {
      return [{ text, line: write(text) }];
    } catch (error) {
      expect(error).toBeInstanceOf(RangeError);
      return [];
    }
  });

const run = (file: string, args: readonly string[], options: SpawnSyncOptions = {}): string => {
  const result = spawnSync(file, args, { ...options, encoding: "utf8", maxBuffer: 2 ** 28 });
  expect(result.status, `${file}: ${result.stderr.slice(0, 2000)}`).toBe(0);
  return result.stdout;
};
const python = (code: string, input: string): unknown => JSON.parse(run("/usr/bin/python3", ["-c", code], { input }));

/** Compares one by one: a whole list's difference would be unreadable. */
const expectSame = (found: readonly unknown[], texts: readonly string[], least: number): void => {
  expect(texts.length).toBeGreaterThan(least);
  const different = texts.flatMap((text, index) => (found[index] === text ? [] : [[text.slice(0, 200), found[index]]]));
  expect(different.slice(0, 5), `seed ${seed}`).toEqual([]);
  expect(found.length).toBe(texts.length);
};

test("YAML, read by PyYAML: values", () => {
  const readYaml =
    "import json, sys, yaml; json.dump(yaml.load(sys.stdin, getattr(yaml, 'CSafeLoader', yaml.SafeLoader)), sys.stdout)";
  const found = python(readYaml, toYaml(all)) as string[];
  expectSame(found, all, 9000);
});

test("YAML, read by PyYAML: keys, and values beside them", () => {
  const keys = [...new Set(all.filter((text) => text.length < 100))];
  const readYaml =
    "import json, sys, yaml; json.dump([[k, v] for k, v in yaml.load(sys.stdin, getattr(yaml, 'CSafeLoader', yaml.SafeLoader)).items()], sys.stdout)";
  const found = python(
    readYaml,
    toYaml(Object.fromEntries(keys.map((key, index) => [`k${key}`, keys.at(-index - 1)]))),
  ) as string[][];
  expectSame(
    found.map(([key]) => key),
    keys.map((key) => `k${key}`),
    5000,
  );
  expectSame(
    found.map(([, value]) => value),
    keys.map((_, index) => keys.at(-index - 1) ?? ""),
    5000,
  );
});

needs("packer").test("HCL, read by Packer", () => {
  // One line a value, and lines of 64 KiB are longer than the console takes.
  const lines = written(
    hclString,
    all.filter((text) => text.length < 10_000),
  );
  const answer = run(toolPath("packer"), ["console", "--config-type=hcl2"], {
    input: lines.map(({ line }) => `jsonencode(${line})\n`).join(""),
  });
  expectSame(
    answer
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as unknown),
    lines.map(({ text }) => text),
    9000,
  );
});

test.each(["bash", "dash"])("shell words, read by %s", (shell) => {
  const words = written(shellWord);
  const script = words.map(({ line }) => `printf '%s\\0' ${line}\n`).join("");
  expectSame(
    run(shell, [], { input: script }).split("\0").slice(0, -1),
    words.map(({ text }) => text),
    7000,
  );
});

test("environment files, sourced by bash", () => {
  const variables = written((text) => environmentFile({ A: text }).replace(/^A=/, "").trimEnd());
  writeFileSync(join(folder, "environment"), variables.map(({ line }, index) => `V${index}=${line}\n`).join(""));
  const script = `. ${join(folder, "environment")}; for ((i = 0; i < ${variables.length}; i++)); do n=V$i; printf '%s\\0' "\${!n}"; done`;
  expectSame(
    run("bash", ["-c", script]).split("\0").slice(0, -1),
    variables.map(({ text }) => text),
    5000,
  );
});

test("git configuration, read by git: values and sections", () => {
  const values = written(gitConfigValue);
  const file = join(folder, "gitconfig");
  writeFileSync(file, `[a]\n${values.map(({ line }) => `\tb = ${line}\n`).join("")}`);
  const list = (): string[] => run("git", ["config", "--file", file, "--list", "-z"]).split("\0").slice(0, -1);
  expectSame(
    list().map((entry) => entry.slice("a.b\n".length)),
    values.map(({ text }) => text),
    5000,
  );
  const sections = written(gitConfigSection, [...new Set(all.filter((text) => text.length < 10_000))]);
  writeFileSync(file, sections.map(({ line }) => `[url ${line}]\n\tinsteadOf = x\n`).join(""));
  expectSame(
    list().map((entry) => entry.slice("url.".length, -".insteadof\nx".length)),
    sections.map(({ text }) => text),
    5000,
  );
});

test("fstab, read by findmnt", () => {
  const fields = written(
    fstabField,
    all.filter((text) => text.length < 1000),
  ).filter(({ text }) => !text.includes("\n"));
  const file = join(folder, "fstab");
  // The target: what bake puts there comes from the profile.
  writeFileSync(file, fields.map(({ line }) => `UUID=1 /m${line} ext4 defaults 0 0\n`).join(""));
  const { filesystems } = JSON.parse(run("findmnt", ["--fstab", "--tab-file", file, "--json", "-o", "TARGET"])) as {
    filesystems: { target: string }[];
  };
  expectSame(
    filesystems.map(({ target }) => target),
    fields.map(({ text }) => `/m${text}`),
    4000,
  );
});

test("TOML, read by Python", () => {
  const found = python(
    "import json, sys, tomllib; json.dump(tomllib.loads(sys.stdin.buffer.read().decode())['t']['list'], sys.stdout)",
    toToml({ t: { list: all } }),
  );
  expectSame(found as string[], all, 9000);
});

test("tab-separated lists, read by bash", () => {
  const fields = written((text) => tsv([[text, "end"]]));
  const script = `while IFS=$'\\t' read -r one two; do printf '%s\\0' "$one"; [ "$two" = end ] || exit 9; done`;
  const found = run("bash", ["-c", script], { input: fields.map(({ line }) => line).join("") })
    .split("\0")
    .slice(0, -1);
  expectSame(
    found,
    fields.map(({ text }) => text),
    4000,
  );
});

needs("buildkite-agent").describe("buildkite-agent.cfg", () => {
  test("values, read by the agent: as it registers with them", async () => {
    const agent = toolPath("buildkite-agent");
    // Its tags are a list: no commas, and it trims them. One line of a file is 64 KiB at most for it.
    const usable = all.filter(
      (text) => text.length < 100 && !text.includes(",") && text.trim() === text && text !== "",
    );
    // In one value: those with hashes, then those with single quotes.
    const size = 400;
    const batches = [/^[^']*$/, /^[^#]*'[^#]*$/].flatMap((kind) => {
      const values = written(
        agentConfigValue,
        usable.filter((text) => kind.test(text)),
      );
      return Array.from({ length: Math.ceil(values.length / size) }, (_, index) =>
        values.slice(index * size, (index + 1) * size),
      );
    });
    const seen: string[] = [];
    const server = createServer((request, response) => {
      let body = "";
      request.on("data", (data: Buffer) => (body += data.toString()));
      request.on("end", () => {
        if (request.url?.endsWith("/register") === true)
          seen.push(...(JSON.parse(body) as { meta_data: string[] }).meta_data);
        response.writeHead(401, { "content-type": "application/json" }).end('{"message":"that is all"}');
      });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const found: string[] = [];
    for (const some of batches) {
      const config = join(folder, "agent.cfg");
      const value = `"${some.map(({ line }, index) => `t${index}=${line.slice(1, -1)}`).join(",")}"`;
      writeFileSync(
        config,
        `token="x"\nendpoint="http://127.0.0.1:${(server.address() as AddressInfo).port}/v3"\nbuild-path="${folder}"\nhooks-path="${folder}"\ntags=${value}\n`,
      );
      seen.length = 0;
      const child = spawn(agent, ["start", "--config", config, "--spawn", "1"], {
        env: { PATH: process.env["PATH"] ?? "", HOME: folder },
        stdio: "ignore",
      });
      const ended = once(child, "exit");
      while (seen.length === 0 && child.exitCode === null) await sleep(20);
      child.kill("SIGKILL");
      await ended;
      // It registers them in no order.
      const tags = new Map(seen.map((tag) => [/^t\d+(?==)/.exec(tag)?.[0], tag.replace(/^t\d+=/, "")]));
      found.push(...some.map((_, index) => tags.get(`t${index}`) ?? ""));
    }
    server.close();
    expectSame(
      found,
      batches.flat().map(({ text }) => text),
      2000,
    );
  });
});
