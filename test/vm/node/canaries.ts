/**
 * A whole bake with canaries in every place that a secret may come from: none of them gets into the image, into out/, into
 * what bake says and logs, or into the command line or environment of anything that it starts.
 */
import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { scanImage } from "../../../src/check/scan-image.ts";
import type { Secret } from "../../../src/check/exact-values.ts";
import { startScan } from "../../../src/check/secret-scan.ts";
import { root } from "../../../src/host/root.ts";
import { type GoldenImage, readGolden, testHost } from "../golden-image.ts";

const canary = (prefix: string): string => `${prefix}${randomBytes(30).toString("base64url").replaceAll(/[-_]/g, "7")}`;

/** What the profile names. */
const profileSecrets = {
  agentToken: canary("bkct_"),
  gitToken: canary("github_pat_"),
  proxyCredentials: `canary-user:${canary("p@ss w/")}`,
  nodeKey: "",
};

/** Besides those that the profile names: what an operator's shell or a CI job has. */
const environment: Readonly<Record<string, string>> = {
  BUILDKITE_AGENT_TOKEN: canary("bkct_"),
  GITHUB_TOKEN: canary("ghp_"),
  HW_SECRET_KEY: canary(""),
  REGISTRY_PASSWORD: canary("pw-"),
};

const secrets = (): Secret[] => [
  ...Object.entries(profileSecrets).map(([name, value]) => ({ name: `secrets.${name}`, value })),
  ...Object.entries(environment).map(([name, value]) => ({ name, value })),
];

/** Names of the secrets in `bytes`, in any form. */
export const namesIn = (bytes: Uint8Array): string[] => {
  const scan = startScan(secrets());
  scan.feed(bytes);
  return [...new Set(scan.end().flatMap(({ what, form }) => (form === undefined ? [] : [what])))];
};

interface Sample {
  readonly pid: number;
  readonly program: string;
  readonly command: Buffer;
  readonly environment: Buffer;
}

const readOr = (path: string): Buffer => {
  try {
    return readFileSync(path);
  } catch {
    return Buffer.alloc(0);
  }
};

const programOf = (pid: number): string => {
  try {
    return readlinkSync(`/proc/${pid}/exe`).replace(/^.*\//, "");
  } catch {
    return "";
  }
};

const childrenOf = (pid: number): number[] => {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
      readOr(`/proc/${pid}/task/${task}/children`).toString().split(" ").filter(Boolean).map(Number),
    );
  } catch {
    return [];
  }
};

/** Collects what the process list shows of `pid` and everything below it. A process is read again when it runs another program. */
const sample = (pid: number, samples: Map<string, Sample>): void => {
  const program = programOf(pid);
  const key = `${pid} ${program}`;
  const known = samples.get(key);
  if (program !== "" && (known === undefined || known.command.length === 0 || known.environment.length === 0)) {
    samples.set(key, {
      pid,
      program,
      command: readOr(`/proc/${pid}/cmdline`),
      environment: readOr(`/proc/${pid}/environ`),
    });
  }
  for (const child of childrenOf(pid)) sample(child, samples);
};

/** Programs that end too soon to be sampled: these in front of them write down how they were called. */
const shortLived = [
  "qemu-img",
  "ssh-keygen",
  "sfdisk",
  "debugfs",
  "xorriso",
  "apt-get",
  "apt-config",
  "qemu-system-x86_64",
];

let folder = "";
let output = "";
let code: number | null = -1;
let bakePid = 0;
const samples = new Map<string, Sample>();
const calls = (): string => join(folder, "calls");

const bake = (args: readonly string[], variables: Readonly<Record<string, string>>): Promise<number | null> =>
  new Promise((done) => {
    process.stdout.write(`\n$ bake ${args.join(" ")}\n`);
    // In a network of its own, where nothing but loopback is: bake is told to touch none.
    const alone = ["--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"];
    const child = spawn("unshare", [...alone, "node", join(root, "bin/cli.cjs"), ...args], {
      cwd: folder,
      env: {
        ...process.env,
        ...environment,
        ...variables,
        CI: "true",
        PATH: `${join(folder, "bin")}:${process.env["PATH"] ?? ""}`,
      },
    });
    bakePid = child.pid ?? 0;
    samples.clear();
    const timer = setInterval(() => sample(bakePid, samples), 20);
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (data: Buffer) => {
        output += data.toString();
        process.stdout.write(data);
      });
    }
    child.on("close", (status) => {
      clearInterval(timer);
      done(status);
    });
  });

/** Where the git proxy of the profile is: part of the baked image, so it is chosen before there is one. */
const gitProxyPort = 38_465;

/** 2cards with four cards for each of two agents, secrets of every kind, and proxies. */
const writeProfile = (name: string, token: string): void => {
  const lines = [
    `extends: ${JSON.stringify(join(root, "profiles/2cards.yaml"))}`,
    "agents: { spawn: 2, cards: 4 }",
    "network:",
    `  gitProxy: { via: "http://10.0.2.2:${gitProxyPort}/https://github.com/" }`,
    '  httpProxy: { url: "http://127.0.0.1:9", except: [10.0.2.2] }',
    "secrets:",
    `  agentToken: ${token}`,
    "  gitToken: { env: PLAIN_GIT }",
    "  proxyCredentials: { env: PLAIN_PROXY }",
    `  nodeKey: { file: ${join(folder, "secret/node-key")} }`,
  ];
  mkdirSync(join(folder, "profiles"), { recursive: true });
  writeFileSync(join(folder, `profiles/${name}.yaml`), `${lines.join("\n")}\n`);
};

const filesBelow = (base: string): string[] =>
  readdirSync(base, { recursive: true, encoding: "utf8" })
    .map((name) => join(base, name))
    .filter((path) => statSync(path).isFile());

const host = testHost();

const image = (): string => join(folder, "out/canaries-trial/image.qcow2");
const search = async (disk: string) => {
  const workFolder = mkdtempSync(join(folder, "scan-"));
  return (await scanImage(host, { image: disk, secrets: secrets(), inputs: [], workFolder })).findings.filter(
    ({ form }) => form !== undefined,
  );
};
const run = (file: string, ...args: string[]): string => execFileSync(file, args, { encoding: "utf8", stdio: "pipe" });

/** Where the root file system of the stand-in starts on its disk. */
const rootStart = 4096 * 512;
const debugfs = (raw: string, command: string, ...options: string[]): string =>
  run("debugfs", ...options, "-R", command, `${raw}?offset=${rootStart}`);

const setUp = async (): Promise<void> => {
  folder = mkdtempSync(join(tmpdir(), "bake-secrets-"));
  // Bundles when it must, before anything is watched.
  run(join(root, "bin/bake"), "--version");
  mkdirSync(join(folder, "secret"), { mode: 0o700 });
  await host.run("ssh-keygen", [
    "-q",
    "-t",
    "ed25519",
    "-N",
    "",
    "-C",
    "canary",
    "-f",
    join(folder, "secret/node-key"),
  ]);
  profileSecrets.nodeKey = readFileSync(join(folder, "secret/node-key"), "utf8");
  writeFileSync(join(folder, "secret/token"), `${profileSecrets.agentToken}\n`, { mode: 0o600 });
  mkdirSync(join(folder, "bin"));
  for (const name of shortLived) {
    const real = run("sh", "-c", `PATH=$PATH:/usr/sbin:/sbin command -v ${name} || true`).trim();
    if (real === "") continue;
    const path = join(folder, "bin", name);
    writeFileSync(
      path,
      `#!/bin/sh\n{ echo "called: ${name}"; printf '%s\\n' "$@"; env; } >>'${calls()}'\nexec '${real}' "$@"\n`,
    );
    chmodSync(path, 0o755);
  }
  writeProfile("canaries", `{ file: ${join(folder, "secret/token")} }`);
  writeProfile("from-environment", "{ env: PLAIN_AGENT }");
};

const canaryVariables = (): Record<string, string> => ({
  PLAIN_GIT: profileSecrets.gitToken,
  PLAIN_PROXY: profileSecrets.proxyCredentials,
});

const renderAndBake = async (): Promise<void> => {
  await setUp();
  // Names that say nothing: the profile alone tells that they hold secrets.
  const variables = canaryVariables();
  code = await bake(["render", "--profile", "from-environment"], {
    ...variables,
    PLAIN_AGENT: profileSecrets.agentToken,
  });
  expect(code, output).toBe(0);
  code = await bake(["image", "--profile", "canaries", "--trial", "--offline", "--no-check"], variables);
  expect(code, output).toBe(0);
};

let baking: Promise<void> | undefined;

/** Resolves when the image with the canaries is there: each part of the file can run alone. */
const baked = (): Promise<void> => (baking ??= renderAndBake());

/** The profile and image with the canaries, for who comes after. */
export interface Canaries {
  readonly profile: "canaries";
  /** Where profiles/ and out/ are, once there is a golden image. */
  readonly folder: () => string;
  readonly secrets: Readonly<typeof profileSecrets>;
  /** Public half of `secrets.nodeKey`: type and key. */
  readonly nodeKey: () => string;
  readonly gitProxyPort: number;
  /** What `bake user-data` makes of the profile. */
  readonly userData: (...options: readonly string[]) => string;
  readonly golden: () => Promise<GoldenImage>;
}

/** Registers the tests. */
export const bakeWithCanaries = (): Canaries => {
  beforeAll(baked);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  describe("a bake with canaries in every input", () => {
    test("renders and bakes", async () => {
      await baked();
      expect(output).toContain("done search the raw disk for secrets");
    });

    test("says none of them, and writes none to out/ and its logs", () => {
      expect(namesIn(Buffer.from(output))).toEqual([]);
      const files = filesBelow(join(folder, "out"));
      for (const name of ["packer.log", "journal.log", "console.log", "user-data/golden.yaml", "image.json"])
        expect(files.filter((path) => path.endsWith(name)).length, name).toBeGreaterThan(0);
      expect(statSync(join(folder, "out/canaries-trial/log/packer.log")).size).toBeGreaterThan(1000);
      expect(statSync(join(folder, "out/canaries-trial/log/console.log")).size).toBeGreaterThan(1000);
      const found = files.flatMap((path) => namesIn(readFileSync(path)).map((name) => `${path}: ${name}`));
      expect(found).toEqual([]);
      // What stands in their place.
      const golden = readFileSync(join(folder, "out/canaries-trial/user-data/golden.yaml"), "utf8");
      for (const name of ["agentToken", "gitToken", "proxyCredentials", "nodeKey"]) {
        const placeholder = `<secrets.${name}>`;
        const encoded = Buffer.from(`x-access-token:${placeholder}`).toString("base64");
        const inUrl = encodeURIComponent(placeholder);
        expect(
          [placeholder, encoded, inUrl].some((text) => golden.includes(text)),
          name,
        ).toBe(true);
      }
    });

    test("gives none to anything that it starts", () => {
      const all = [...samples.values()];
      const programs = [...new Set(all.map(({ program }) => program))];
      for (const name of ["packer", "packer-plugin-qemu", "qemu-system-x86_64"])
        expect(
          programs.filter((program) => program.startsWith(name)).length,
          `${name} in ${programs.join()}`,
        ).toBeGreaterThan(0);
      const show = ({ pid, program }: Sample): string => `${program} (${pid})`;
      expect(all.filter(({ command }) => namesIn(command).length > 0).map(show)).toEqual([]);
      // bake itself was given them, so the samples can tell; so was each child for the moment before it is another program.
      const bakeCommand = all.find(({ pid }) => pid === bakePid)?.command;
      expect(bakeCommand?.includes("--no-check")).toBe(true);
      const isBake = ({ command }: Sample): boolean => command.length === 0 || command.equals(bakeCommand ?? command);
      expect(namesIn(all.find(({ pid }) => pid === bakePid)?.environment ?? Buffer.alloc(0)).toSorted()).toEqual(
        ["secrets.gitToken", "secrets.proxyCredentials", ...Object.keys(environment)].toSorted(),
      );
      const others = all.filter((each) => !isBake(each));
      expect(others.length).toBeGreaterThan(5);
      expect(others.filter(({ environment: own }) => own.length > 0).length).toBeGreaterThan(5);
      const withCanaries = others.map((each) => `${show(each)}: ${namesIn(each.environment).join()}`);
      expect(withCanaries.filter((line) => !line.endsWith(": "))).toEqual([]);
      const called = readFileSync(calls());
      // No ssh-keygen where an earlier bake has left its key pair with the layers.
      for (const name of ["qemu-img", "qemu-system-x86_64"])
        expect(called.includes(`called: ${name}\n`), name).toBe(true);
      expect(namesIn(called)).toEqual([]);
      expect(called.includes("PATH=")).toBe(true);
    });
  });

  describe("the raw disk of the image", () => {
    let raw = "";

    test("has none of them", async () => {
      expect(await search(image())).toEqual([]);
    });

    beforeAll(() => {
      raw = join(folder, "disk.raw");
      run("qemu-img", "convert", "-O", "raw", image(), raw);
    });

    test("has nothing of the machine that it was made on", () => {
      const names = (path: string): string[] =>
        debugfs(raw, `ls -p ${path}`)
          .split("\n")
          .flatMap((line) => line.split("/")[5] ?? [])
          .filter((name) => name !== "." && name !== "..");
      expect(names("/etc/ssh").filter((name) => name.startsWith("ssh_host_"))).toEqual([]);
      expect(names("/var/lib/systemd")).not.toContain("random-seed");
      for (const path of ["/var/log/journal", "/var/lib/cloud", "/root/.ssh"]) expect(names(path), path).toEqual([]);
      expect(debugfs(raw, "stat /etc/machine-id")).toMatch(/Size: 0$/m);
    });

    test("has no old data in its free blocks", () => {
      const free = [...run("dumpe2fs", `${raw}?offset=${rootStart}`).matchAll(/Free blocks: (\d[^\n]*)/g)]
        .flatMap(([, list = ""]) => list.split(", "))
        .map((range) => range.split("-").map(Number));
      const disk = openSync(raw, "r");
      const zeros = Buffer.alloc(4096);
      const found = Buffer.alloc(4096);
      let blocks = 0;
      let used = 0;
      try {
        for (const [from = 0, to = from] of free) {
          for (let block = from; block <= to; block++, blocks++) {
            readSync(disk, found, 0, 4096, rootStart + block * 4096);
            if (!found.equals(zeros)) used++;
          }
        }
      } finally {
        closeSync(disk);
      }
      expect(blocks).toBeGreaterThan(100_000);
      // What was freed after the clean-up: its own script, and notes of the shutdown.
      expect(used).toBeLessThan(64);
    });

    test("would show one that was there: in a file, deleted and not trimmed, across the border of two reads", async () => {
      const file = join(folder, "canary-file");
      writeFileSync(file, `token="${profileSecrets.agentToken}"\n`);
      debugfs(raw, `write ${file} /root/forgotten`, "-w");
      writeFileSync(file, Buffer.from(`x-access-token:${profileSecrets.gitToken}`).toString("base64"));
      debugfs(raw, `write ${file} /root/deleted`, "-w");
      debugfs(raw, "rm /root/deleted", "-w");
      const used = join(folder, "used.qcow2");
      run("qemu-img", "convert", "-O", "qcow2", raw, used);
      const places = Object.fromEntries((await search(used)).map(({ what, form, place }) => [what, [form, place]]));
      expect(places).toEqual({
        "secrets.agentToken": ["plain", "/root/forgotten"],
        "secrets.gitToken": ["base64", "no file: deleted, but its blocks still hold it"],
      });

      const child = join(folder, "child.qcow2");
      run("qemu-img", "create", "-q", "-f", "qcow2", "-b", image(), "-F", "qcow2", child);
      const start = 5 * 2 ** 30;
      const cut = start + 2 ** 20 - 20;
      writeFileSync(file, profileSecrets.agentToken);
      run("qemu-io", "-f", "qcow2", "-c", `write -q -P 1 ${start} 3M`, child);
      run("qemu-io", "-f", "qcow2", "-c", `write -q -s ${file} ${cut} ${profileSecrets.agentToken.length}`, child);
      expect(await search(child)).toMatchObject([{ what: "secrets.agentToken", offset: cut }]);
    });
  });

  return {
    profile: "canaries",
    folder: () => folder,
    secrets: profileSecrets,
    nodeKey: () => readFileSync(join(folder, "secret/node-key.pub"), "utf8").split(" ").slice(0, 2).join(" "),
    gitProxyPort,
    userData: (...options) =>
      execFileSync(join(root, "bin/bake"), ["user-data", "--profile", "canaries", "--trial", ...options], {
        cwd: folder,
        encoding: "utf8",
        env: { ...process.env, ...canaryVariables() },
      }),
    golden: async () => {
      await baked();
      return readGolden("canaries", join(folder, "out/canaries-trial"), join(folder, "profiles/canaries.yaml"));
    },
  };
};
