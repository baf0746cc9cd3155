/** A step that failed shows the last lines of the program, and where the whole of it is. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { AgentApi } from "../../src/check/agent-api/server.ts";
import { runJob } from "../../src/check/job-run.ts";
import { withLogs } from "../../src/check/node-says.ts";
import { BakeError } from "../../src/errors.ts";
import { type Host, runProcess } from "../../src/host/host.ts";
import { outputFolder } from "../../src/host/program-output.ts";
import { system } from "../../src/host/system.ts";
import { bootstrap } from "../../src/trial/base-tree.ts";
import { startQemu } from "../../src/vm/qemu.ts";

let folder = "";
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "bake-output-"))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const { signal } = new AbortController();
const run = (...command: readonly [string, ...string[]]): Promise<BakeError> =>
  runProcess(
    signal,
    process.env,
    outputFolder(folder),
  )(command[0], command.slice(1)).then(
    () => {
      throw new Error("it went well");
    },
    (error: BakeError) => error,
  );

const lines = (count: number): string => Array.from({ length: count }, (_, index) => `line ${index + 1}`).join("\n");

/** The file that a help names on its last line. */
const named = (help: string | undefined): string => {
  const [, file = ""] = /\nlog: (\S+)$/.exec(help ?? "") ?? [];
  return readFileSync(file, "utf8");
};

test("the last twelve lines, and a file with all of both streams that its owner alone reads", async () => {
  const { code, message, help } = await run("sh", "-c", "echo fetched; seq -f 'line %.0f' 1 40 >&2; exit 3");
  expect([code, message]).toEqual(["BK302", "sh -c echo fetched; seq -f 'line %.0f' 1 40 >&2; exit 3: exited 3"]);
  const [file = ""] = readdirSync(outputFolder(folder));
  expect(file).toMatch(/^sh-\d{8}T\d{9}Z\.log$/);
  expect(help).toBe(`${lines(40).split("\n").slice(-12).join("\n")}\nlog: ${join(folder, "log", file)}`);
  expect(named(help)).toBe(
    `$ sh -c echo fetched; seq -f 'line %.0f' 1 40 >&2; exit 3\n--- standard output\nfetched\n--- standard error\n${lines(40)}\n`,
  );
  expect(statSync(join(folder, "log", file)).mode & 0o777).toBe(0o600);
});

test("what is shown whole has no file", async () => {
  expect((await run("sh", "-c", "echo no; exit 1")).help).toBe("no");
  expect((await run("sh", "-c", "exit 1")).help).toBe("");
  expect(() => readdirSync(outputFolder(folder))).toThrow("ENOENT");
});

test("where no file can be written, the last lines are told all the same", async () => {
  writeFileSync(outputFolder(folder), "in the way");
  expect((await run("sh", "-c", "seq -f 'line %.0f' 1 20; exit 1")).help).toBe(
    lines(20).split("\n").slice(-12).join("\n"),
  );
});

test("fifty of these files stay, the newest; nothing else goes", async () => {
  mkdirSync(outputFolder(folder));
  const old = Array.from({ length: 60 }, (_, index) => `z-20200101T0000${String(index).padStart(2, "0")}000Z.log`);
  for (const name of [...old, "notes.txt"]) writeFileSync(join(outputFolder(folder), name), "");
  const { help } = await run("sh", "-c", "seq 20; exit 1");
  expect(named(help)).toContain("\n20\n");
  const there = readdirSync(outputFolder(folder));
  expect(there).toContain("notes.txt");
  expect(there.filter((name) => name.startsWith("z-")).toSorted()).toEqual(old.slice(-49));
});

const answering = (exitCode: number, stderr: string): Host =>
  ({
    ...system,
    run: () => Promise.resolve({ exitCode, stdout: "", stderr }),
    env: {},
    cacheDir: folder,
    signal,
  }) as unknown as Host;

test("programs whose end bake judges itself: QEMU, the base's bootstrap", async () => {
  const qemu = startQemu(answering(1, `${lines(30)}\n`), "qemu-system-x86_64", ["-smp", "2"]);
  const { code, help } = await qemu.then(
    () => new BakeError("BK508", "it went well"),
    (error: BakeError) => error,
  );
  expect(code).toBe("BK505");
  expect(help).toMatch(/^line 19\n/);
  expect(named(help)).toBe(`$ qemu-system-x86_64 -smp 2\n--- standard error\n${lines(30)}\n`);

  const base = await bootstrap({ ...answering(1, `${lines(30)}\n`), architecture: "x64" }, folder, {
    architecture: "x86_64",
    include: ["a"],
    mirror: "http://mirror",
    update: () => undefined,
  }).then(String, (error: BakeError) =>
    error.help?.replace("\nNothing was kept; run it again when packages can be fetched.", ""),
  );
  expect(base).toMatch(/^line 19\n/);
  expect(named(base)).toMatch(/^\$ mmdebstrap trixie http:\/\/mirror\n[^]*\nline 30\n$/);
});

test("a job of a check: all that it printed is kept, of both tries, also when it is lost", async () => {
  const spec = { agent: "node-1-2cards", command: "true", timeoutMs: 1 };
  const logFile = join(folder, "job.log");
  const asked = { job: spec, logFile, onSecond: (why: string) => void seconds.push(why), signal };
  const seconds: string[] = [];
  const lost =
    "#1 [internal] booting buildkit\nERROR: failed to receive status: rpc error: code = Unavailable desc = x";
  const answers = [lost, `${lines(50)}\n`];
  const api: Pick<AgentApi, "runJob"> = {
    runJob: ({ agent, onEnd }) => {
      const log = answers.shift() ?? "";
      onEnd?.(log);
      return log === ""
        ? Promise.reject(new BakeError("BK501", "was lost"))
        : Promise.resolve({ agent, exitStatus: answers.length, log, seconds: 1 });
    },
  };
  const result = await runJob(api, asked);
  expect(result).toMatchObject({ exitStatus: 0, logFile });
  expect(seconds.length).toBe(1);
  expect(readFileSync(logFile, "utf8")).toBe(`${lost}\n${lines(50)}\n`);
  await expect(runJob(api, asked)).rejects.toMatchObject({ code: "BK501" });
  expect(withLogs(new BakeError("BK501", "was lost", "line 50"), folder)).toMatchObject({
    code: "BK501",
    message: "was lost",
    help: `line 50\nlogs: ${folder}`,
  });
});
