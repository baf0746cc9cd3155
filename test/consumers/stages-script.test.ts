/** stages.sh in the build VM: the same commands in the same order, whole or from a layer on, and the wait behind each stage. */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { root } from "../../src/host/root.ts";

let folder = "";
let server: Server;
let port = 0;
/** Paths that were asked for, and those that are there. */
let asked: string[] = [];
let there = new Set<string>();
const at = (...path: string[]): string => join(folder, ...path);

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "bake-stages-"));
  for (const name of ["upload", "bin", "etc", "run/cloud-init", "var/lib/cloud/instance"])
    mkdirSync(at(name), { recursive: true });
  for (const name of ["provision.sh", "seed.sh"])
    writeFileSync(at("upload", name), `echo "${name} \${*:2}"; [ "\${2-}" != "\${FAILS-none}" ]\n`);
  for (const name of ["fstrim", "sync", "sleep"])
    writeFileSync(at("bin", name), `#!/bin/sh\n[ ${name} != sleep ] || exec /bin/sleep 0.05\n`, { mode: 0o755 });
  // The machine's own paths are left alone.
  const text = readFileSync(join(root, "templates/node/stages.sh"), "utf8")
    .replaceAll(/(?<![\w$/])\/(etc|run|var)\//g, `${folder}/$1/`)
    .replace("seq 300", "seq 20");
  writeFileSync(at("stages.sh"), text);
  asked = [];
  there = new Set();
  server = createServer((request, response) => {
    asked.push(request.url ?? "");
    response.statusCode = there.has(request.url ?? "") ? 200 : 404;
    response.end();
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  port = typeof address === "object" && address !== null ? address.port : 0;
});
afterEach(() => {
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

/** @param answers Whether bake answers that it has a layer, for each of which it is told. */
const run = (env: Readonly<Record<string, string>>, answers = true) =>
  new Promise<{ code: number | null; lines: string[] }>((done) => {
    const child = spawn("bash", ["--norc", at("stages.sh"), at("upload")], {
      env: { PATH: `${at("bin")}:/usr/bin:/bin`, BAKE_ARTIFACTS: `http://127.0.0.1:${port}`, ...env },
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (data: Buffer) => {
        output += data.toString();
        const stage = /bake: layer (\w+)\n$/.exec(output)?.[1];
        if (answers && stage !== undefined) setTimeout(() => there.add(`/tmp/answer-${stage}`), 100);
      });
    child.on("close", (code) => done({ code, lines: output.trimEnd().split("\n") }));
  });

const whole = [
  ...["bake: stage base", "provision.sh base", "bake: stage runtime", "provision.sh runtime"],
  ...["bake: stage payload", "provision.sh payload", "seed.sh ", "bake: stage node", "provision.sh node"],
];
const commandsIn = (lines: readonly string[]): string[] => lines.filter((line) => !/^bake: (no )?layer/.test(line));

test("without bake, as plain packer runs it, no layer is waited for", async () => {
  expect(await run({})).toEqual({ code: 0, lines: whole });
  // As the template passes what is not set.
  expect(await run({ BAKE_LAYERS: "", BAKE_STAGES: "" })).toEqual({ code: 0, lines: whole });
  expect(asked).toEqual([]);
  expect(existsSync(at("etc/cloud"))).toBe(false);
});

test("with layers it does the same in the same order, and goes on when bake has each", async () => {
  writeFileSync(at("var/lib/cloud/instance/boot-finished"), "");
  const { code, lines } = await run({ BAKE_LAYERS: "tmp/answer" });
  expect(code).toBe(0);
  expect(commandsIn(lines)).toEqual(whole);
  expect(lines.filter((line) => line.includes("layer"))).toEqual(
    ["base", "runtime", "payload"].map((stage) => `bake: layer ${stage}`),
  );
  expect(lines[2]).toBe("bake: layer base");
  // Seed and all: behind what it is of.
  expect(lines.indexOf("bake: layer payload")).toBe(lines.indexOf("seed.sh ") + 1);
  expect(new Set(asked)).toEqual(new Set(["base", "runtime", "payload"].map((stage) => `/tmp/answer-${stage}`)));
  // The next boot waits for its own cloud-init.
  expect(existsSync(at("var/lib/cloud/instance/boot-finished"))).toBe(false);
  expect(existsSync(at("etc/cloud/cloud-init.disabled"))).toBe(false);
});

test.each([
  ["runtime payload node", 2],
  ["payload node", 4],
  ["node", 7],
])("from a layer on it does the rest: %s", async (stages, from) => {
  const { code, lines } = await run({ BAKE_LAYERS: "tmp/answer", BAKE_STAGES: stages });
  expect(code).toBe(0);
  expect(commandsIn(lines)).toEqual(whole.slice(from));
});

test("without an answer it says so, and goes on", async () => {
  const { code, lines } = await run({ BAKE_LAYERS: "tmp/answer" }, false);
  expect(code).toBe(0);
  expect(commandsIn(lines)).toEqual(whole);
  expect(lines.filter((line) => line.startsWith("bake: no layer"))).toHaveLength(3);
});

test("cloud-init that had no part in this boot has none in those from a layer", async () => {
  writeFileSync(at("run/cloud-init/disabled"), "");
  await run({ BAKE_LAYERS: "tmp/answer", BAKE_STAGES: "payload node" });
  expect(existsSync(at("etc/cloud/cloud-init.disabled"))).toBe(true);
});

test("cloud-init that a stage has installed counts as none too: the boot began without it", async () => {
  rmSync(at("run/cloud-init"), { recursive: true });
  writeFileSync(at("upload/provision.sh"), `mkdir -p ${at("run/cloud-init")}\n`);
  const { code } = await run({ BAKE_LAYERS: "tmp/answer" });
  expect(code).toBe(0);
  expect(existsSync(at("etc/cloud/cloud-init.disabled"))).toBe(true);
});

test("a stage that fails ends it: there is no layer of it", async () => {
  const { code, lines } = await run({ BAKE_LAYERS: "tmp/answer", FAILS: "runtime" });
  expect(code).toBe(1);
  expect(lines.at(-1)).toBe("provision.sh runtime");
});
