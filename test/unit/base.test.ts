import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, test, vi } from "vitest";
import type { Architecture } from "../../src/artifact.ts";
import { recipeDigest, standInBase } from "../../src/trial/base.ts";
import { bootstrap, customizeHook } from "../../src/trial/base-tree.ts";
import { noRegistration } from "../../src/trial/foreign.ts";
import { patchBootSector } from "../../src/trial/boot-disk.ts";
import type { Host } from "../../src/host/host.ts";
import { system } from "../../src/host/system.ts";
import { Store } from "../../src/store/store.ts";
import { hostileStrings } from "../hostile.ts";

describe("patchBootSector", () => {
  // A disk's own sector: 0xdd; GRUB's boot.img: 0xbb; the core image: 0xcc.
  const mbr = Buffer.alloc(512, 0xdd);
  const boot = Buffer.alloc(512, 0xbb);
  const core = Buffer.alloc(2048, 0xcc);
  const patched = patchBootSector(mbr, boot, core);

  it("keeps the partition table, and takes GRUB's code", () => {
    expect(patched.mbr.subarray(440)).toEqual(Buffer.alloc(72, 0xdd));
    expect(patched.mbr.subarray(0, 0x5c)).toEqual(Buffer.alloc(0x5c, 0xbb));
    expect(patched.mbr).toHaveLength(512);
  });

  it("points from the boot sector to the core image, and from its first sector to the rest", () => {
    expect(patched.mbr.readBigUInt64LE(0x5c)).toBe(2048n);
    expect(patched.core.readBigUInt64LE(0x1f4)).toBe(2049n);
    expect(patched.mbr.subarray(0x66, 0x68)).toEqual(Buffer.from([0x90, 0x90]));
    expect(patched.core.subarray(0x1fc)).toEqual(core.subarray(0x1fc));
  });

  it("leaves what it was given alone", () => {
    expect([mbr[0], boot[0x5c], core[0x1f4]]).toEqual([0xdd, 0xbb, 0xcc]);
  });

  it("refuses a core image that reaches into the root partition", () => {
    expect(() => patchBootSector(mbr, boot, Buffer.alloc(2 ** 20 + 1))).toThrow(
      expect.objectContaining({ code: "BK306", message: expect.stringContaining("1048577") }),
    );
  });
});

describe("offline", () => {
  let folder = "";
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "base-"));
  });
  afterEach(async () => {
    vi.restoreAllMocks();
    await rm(folder, { recursive: true, force: true });
  });

  const none = (what: string) => (): Promise<never> => Promise.reject(new Error(what));
  const ask = (architecture: Architecture = "x86_64", offline = true) => {
    const host: Host = {
      ...system,
      run: none("something was run"),
      now: () => 0,
      env: {},
      cacheDir: folder,
      signal: new AbortController().signal,
      progress: { note: () => undefined, step: none("a step was made") },
    };
    const mirror = none("the mirror was asked for");
    return standInBase(host, new Store(join(folder, "store")), {
      architecture,
      libraryPackages: [],
      mirror,
      offline,
    });
  };

  it("the host's packages come first, those for other processors too", async () => {
    vi.spyOn(process, "getuid").mockReturnValue(0);
    await expect(ask("aarch64", false)).rejects.toMatchObject({
      code: "BK304",
      message: expect.stringMatching(/^missing on this host: mformat, qemu-aarch64-static, qemu-img, mmdebstrap, /),
    });
  });

  it("a base that was not made yet is an error", async () => {
    await expect(ask()).rejects.toMatchObject({
      code: "BK211",
      message: "a trial's base was not made yet, and --offline makes none",
      help: "Run it once with a network: bake fetch --trial.",
    });
  });

  it("one that was made is taken, and no mirror is asked for", async () => {
    await writeFile(join(folder, "disk"), "a base");
    const made = await new Store(join(folder, "store")).add(join(folder, "disk"));
    await mkdir(join(folder, "base"));
    await writeFile(
      join(folder, "base", `${recipeDigest([], "x86_64")}.json`),
      JSON.stringify({ resolved: "made", ...made }),
    );
    expect(await ask()).toMatchObject({ ...made, name: "debian-trixie-stand-in" });
  });
});

describe("a base for other processors than the host's", () => {
  let folder = "";
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "base-"));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const ran = async (architecture: string, exitCode: number): Promise<string[]> => {
    let line: string[] = [];
    const host: Host = {
      ...system,
      architecture,
      run: (file, args) => {
        line = [file, ...args];
        return Promise.resolve({ exitCode, stdout: "", stderr: "mount: permission denied" });
      },
      env: {},
      cacheDir: folder,
      signal: new AbortController().signal,
      progress: { note: () => undefined, step: (_id, _title, work) => work(() => undefined) },
    };
    const input = {
      architecture: "aarch64",
      include: ["a"],
      mirror: "http://mirror",
      update: () => undefined,
    } as const;
    await bootstrap(host, folder, input);
    return line;
  };

  it("is bootstrapped between a registration of its own and its end", async () => {
    const line = await ran("x64", 0);
    expect(line).toContain("--architectures=arm64");
    const [file = "", registered = "", name = ""] = line.slice(line.indexOf("sh") + 1);
    expect(line[line.indexOf(name) + 1]).toBe("mmdebstrap");
    expect(registered.startsWith(`:${name}:M::`)).toBe(true);
    execFileSync("sh", ["-n", file]);
  });

  it("needs none on a host of its own kind", async () => {
    expect((await ran("arm64", 0)).join(" ")).toMatch(/^unshare --mount --propagation private mmdebstrap /);
  });

  it("is refused where the kernel takes no registration, and why is said", async () => {
    await expect(ran("x64", noRegistration)).rejects.toMatchObject({
      code: "BK306",
      message: "this host cannot run programs for aarch64, which the stand-in base is bootstrapped by",
      help: "mount: permission denied\nIts kernel has to take registrations in binfmt_misc, as root outside of a container. A host for aarch64 needs none.",
    });
  });
});

describe("recipeDigest", () => {
  it("is a sha256 that does not depend on order or repetition", () => {
    expect(recipeDigest(["liba", "libb"], "x86_64")).toMatch(/^[0-9a-f]{64}$/);
    expect(recipeDigest(["libb", "liba", "libb"], "x86_64")).toBe(recipeDigest(["liba", "libb"], "x86_64"));
  });

  it("differs by architecture", () => {
    expect(recipeDigest([], "aarch64")).not.toBe(recipeDigest([], "x86_64"));
  });

  it("changes with the packages", () => {
    expect(recipeDigest(["liba"], "x86_64")).not.toBe(recipeDigest([], "x86_64"));
  });
});

test("the hook of mmdebstrap survives any folder", () => {
  const names = [
    ...hostileStrings(1000).filter((name) => !/[\0/]/.test(name) && name.length < 200),
    "it's",
    "'; id; '",
  ];
  const scripts = names.map((name) => `/cache/${name}/customize.sh`);
  // mmdebstrap runs it with the new root as the first argument.
  const input = scripts
    .map((script) => `hook() {\nset -- ${customizeHook(script)}\nprintf '%s\\0' "$#" "$@"\n}\nhook '/the root'\n`)
    .join("");
  const words = execFileSync("sh", { input }).toString().split("\0");
  expect(words).toEqual([...scripts.flatMap((script) => ["3", "sh", script, "/the root"]), ""]);
});
