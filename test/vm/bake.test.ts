/** The whole path on the real tools: bake, boot, check; then what can go wrong. Takes minutes under TCG. */
import { spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { storePath } from "../../src/store/store.ts";
import { root } from "../../src/host/root.ts";
import { bake, cache, goldenFolder } from "./golden-image.ts";

const workFolders = (): string[] => readdirSync(join(cache, "work")).filter((name) => name.startsWith("bake-"));

/** Where the other VM tests find what is baked here. */
const folder = goldenFolder;
const result = join(folder, "out/2cards-trial");

describe("bake image --profile 2cards --trial", () => {
  let first: { readonly code: number; readonly output: string };

  beforeAll(() => {
    mkdirSync(folder, { recursive: true });
    rmSync(result, { recursive: true, force: true });
  });

  test("bakes an image that boots twice, with four agents that build", async () => {
    first = await bake(folder, ["image", "--profile", "2cards", "--trial"]);
    expect(first.code, first.output).toBe(0);
    for (const index of [1, 2, 3, 4]) {
      const jobs = first.output.match(
        new RegExp(`^  bake-check-2cards-${index}-2cards: exit 0 in .*: [2-9] steps CACHED$`, "gm"),
      );
      expect(jobs, `agent ${index}`).toHaveLength(2);
    }
    // Row by row: what a VM cannot prove says so, nothing failed.
    const rows = [...first.output.matchAll(/^ +(G\d+) .*? (passed|failed|not checked) /gm)].map(([, row, outcome]) => [
      row,
      outcome,
    ]);
    expect(rows).toHaveLength(28);
    const left = ["G5", "G11", "G12", "G25", "G26", "G28"];
    for (const [row, outcome] of rows) {
      expect(outcome, row).toMatch(left.includes(row ?? "") ? /^(passed|not checked)$/ : /^passed$/);
    }
  });

  test("image.json says what was baked, and the image stands alone", () => {
    const record = JSON.parse(readFileSync(join(result, "image.json"), "utf8")) as Record<string, unknown>;
    expect(record).toMatchObject({ profile: "2cards", trial: true, target: "qemu", file: "image.qcow2" });
    expect(record["bakeId"]).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(first.output).toContain(String(record["sha256"]));
    // A backing file would have its name in the first cluster.
    expect(readFileSync(join(result, "image.qcow2")).subarray(8, 16)).toEqual(Buffer.alloc(8));
  });

  test("nothing is left in the work folder", () => {
    expect(workFolders()).toEqual([]);
  });

  test("a second run bakes nothing", async () => {
    const again = await bake(folder, ["image", "--profile", "2cards", "--trial", "--no-check"]);
    expect(again.code, again.output).toBe(0);
    expect(again.output).toContain("up to date: nothing to bake");
    expect(again.output).toMatch(/ 0 changed/);
  });
});

describe("what goes wrong", () => {
  let scratch = "";
  beforeAll(() => {
    scratch = mkdtempSync(join(tmpdir(), "bake-vm-"));
  });
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));

  /** Another queue: another bake id, so that there is something to bake. */
  const variant = (name: string): void => {
    mkdirSync(join(scratch, "profiles"), { recursive: true });
    const base = JSON.stringify(join(root, "profiles/2cards.yaml"));
    writeFileSync(join(scratch, "profiles", `${name}.yaml`), `extends: ${base}\nagents: { queue: ${name} }\n`);
  };

  test("an artifact with one byte changed is refused by name before Packer starts", async () => {
    variant("changed");
    const { artifacts } = JSON.parse(readFileSync(join(result, "image.json"), "utf8")) as {
      artifacts: { name: string; sha256: string }[];
    };
    const artifact = artifacts.find(({ name }) => name === "goss");
    const path = join(cache, "store", storePath(artifact?.sha256 ?? ""));
    const original = readFileSync(path);
    const changed = Buffer.from(original);
    changed[1000] = (changed[1000] ?? 0) ^ 1;
    try {
      writeFileSync(`${path}.changed`, changed);
      renameSync(`${path}.changed`, path);
      const { code, output } = await bake(scratch, ["image", "--profile", "changed", "--trial", "--offline"]);
      expect(code).toBe(2);
      expect(output).toContain("error[BK202]: artifact goss does not match its digest");
      expect(output).not.toContain("Packer builds");
      expect(existsSync(join(scratch, "out/changed-trial/image.qcow2"))).toBe(false);
    } finally {
      writeFileSync(`${path}.changed`, original, { mode: 0o444 });
      renameSync(`${path}.changed`, path);
    }
  });

  test("an interrupt stops Packer and QEMU and leaves nothing half-made", async () => {
    variant("interrupted");
    const child = spawn("node", [join(root, "bin/cli.cjs"), "image", "--profile", "interrupted", "--trial"], {
      cwd: scratch,
      env: { ...process.env, CI: "true" },
    });
    let output = "";
    const ended = new Promise<number | null>((done) => child.on("exit", done));
    child.stderr.on("data", (data: Buffer) => (output += data.toString()));
    await new Promise<void>((done) => {
      child.stdout.on("data", (data: Buffer) => {
        output += data.toString();
        if (output.includes("Packer builds the image")) done();
      });
    });
    await new Promise((done) => setTimeout(done, 15_000));
    child.kill("SIGINT");
    expect(await ended).toBe(130);
    expect(output).toContain("stopping (SIGINT)");
    expect(workFolders()).toEqual([]);
    expect(readdirSync(join(scratch, "out/interrupted-trial")).filter((name) => name.startsWith("image"))).toEqual([]);
    const processes = readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .map((pid) => {
        try {
          return readFileSync(`/proc/${pid}/cmdline`, "utf8");
        } catch {
          return "";
        }
      });
    expect(processes.filter((command) => command.includes("interrupted-trial"))).toEqual([]);
  });

  test("a bake without a lock and without --trial says what to do", async () => {
    const { code, output } = await bake(scratch, ["image", "--profile", "2cards"]);
    expect(code).toBe(2);
    expect(output).toContain("error[BK204]");
    expect(output).toContain("--trial");
  });
});
