/** The search in disk images, on real ones: made by mke2fs and sfdisk, looked into by qemu-img and debugfs. */
import { execFileSync } from "node:child_process";
import { createHash, generateKeyPairSync } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bakeImage } from "../../src/bake/image.ts";
import { dataExtents, describeFinding, scanImage } from "../../src/check/scan-image.ts";
import type { Secret } from "../../src/check/exact-values.ts";
import { type Host, runProcess } from "../../src/host/host.ts";
import { system } from "../../src/host/system.ts";
import { Store } from "../../src/store/store.ts";
import { trialBase, trialPlan } from "../plan-of.ts";

const value = "a-Secret-Value-4-this-test-Zq7";
const secret: Secret = { name: "secrets.agentToken", value };
const newKey = (): string =>
  generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" }).toString();

let folder = "";
let notes: string[] = [];
let count = 0;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "bake-scan-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const run = (file: string, args: readonly string[], input = ""): string =>
  execFileSync(file, args, { input, encoding: "utf8", stdio: ["pipe", "pipe", "pipe"] });

const hostWith = (env: Readonly<Record<string, string>> = {}, fake?: Host["run"]): Host => {
  const real = runProcess(new AbortController().signal);
  return {
    ...system,
    run: (file, args, options) => (file === "packer" && fake !== undefined ? fake : real)(file, args, options),
    env,
    cacheDir: join(folder, "cache"),
    signal: new AbortController().signal,
    progress: { step: (_id, _title, work) => work(() => {}), note: (line) => notes.push(line) },
  };
};

const start = 1 << 20;
const size = 24 << 20;

/** A disk with one ext4 partition that holds `files`, as raw file. */
const rawDisk = (files: Readonly<Record<string, string | Buffer>>): string => {
  const name = join(folder, `disk-${++count}`);
  mkdirSync(name);
  for (const [path, content] of Object.entries({ "some-file": "x".repeat(100_000), ...files })) {
    mkdirSync(dirname(join(name, path)), { recursive: true });
    writeFileSync(join(name, path), content);
  }
  const raw = `${name}.raw`;
  run("truncate", ["--size", String(size), raw]);
  run("sfdisk", ["--quiet", raw], `label: gpt\nstart=${start / 512}, size=${(size - 2 * start) / 512}\n`);
  run("mke2fs", [
    ...["-q", "-t", "ext4", "-F", "-b", "4096", "-E", `offset=${start}`, "-d", name, raw],
    `${(size - 2 * start) / 1024}k`,
  ]);
  return raw;
};

const compressed = (raw: string): string => {
  run("qemu-img", ["convert", "-c", "-f", "raw", "-O", "qcow2", raw, `${raw}.qcow2`]);
  return `${raw}.qcow2`;
};

const scan = async (image: string, secrets = [secret], inputs: Parameters<typeof scanImage>[1]["inputs"] = []) => {
  const workFolder = mkdtempSync(join(folder, "work-"));
  const result = await scanImage(hostWith(), { image, secrets, inputs, workFolder });
  expect(readdirSync(workFolder)).toEqual([]);
  return result;
};

describe("scanImage", () => {
  test("a disk without secrets is clean", async () => {
    expect(await scan(compressed(rawDisk({ harmless: "nothing here" })))).toEqual({
      findings: [],
      fromInputs: [],
      seedRanges: 0,
    });
  });

  test("a value in a file is found, with the file's name", async () => {
    const raw = rawDisk({ "agent.cfg": `token="${value}"\n` });
    const { findings } = await scan(compressed(raw));
    expect(findings).toMatchObject([{ what: "secrets.agentToken", form: "plain", place: "/agent.cfg" }]);
    expect(readFileSync(raw).indexOf(value)).toBe(findings[0]?.offset);
  });

  test("a value in a file that was deleted is found in its free block", async () => {
    const raw = rawDisk({ "agent.cfg": `token="${value}"\n` });
    run("debugfs", ["-w", "-R", "rm /agent.cfg", `${raw}?offset=${start}`]);
    const { findings } = await scan(compressed(raw));
    expect(findings).toMatchObject([
      { what: "secrets.agentToken", place: "no file: deleted, but its blocks still hold it" },
    ]);
  });

  test("a value outside every partition, and one that the border of two reads cuts", async () => {
    const image = compressed(rawDisk({}));
    const text = join(folder, "text");
    writeFileSync(text, value);
    // Reads start where data starts: behind a hole, three MiB without one.
    const data = 16 << 20;
    const cut = data + (1 << 20) - 11;
    const child = `${image}.child`;
    run("qemu-img", ["create", "-q", "-f", "qcow2", "-b", image, "-F", "qcow2", child]);
    run("qemu-io", ["-f", "qcow2", "-c", `write -q -P 1 ${data} 3M`, child]);
    for (const at of [cut, size - (1 << 20)]) {
      run("qemu-io", ["-f", "qcow2", "-c", `write -q -s ${text} ${at} ${value.length}`, child]);
    }
    // Read as a chain, and flattened.
    for (const each of [child, `${child}.flat`]) {
      if (!existsSync(each)) run("qemu-img", ["convert", "-c", "-f", "qcow2", "-O", "qcow2", child, each]);
      const { findings } = await scan(each);
      expect(findings.map(({ offset }) => offset)).toEqual([cut, size - (1 << 20)]);
    }
  });

  test("a seed is searched unpacked: what a layer has too is left alone, also a container's password", async () => {
    const [known, fresh] = [newKey(), newKey()];
    const account = `root:$6$${"a".repeat(16)}$${"b".repeat(86)}:19000:0:99999:7:::\n`;
    const layer = join(folder, "layer");
    writeFileSync(layer, gzipSync(`${known}${account}`));
    // So much to pack that no byte of the text stands in it as it is: a few alone would be stored, not packed.
    const counted = Array.from({ length: 20_000 }, (_, at) => at)
      .join(" ")
      .slice(0, 70_000);
    const range = (text: string): Buffer => execFileSync("zstd", ["-q", "-c"], { input: `${counted}${text}` });
    const image = compressed(
      rawDisk({
        "opt/bake/seed/00000.zst": range(`${known}${account}`),
        "opt/bake/seed/00007.zst": range(`token="${value}"\n${fresh}`),
      }),
    );
    const sha256 = createHash("sha256").update(readFileSync(layer)).digest("hex");
    const result = await scan(image, [secret], [{ path: layer, sha256, isDisk: false }]);
    expect(result.seedRanges).toBe(2);
    expect(result.fromInputs.map(({ what }) => what).toSorted()).toEqual([
      "password hash of an account",
      "private key",
    ]);
    expect(result.findings.map(describeFinding)).toEqual([
      "secrets.agentToken at byte 70007 of a range of the seed, unpacked: /opt/bake/seed/00007.zst",
      expect.stringMatching(/^private key at byte \d+ of a range of the seed, unpacked: .*00007\.zst$/),
    ]);
  });

  test("a key that an input has too is left alone, wherever it lies; another is not", async () => {
    const [known, fresh] = [newKey(), newKey()];
    const base = compressed(rawDisk({ "test-key.pem": known }));
    const archive = join(folder, "archive.tar");
    writeFileSync(archive, `padding\n${known}`);
    const image = compressed(rawDisk({ aaa: "y".repeat(50_000), "test-key.pem": known, "host-key": fresh }));
    for (const input of [
      { path: base, isDisk: true },
      { path: archive, isDisk: false },
    ]) {
      const sha256 = createHash("sha256").update(readFileSync(input.path)).digest("hex");
      // The second time from what the first one kept.
      for (const round of [1, 2]) {
        if (round === 2) rmSync(input.path);
        const { findings, fromInputs } = await scan(image, [], [{ ...input, sha256 }]);
        expect(findings).toMatchObject([{ what: "private key", place: "/host-key" }]);
        expect(fromInputs).toMatchObject([{ what: "private key" }]);
      }
    }
  });

  test("an account's password is never left alone: whoever has the base could log in to every node", async () => {
    const shadow = `root:$6$saltsaltsalt$${"aB3dE9xyz/".repeat(8)}:19800:0:99999:7:::\n`;
    const base = compressed(rawDisk({ shadow }));
    const { findings } = await scan(base, [], [{ path: base, sha256: "1".repeat(64), isDisk: true }]);
    expect(findings).toMatchObject([{ what: "password hash of an account", place: "/shadow" }]);
  });

  test("an exact value is never left alone, also when an input has it", async () => {
    const base = compressed(rawDisk({ file: value }));
    const { findings } = await scan(base, [secret], [{ path: base, sha256: "0".repeat(64), isDisk: true }]);
    expect(findings).toMatchObject([{ what: "secrets.agentToken" }]);
  });

  test("a map with a gap, or one that ends early, is refused", () => {
    const extent = { start: 0, length: 4096, data: true };
    expect(dataExtents([extent, { start: 4096, length: 4096, data: false }], 8192)).toEqual([extent]);
    for (const map of [[], [extent], [extent, { start: 8192, length: 4096, data: true }]]) {
      expect(() => dataExtents(map, 8192)).toThrow(expect.objectContaining({ code: "BK404" }) as Error);
    }
  });
});

describe("bakeImage", () => {
  /** A bake in which Packer comes up with `disk`. */
  const bake = async (disk: string, env: Readonly<Record<string, string>>, secrets = {}) => {
    const out = mkdtempSync(join(folder, "out-"));
    notes = [];
    const store = new Store(join(folder, "cache", "store"));
    const input = join(folder, "input");
    writeFileSync(input, "an input");
    const stored = await store.add(compressed(rawDisk({ "of-the-base": "x" })));
    const host = hostWith(env, async (_file, args) => {
      const valueOf = (name: string) => args.find((arg) => arg.startsWith(`${name}=`))?.slice(name.length + 1);
      const [output, packages] = [valueOf("output"), valueOf("packages")];
      if (args[0] === "build" && output !== undefined && packages !== undefined) {
        mkdirSync(output);
        copyFileSync(disk, join(output, "image.qcow2"));
        run("tar", ["-czf", packages, "-T", "/dev/null"]);
      }
      return { exitCode: 0, stdout: "", stderr: "" };
    });
    return {
      out,
      record: bakeImage(host, {
        folder: out,
        plan: { ...trialPlan(), base: { ...trialBase, ...stored }, artifacts: [] },
        bakeId: "id",
        trial: true,
        secrets,
        store,
        accelerator: { accel: "tcg", architecture: "x86_64", cpuModel: "max", reason: "" },
        packer: { path: "packer", environment: {} },
        onPhase: () => {},
        steps: () => [],
        provenance: () => "{}\n",
      }),
    };
  };
  const left = (out: string): string[] => readdirSync(out).filter((name) => name.startsWith("image"));

  test("publishes a clean image, and says which secrets it could not look for", async () => {
    const { out, record } = await bake(
      compressed(rawDisk({})),
      {},
      { agentToken: { file: join(folder, "not-there") } },
    );
    await record;
    expect(left(out)).toEqual(["image.json", "image.qcow2"]);
    expect(notes.join("\n")).toContain("not searched for: secrets.agentToken");
  });

  test.each([
    ["a secret of the profile, from a file", {}, "secrets.agentToken"],
    ["a secret of the profile, from the environment", { PLAIN: value }, "secrets.proxyCredentials"],
    ["a variable of its environment", { SOME_TOKEN: value }, "environment variable SOME_TOKEN"],
    ["a password in a URL of its environment", { http_proxy: `http://user:${value}@proxy:3128` }, "http_proxy"],
  ])("refuses an image with %s", async (_, env, name) => {
    const file = join(folder, "token");
    writeFileSync(file, `${value}\n`);
    const secrets = name.startsWith("secrets.agent")
      ? { agentToken: { file } }
      : name.startsWith("secrets.proxy")
        ? { proxyCredentials: { env: "PLAIN" } }
        : {};
    const encoded = Buffer.from(`x-access-token:${value}`).toString("base64");
    const { out, record } = await bake(compressed(rawDisk({ "user-data": encoded })), env, secrets);
    const error = (await record.catch((caught: unknown) => caught)) as Error & { code: string; help: string };
    expect(error).toMatchObject({ code: "BK403" });
    expect(error.message).toContain(name);
    expect(error.message).toMatch(/\(base64\) at byte \d+ of the disk: \/user-data/);
    expect(`${error.message}${error.help}${notes.join("\n")}`).not.toContain(value);
    expect(error.message).not.toContain(encoded.slice(20, 40));
    expect(left(out)).toEqual([]);
    expect(readdirSync(join(folder, "cache", "work"))).toEqual([]);
  });

  test("refuses an image with a host key that the base does not have", async () => {
    const { out, record } = await bake(compressed(rawDisk({ ssh_host_key: newKey() })), {});
    await expect(record).rejects.toMatchObject({ code: "BK403" });
    expect(left(out)).toEqual([]);
  });
});

describe("commands that bake starts", () => {
  test("inherit no variable with a secret's name, nor one that is withheld", async () => {
    const names = ["GITHUB_TOKEN", "my_password", "AWS_SECRET_ACCESS_KEY", "OF_THE_PROFILE", "HARMLESS", "TOKENIZER"];
    for (const name of names) process.env[name] = value;
    try {
      const { stdout } = await hostWith().run("env", [], {
        env: { GIVEN_TOKEN: "given" },
        withhold: ["OF_THE_PROFILE"],
      });
      const seen = stdout.split("\n").map((line) => line.split("=")[0]);
      expect(names.filter((name) => seen.includes(name))).toEqual(["HARMLESS", "TOKENIZER"]);
      expect(stdout).toContain("GIVEN_TOKEN=given\n");
      expect(seen).toContain("PATH");
    } finally {
      for (const name of names) delete process.env[name];
    }
  });
});
