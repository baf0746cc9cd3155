/** `bake fetch`, `bake store` and `--offline` as a user runs them, on a lock whose bytes a mirror has. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { root } from "../../src/host/root.ts";
import { storePath } from "../../src/store/store.ts";
import { type FaultServer, startFaultServer } from "../fault-server.ts";
import { fillByDigest, layLockedProfile, type LockedProfile } from "../locked-profile.ts";

let folder = "";
let server: FaultServer;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "bake-fetch-"));
  server = await startFaultServer();
});
afterEach(async () => {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

const store = (): string => join(folder, "cache/bake/store");
const env = () => ({
  PATH: process.env["PATH"] ?? "",
  HOME: folder,
  XDG_CACHE_HOME: join(folder, "cache"),
  NO_PROXY: "127.0.0.1",
});
const start = (...args: string[]): ChildProcess =>
  spawn(process.execPath, [join(root, "bin/cli.cjs"), ...args], { cwd: folder, env: env(), stdio: "pipe" });
const run = async (...args: string[]): Promise<{ status: number | null; stdout: string; stderr: string }> => {
  const child = start(...args);
  let [stdout, stderr] = ["", ""];
  child.stdout?.on("data", (data: Buffer) => (stdout += data.toString()));
  child.stderr?.on("data", (data: Buffer) => (stderr += data.toString()));
  const [status] = (await once(child, "close")) as [number | null];
  return { status, stdout, stderr };
};

/** Serves a lock's files by digest. */
const mirror = ({ contents }: LockedProfile): string => {
  for (const [sha256, bytes] of contents) server.files.set(`/${storePath(sha256)}`, bytes);
  return server.url("");
};
const lay = (size?: number): LockedProfile =>
  layLockedProfile(folder, "extends: 2cards\n", size === undefined ? undefined : () => randomBytes(size));

test("fills the store from a mirror, and the next run asks for nothing", async () => {
  const locked = lay();
  const url = mirror(locked);
  const first = await run("fetch", "--profile", "site.yaml", "--mirror", url);
  expect(first.stderr).toBe("");
  expect(first.status).toBe(0);
  expect(first.stdout).toMatch(new RegExp(`${locked.contents.size} fetched \\([\\d.]+ k?B\\)`));
  const asked = server.requests.length;
  // A layer that two images share is asked for once.
  expect(asked).toBe(locked.contents.size);
  const again = await run("fetch", "--profile", "site.yaml", "--mirror", url);
  expect(again.stdout).toContain(`all ${locked.contents.size} were there`);
  expect(server.requests).toHaveLength(asked);
  const verified = await run("store", "verify");
  expect(verified).toMatchObject({ status: 0 });
  expect(verified.stdout).toContain("all as they were");
});

test("a mirror in a folder is copied from, file by file compared", async () => {
  const { contents } = lay();
  const carried = join(folder, "carried");
  fillByDigest(carried, contents);
  expect(await run("fetch", "--profile", "site.yaml", "--mirror", carried)).toMatchObject({ status: 0, stderr: "" });
  const [sha256 = ""] = contents.keys();
  rmSync(join(store(), storePath(sha256)));
  const path = join(carried, storePath(sha256));
  const help = "Fill (it|the mirror) again where there is a network: bake fetch --to\\.\n$";
  writeFileSync(path, Buffer.alloc(contents.get(sha256)?.length ?? 0));
  const wrong = await run("fetch", "--profile", "site.yaml", "--mirror", carried);
  expect(wrong.status).toBe(2);
  expect(wrong.stderr).toMatch(
    new RegExp(`^error\\[BK210\\]: .* is not what the lock names: ${path}\n[^]*The mirror was changed\\. ${help}`),
  );
  expect(existsSync(join(store(), storePath(sha256)))).toBe(false);
  writeFileSync(path, "cut off");
  expect((await run("fetch", "--profile", "site.yaml", "--mirror", carried)).stderr).toMatch(
    new RegExp(`^error\\[BK214\\]: .* cannot be fetched:\n  ${path}: it has 7 bytes, \\d+ are expected\n  ${help}`),
  );
  rmSync(path);
  expect((await run("fetch", "--profile", "site.yaml", "--mirror", carried)).stderr).toMatch(
    new RegExp(`^error\\[BK214\\]: .* cannot be fetched:\n  ${path}: it is not there\n  ${help}`),
  );
  expect((await run("fetch", "--profile", "site.yaml", "--mirror", "nowhere")).stderr).toBe(
    "error[BK216]: nowhere is no mirror: neither a folder nor an http or https URL\n",
  );
});

test("a mirror gets the login that its URL holds, and nobody else is told of it", async () => {
  const locked = lay();
  const url = mirror(locked).replace("http://", "http://somebody:hunter%402@");
  const said = await run("fetch", "--profile", "site.yaml", "--mirror", url, "--json");
  expect(said).toMatchObject({ status: 0, stderr: "" });
  expect(said.stdout).not.toContain("hunter");
  expect(server.requests[0]?.headers["authorization"]).toBe(
    `Basic ${Buffer.from("somebody:hunter@2").toString("base64")}`,
  );
  const [sha256 = ""] = locked.contents.keys();
  rmSync(join(store(), storePath(sha256)));
  server.files.delete(`/${storePath(sha256)}`);
  const failed = await run("fetch", "--profile", "site.yaml", "--mirror", url);
  expect(failed.status).toBe(2);
  expect(`${failed.stdout}${failed.stderr}`).not.toMatch(/hunter|somebody/);
});

test("makes a mirror that another machine can fetch everything from", async () => {
  const { contents } = lay();
  fillByDigest(store(), contents);
  const made = await run("fetch", "--profile", "site.yaml", "--offline", "--to", "mirror");
  expect(made).toMatchObject({ status: 0, stderr: "" });
  // The lock's files, and the archive for stock images.
  expect(made.stdout).toContain(`mirror: ${contents.size + 1} files, ${contents.size + 1} written`);
  rmSync(store(), { recursive: true });
  expect(await run("fetch", "--profile", "site.yaml", "--mirror", "mirror")).toMatchObject({ status: 0, stderr: "" });
  expect(
    readdirSync(join(store(), "sha256"), { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()),
  ).toHaveLength(contents.size);
  // Again: nothing is written that is there.
  expect((await run("fetch", "--profile", "site.yaml", "--offline", "--to", "mirror")).stdout).toContain(
    " files, 0 written",
  );
});

test("the mirror has images that no golden image carries", async () => {
  const image = "quay.io/ascend/large:9.1.0";
  const { contents } = layLockedProfile(
    folder,
    `extends: 2cards\nnetwork: { artifactMirror: http://10.0.0.9 }\nimages: [ { image: "${image}", from: mirror } ]\n`,
  );
  fillByDigest(store(), contents);
  expect(await run("fetch", "--profile", "site.yaml", "--offline", "--to", "mirror")).toMatchObject({ status: 0 });
  const own = [...contents].filter(([, bytes]) => bytes.toString().includes(image));
  expect(own.map(([, bytes]) => bytes.toString().replace(/ of .*/, "")).toSorted()).toEqual([
    ...["configuration", "layer", "manifest"],
  ]);
  for (const [sha256, bytes] of own) expect(readFileSync(join(folder, "mirror", storePath(sha256)))).toEqual(bytes);
});

test("--offline says what is missing, and asks nobody", async () => {
  const { contents } = lay();
  fillByDigest(store(), contents);
  const [sha256 = ""] = contents.keys();
  rmSync(join(store(), storePath(sha256)));
  const { status, stderr } = await run("fetch", "--profile", "site.yaml", "--offline");
  expect(status).toBe(2);
  expect(stderr).toMatch(
    new RegExp(
      `^error\\[BK211\\]: 1 of ${contents.size} files are not in the store, and --offline fetches none:\n  \\S.* \\(\\d+ B\\)\n  Run bake fetch`,
    ),
  );
});

test("image --offline installs no packages: what the host lacks is named", () => {
  fillByDigest(store(), lay().contents);
  // A package manager that says when it is asked.
  writeFileSync(join(folder, "apt-get"), `#!/bin/sh\n: >${folder}/asked\n`);
  chmodSync(join(folder, "apt-get"), 0o755);
  const { status, stderr } = spawnSync(
    process.execPath,
    [join(root, "bin/cli.cjs"), "image", "--profile", "site.yaml", "--offline"],
    { cwd: folder, encoding: "utf8", env: { ...env(), PATH: folder } },
  );
  expect(status).toBe(2);
  expect(stderr).toMatch(/^error\[BK211\]: \d+ of \d+ packages are not installed, and --offline installs none:\n/);
  expect(stderr).toContain("\n  qemu-utils (qemu-img): makes and flattens disk images\n");
  expect(stderr).toMatch(/\n {2}Where there is a network, run the same command once without --offline\.\n$/);
  expect(existsSync(join(folder, "asked"))).toBe(false);
  expect(existsSync(join(folder, "out"))).toBe(false);
});

test("--offline takes no mirror by URL; image --mirror makes no lock from elsewhere", async () => {
  lay();
  for (const command of ["fetch", "image"]) {
    expect(await run(command, "--profile", "site.yaml", "--offline", "--mirror", server.url("/"))).toEqual({
      status: 2,
      stdout: "",
      stderr:
        "error[BK216]: --offline touches no network, and the mirror is a URL\n  Name a folder, or leave one out.\n",
    });
  }
  rmSync(join(folder, "site.lock.json"));
  const { status, stderr } = await run("image", "--profile", "site.yaml", "--mirror", server.url("/"));
  expect(status).toBe(2);
  expect(stderr).toMatch(/^error\[BK204\]: site\.yaml has no lock: site\.lock\.json is not there\n/);
  expect(server.requests).toEqual([]);
});

test("--json tells every step, one object a line", async () => {
  const locked = lay();
  const { stdout } = await run("fetch", "--profile", "site.yaml", "--mirror", mirror(locked), "--json");
  const events = stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as { type: string; name: string });
  expect(events.filter(({ type }) => type === "start")).toHaveLength(locked.contents.size);
  expect(events.filter(({ type }) => type === "done")).toHaveLength(locked.contents.size);
});

test("two containers with one cache: each file is fetched once, and is what it should be", async () => {
  const locked = lay();
  const url = mirror(locked);
  // So slow that the second comes while the first is at it, on a fast machine too.
  server.rate = 50;
  const cli = [process.execPath, join(root, "bin/cli.cjs"), "fetch", "--profile", "site.yaml", "--mirror", url];
  // In namespaces of their own both are process 1.
  const inside = (host: string): ChildProcess =>
    spawn(
      "unshare",
      ["--pid", "--fork", "--mount-proc", "--uts", "sh", "-c", `hostname ${host} && exec "$@"`, "sh", ...cli],
      {
        cwd: folder,
        env: env(),
        stdio: "pipe",
      },
    );
  const both = [inside("one"), inside("two")];
  const said = both.map((child) => {
    let text = "";
    for (const stream of [child.stdout, child.stderr]) stream?.on("data", (data: Buffer) => (text += data.toString()));
    return async (): Promise<string> => {
      const [status] = (await once(child, "close")) as [number | null];
      return `${status} ${text}`;
    };
  });
  const [one = "", two = ""] = await Promise.all(said.map((ended) => ended()));
  expect(one).toMatch(/^0 /);
  expect(two).toMatch(/^0 /);
  expect(`${one}${two}`).toContain("process 1 fetches it already");
  expect(server.requests).toHaveLength(locked.contents.size);
  expect((await run("store", "verify")).stdout).toContain("all as they were");
  expect(readdirSync(join(store(), "tmp"))).toEqual([]);
});

// On a busy machine more is on its way, unread, when a process is killed: that says nothing of what it keeps.
test("killed ten times at any moment, it ends with a whole store and hardly a byte twice", { retry: 2 }, async () => {
  const locked = lay(2_000_000);
  const url = mirror(locked);
  const total = [...locked.contents.values()].reduce((sum, bytes) => sum + bytes.length, 0);
  server.rate = 12_000_000;
  for (let kill = 0; kill < 10; kill++) {
    const child = start("fetch", "--profile", "site.yaml", "--mirror", url);
    child.stdout?.resume();
    const ended = once(child, "close");
    await new Promise((done) => setTimeout(done, 250 + Math.random() * 500));
    child.kill("SIGKILL");
    await ended;
  }
  server.rate = 0;
  const last = await run("fetch", "--profile", "site.yaml", "--mirror", url);
  expect(last.stderr).toBe("");
  expect(last.status).toBe(0);
  expect((await run("store", "verify")).status).toBe(0);
  expect(server.sent).toBeGreaterThanOrEqual(total);
  expect(server.sent / total).toBeLessThan(1.2);
});

describe("bake store", () => {
  test("verify finds a file that was changed by hand, and image refuses it by name", async () => {
    const { contents, lock } = lay();
    fillByDigest(store(), contents);
    const goss = lock.artifacts.find(({ kind }) => kind === "goss");
    if (goss?.kind !== "goss") throw new Error("a lock has a goss");
    const path = join(store(), storePath(goss.sha256));
    const bytes = readFileSync(path);
    bytes[0] = (bytes[0] ?? 0) ^ 1;
    chmodSync(path, 0o644);
    writeFileSync(path, bytes);
    const { status, stdout } = await run("store", "verify");
    expect(status).toBe(1);
    expect(stdout).toContain(`changed: ${path}: it is sha256 `);
    const told = await run("store", "verify", "--json");
    expect(told.status).toBe(1);
    expect(JSON.parse(told.stdout)).toMatchObject({
      ok: false,
      files: contents.size,
      changed: [{ path, detail: expect.stringContaining("it is sha256 ") as string }],
    });
  });

  test("ls lists what is there, as JSON too", async () => {
    const { contents } = lay();
    fillByDigest(store(), contents);
    const { stdout } = await run("store", "ls", "--json");
    const { files } = JSON.parse(stdout) as { files: { sha256: string; size: number }[] };
    expect(files.map(({ sha256 }) => sha256).toSorted()).toEqual([...contents.keys()].toSorted());
    expect((await run("store", "ls")).stdout.trimEnd().split("\n")).toHaveLength(contents.size + 1);
  });

  test("prune keeps what the locks name and says what would go, until it is told yes", async () => {
    const { contents } = lay();
    fillByDigest(store(), contents);
    fillByDigest(store(), new Map([["f".repeat(64), Buffer.from("nobody's")]]));
    const lately = await run("store", "prune", "--keep", "site.yaml", "--yes");
    expect(lately.stdout).toBe(
      "left alone: 1 files, 8 B of the last hour, which a bake may use\n0 files, 0 B removed\n",
    );
    const [named = "", there = ""] = contents.keys();
    // It is not there yet, and half of it is; of another one all is there.
    rmSync(join(store(), storePath(named)));
    const parts = [named, there, "e".repeat(64)].map((key) => join(store(), "tmp", `${key}.free.00000000.part`));
    mkdirSync(join(store(), "tmp"), { recursive: true });
    for (const part of parts) writeFileSync(part, "half of it");
    const disk = join(folder, "cache/bake/base-disks", `${"d".repeat(64)}.qcow2`);
    mkdirSync(dirname(disk), { recursive: true });
    writeFileSync(disk, "unpacked");
    for (const path of [join(store(), storePath("f".repeat(64))), ...parts, disk]) {
      const before = new Date(Date.now() - 2 * 60 * 60 * 1000);
      utimesSync(path, before, before);
    }
    const said = await run("store", "prune", "--keep", "site.yaml");
    expect(said.stdout).toBe(
      [
        `would go: ${join(store(), storePath("f".repeat(64)))} (8 B)`,
        ...[parts[1] ?? "", parts[2] ?? ""].toSorted().map((part) => `would go: ${part} (10 B)`),
        `would go: ${disk} (8 B)`,
        "4 files, 36 B; add --yes to remove them\n",
      ].join("\n"),
    );
    const told = JSON.parse((await run("store", "prune", "--keep", "site.yaml", "--json")).stdout) as {
      removed: boolean;
      files: { sha256?: string }[];
    };
    expect([told.removed, told.files.length, told.files[0]?.sha256]).toEqual([false, 4, "f".repeat(64)]);
    expect(existsSync(join(store(), storePath("f".repeat(64))))).toBe(true);
    expect(await run("store", "prune", "--keep", "site.yaml", "--yes")).toMatchObject({ status: 0 });
    expect(existsSync(join(store(), storePath("f".repeat(64))))).toBe(false);
    expect(parts.map((part) => existsSync(part))).toEqual([true, false, false]);
    expect(existsSync(disk)).toBe(false);
    for (const sha256 of [...contents.keys()].filter((each) => each !== named))
      expect(existsSync(join(store(), storePath(sha256)))).toBe(true);
    rmSync(join(folder, "site.lock.json"));
    const without = await run("store", "prune", "--keep", "site.yaml", "--yes");
    expect(without.stderr).toContain("error[BK204]: site.yaml has no lock");
    expect(
      spawnSync("sh", ["-c", `find ${store()}/sha256 -type f | wc -l`])
        .stdout.toString()
        .trim(),
    ).toBe(String(contents.size - 1));
  });
});

describe("a lock that its profile has gone on without", () => {
  test("is told at the profile's lines, by lock --check, fetch and image in CI", async () => {
    lay();
    expect((await run("lock", "--profile", "site.yaml", "--check")).stdout).toBe("site.lock.json: ok\n");
    writeFileSync(join(folder, "site.yaml"), 'extends: 2cards\nimages: ["quay.io/ascend/cann:9.2.0"]\n');
    const expected = [
      "error[BK205]: site.lock.json does not hold quay.io/ascend/cann:9.2.0 for x86_64",
      " --> site.yaml:2:10",
      "  |",
      '2 | images: ["quay.io/ascend/cann:9.2.0"]',
      "  |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^ not in the lock",
      "  = help: bake lock brings the lock up to date",
      "",
      "error[BK205]: site.lock.json holds the image quay.io/ascend/cann:9.1.0-910b-ubuntu22.04-py3.12 for x86_64, which the profile does not ask for",
      " --> site.yaml:2:1",
      "  |",
      '2 | images: ["quay.io/ascend/cann:9.2.0"]',
      "  | ^^^^^^ no longer asked for",
      "  = help: bake lock brings the lock up to date",
      "",
      "2 errors",
      "",
    ].join("\n");
    for (const command of [
      ["lock", "--check"],
      ["fetch"],
      ["image", "--frozen-lockfile"],
      ["image", "--offline"],
      ["render"],
    ]) {
      const found = await run(...command, "--profile", "site.yaml");
      expect([command, found]).toEqual([command, { status: 1, stdout: "", stderr: expected }]);
    }
  });

  test("what the profile does not ask for any more is told where it would stand, or where the profile begins", async () => {
    layLockedProfile(
      folder,
      "extends: 2cards\nfiles:\n  - { url: https://example.com/a, path: /opt/a }\n  - { url: https://example.com/b, path: /opt/b }\n",
    );
    const told = (name: string, line: number, text: string, mark: string): string[] => [
      `error[BK205]: site.lock.json holds the file ${name}, which the profile does not ask for`,
      ` --> site.yaml:${line}:1`,
      "  |",
      `${line} | ${text}`,
      `  | ${mark} no longer asked for`,
      "  = help: bake lock brings the lock up to date",
      "",
    ];
    writeFileSync(
      join(folder, "site.yaml"),
      "extends: 2cards\nfiles:\n  - { url: https://example.com/a, path: /opt/a }\n",
    );
    expect(await run("lock", "--check", "--profile", "site.yaml")).toEqual({
      status: 1,
      stdout: "",
      stderr: [...told("opt/b", 2, "files:", "^^^^^"), "1 error", ""].join("\n"),
    });
    writeFileSync(join(folder, "site.yaml"), "# Ours.\nextends: 2cards\n");
    expect(await run("image", "--frozen-lockfile", "--profile", "site.yaml")).toEqual({
      status: 1,
      stdout: "",
      stderr: [
        ...told("opt/a", 2, "extends: 2cards", "^"),
        ...told("opt/b", 2, "extends: 2cards", "^"),
        "2 errors",
        "",
      ].join("\n"),
    });
    // Nobody has to be asked to leave them out.
    const made = await run("lock", "--profile", "site.yaml");
    expect(made.status).toBe(0);
    expect(made.stdout).toContain("- opt/a");
    expect(await run("lock", "--check", "--profile", "site.yaml")).toMatchObject({ status: 0 });
  });

  test("a missing one is told too", async () => {
    lay();
    rmSync(join(folder, "site.lock.json"));
    for (const command of [["lock", "--check"], ["fetch"], ["image", "--frozen-lockfile"]]) {
      const { status, stderr } = await run(...command, "--profile", "site.yaml");
      expect([command, status]).toEqual([command, 2]);
      expect(stderr).toContain("error[BK204]: site.yaml has no lock: site.lock.json is not there\n");
    }
  });
});
