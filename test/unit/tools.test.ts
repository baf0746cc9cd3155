/** Where crane comes from. */
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { type Host, runProcess } from "../../src/host.ts";
import { ensureCrane } from "../../src/toolchain/tools.ts";

const { signal } = new AbortController();

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tools-"));
});
afterEach(async () => {
  vi.unstubAllGlobals();
  await rm(folder, { recursive: true, force: true });
});

/** A host on whose PATH `crane version` says this, without a Go, and with a real tar. */
const hostWith = (version: string): Host => ({
  run: (file, args, options) => {
    if (file === "tar") return runProcess(signal)(file, args, options);
    const stdout = file === "crane" ? version : "";
    return Promise.resolve({ exitCode: stdout === "" ? 1 : 0, stdout, stderr: "" });
  },
  now: () => 0,
  env: {},
  cacheDir: folder,
  signal,
  progress: { note: () => undefined, step: (_id, _title, work) => work(() => undefined) },
});

it.each(["v0.20.7\n", "0.20.0\n", "0.22.1"])("takes crane from PATH: %j", async (version) => {
  expect(await ensureCrane(hostWith(version))).toBe("crane");
});

it.each(["0.19.2\n", "(devel)\n", ""])(
  "leaves a crane on PATH that says %j, and wants Go for its own",
  async (version) => {
    vi.stubGlobal("fetch", () => Promise.reject(new TypeError("fetch failed")));
    await expect(ensureCrane(hostWith(version))).rejects.toMatchObject({
      code: "BK303",
      help: expect.stringContaining("Install Go 1.24.0 or newer") as string,
    });
  },
);

/** The release's host: an archive with a crane that is `text`, and checksums that are right or not. */
const serveRelease = async (text: string, right: boolean): Promise<void> => {
  const content = join(folder, "content");
  await mkdir(content);
  for (const name of ["crane", "README.md"]) await writeFile(join(content, name), text);
  await runProcess(signal)("tar", ["-czf", join(folder, "archive"), "-C", content, "README.md", "crane"]);
  const archive = await readFile(join(folder, "archive"));
  const sum = createHash("sha256")
    .update(right ? archive : "another archive")
    .digest("hex");
  const sums = ["x86_64", "arm64"].map((name) => `${sum}  go-containerregistry_Linux_${name}.tar.gz\n`).join("");
  vi.stubGlobal("fetch", (url: string) =>
    Promise.resolve(new Response(url.endsWith("/checksums.txt") ? sums : archive)),
  );
};

it("unpacks crane's release, and finds it again", async () => {
  await serveRelease("#!/bin/sh\n", true);
  const path = join(folder, "tools", "crane-release-0.20.7", "crane");
  expect(await ensureCrane(hostWith(""))).toBe(path);
  expect(await readFile(path, "utf8")).toBe("#!/bin/sh\n");
  vi.stubGlobal("fetch", () => Promise.reject(new TypeError("fetch failed")));
  expect(await ensureCrane(hostWith(""))).toBe(path);
});

it("refuses a release of crane that is not what its checksums say", async () => {
  await serveRelease("#!/bin/sh\n", false);
  await expect(ensureCrane(hostWith(""))).rejects.toMatchObject({ code: "BK308" });
});
