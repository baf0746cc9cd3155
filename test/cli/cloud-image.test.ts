/**
 * `bake image --target huaweicloud` as a user runs it, against the emulated cloud: a stand-in for Packer makes the plugin's calls
 * and says what it was given. What the template holds is tested elsewhere.
 */
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { root } from "../../src/host/root.ts";
import { storePath } from "../../src/store/store.ts";
import { type Emulator, startEmulator } from "../huaweicloud/emulator.ts";
import { type Ended, runBake, userIn } from "./run-bake.ts";
import { layPacker } from "../huaweicloud/packer-stand-in.ts";
import { ids, key } from "../huaweicloud/world.ts";
import { fillByDigest, layLockedProfile } from "../locked-profile.ts";

let folder = "";
let emulator: Emulator;
beforeEach(async () => {
  emulator = await startEmulator();
  Object.assign(emulator.world.takes, { create: 5, stop: 5, image: 5, delete: 5 });
  folder = mkdtempSync(join(tmpdir(), "bake-cloud-"));
  layPacker(join(folder, "bin"));
});
afterEach(async () => {
  await emulator.close();
  rmSync(folder, { recursive: true, force: true });
});

/** The golden test's profile for the cloud, with a lock and with every file that it names in the store. */
const lay = (settings = ""): void => {
  const golden = join(root, "test/golden/cloud/profile.yaml");
  const { contents } = layLockedProfile(
    folder,
    `extends: ${JSON.stringify(golden)}\n${settings === "" ? "" : `targets: { huaweicloud: { ${settings} } }\n`}`,
  );
  fillByDigest(join(folder, "cache/bake/store"), contents);
};
const mirror = "mirror: http://mirror.example.com/bake/";

const user = (env: Readonly<Record<string, string>> = {}) =>
  userIn(folder, {
    PATH: `${folder}/bin:${process.env["PATH"] ?? ""}`,
    SEEN: join(folder, "seen"),
    STAND_IN_LOOKS: "2",
    PACKER_LOG: "1",
    ...emulator.env,
    ...env,
  });
const bake = (
  env: Readonly<Record<string, string>> = {},
  args: readonly string[] = ["--target", "huaweicloud"],
): Promise<Ended> => runBake(["image", "--profile", "site.yaml", ...args], user(env));

const isThere = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

/**
 * Bakes until the cloud is asked this, and is killed (kill -9) right before the answer; then Packer comes to its own end.
 * @param held A call of Packer's that has no answer before: on a busy machine it would be far ahead of bake.
 */
const bakeKilledAt = async (route: string, { earlier = 0, held = "" } = {}): Promise<void> => {
  const pidFile = join(folder, "packer.pid");
  await new Promise<void>((resolve) => {
    const child = execFile(
      join(root, "bin/bake"),
      ["image", "--profile", "site.yaml", "--target", "huaweicloud"],
      user({ STAND_IN_PID: pidFile }),
      (error) => {
        expect(error?.signal).toBe("SIGKILL");
        resolve();
      },
    );
    // From the beginning: bake may be gone when that call comes.
    const gone = new Promise<undefined>((done) => child.once("close", () => done(undefined)));
    if (held !== "") emulator.on(held, () => gone);
    emulator.on(route, ...Array.from({ length: earlier }, () => () => undefined), () => child.kill("SIGKILL"));
  });
  const packer = Number(readFileSync(pidFile, "utf8"));
  while (isThere(packer)) await new Promise((done) => setTimeout(done, 50));
};
const seen = (): string => readFileSync(join(folder, "seen"), "utf8");
const record = (): unknown => JSON.parse(readFileSync(join(folder, "out/site-huaweicloud/image.json"), "utf8"));
const report = () =>
  JSON.parse(readFileSync(join(folder, "out/site-huaweicloud/preflight.json"), "utf8")) as {
    zone?: string;
    lines: { id: string; outcome: string }[];
  };
const leftThere = () => {
  const { servers, keyPairs, addresses } = emulator.world;
  return { servers: servers.map(({ id }) => id), keyPairs, addresses };
};
const nothing = { servers: [], keyPairs: [], addresses: [] };

test("missing credentials are an error before anything starts, all of them at once", async () => {
  lay();
  const { status, stderr, stdout } = await bake({ HW_ACCESS_KEY: "", HW_SECRET_KEY: " " });
  expect(status).toBe(2);
  expect(stdout).toBe("");
  expect(stderr).toBe(
    [
      "error[BK410]: credentials of Huawei Cloud are missing: HW_ACCESS_KEY and HW_SECRET_KEY",
      "  Set them in the environment, never in a file: an access key of a user that may make servers, images and key pairs.",
      "  Temporary ones need HW_SECURITY_TOKEN too.",
      "",
    ].join("\n"),
  );
  expect(existsSync(join(folder, "out"))).toBe(false);
  expect(emulator.calls).toEqual([]);
});

test("a whole bake: preflight, zone, uploads, the image with its tags; the same again asks, and makes nothing", async () => {
  lay("publicIp: { bandwidth: 5 }");
  const commit = "4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a6978";
  const { status, stdout, stderr } = await bake({
    BUILDKITE_COMMIT: commit,
    BUILDKITE_BUILD_URL: "https://user:pw@ci.example.com/builds/7?token=x",
  });
  expect(status, stderr + stdout).toBe(0);
  const lines = seen().trimEnd().split("\n");
  expect(lines).toEqual(
    expect.arrayContaining([`HW_ACCESS_KEY=${key.accessKey}`, `HW_SECRET_KEY=${key.secretKey}`, "PACKER_LOG="]),
  );
  // Only this zone sells the flavor; the plugin would draw one.
  expect(lines).toContain("availability_zone=cn-north-4b");
  expect(report()).toMatchObject({ zone: "cn-north-4b" });
  expect(report().lines.filter(({ outcome }) => outcome !== "ok")).toEqual([]);
  const tsv = readFileSync(join(folder, "out/site-huaweicloud/provision/artifacts.tsv"), "utf8");
  const wanted = tsv
    .trimEnd()
    .split("\n")
    .map((line) => storePath(line.split("\t")[3] ?? ""));
  expect(wanted.length).toBeGreaterThan(6);
  // The manifests of images go along, the base does not.
  expect(lines.filter((line) => line.startsWith("sha256/"))).toEqual(expect.arrayContaining(wanted));

  const image = emulator.world.images.at(-1);
  expect(image).toMatchObject({ status: "active", type: "private", tags: { "bake-profile": "site" } });
  expect(image?.description).toMatch(
    new RegExp(
      `Bake id [\\w-]{43}\\. Lock [\\w-]{43}\\. Commit ${commit}\\. Build https://ci\\.example\\.com/builds/7$`,
    ),
  );
  expect(stdout).toContain(`image ID ${image?.id}`);
  expect(stdout).toContain("the plugin waits 285 s for nothing");
  expect(stdout).toMatch(/should this bake be killed, the server ends by itself at \d{4}-/);
  expect(record()).toMatchObject({ target: "huaweicloud", imageId: image?.id, profile: "site", zone: "cn-north-4b" });
  expect(record()).not.toHaveProperty("interrupted");
  // Nothing was booted: what was baked is told all the same.
  const page = readFileSync(join(folder, "out/site-huaweicloud/report.html"), "utf8");
  expect(page).toContain(`<span class="value">${image?.id}</span>`);
  expect(page).toContain('<span class="word">not checked</span>');
  expect(page).not.toContain(key.secretKey);
  expect(leftThere()).toEqual(nothing);
  for (const secret of [key.accessKey, key.secretKey]) {
    expect(stdout).not.toContain(secret);
    for (const name of ["image.json", "preflight.json", "log/packer.log"])
      expect(readFileSync(join(folder, "out/site-huaweicloud", name), "utf8")).not.toContain(secret);
  }

  rmSync(join(folder, "seen"));
  const again = await bake();
  expect(again.stdout).toContain("up to date: nothing to bake");
  expect(again.stdout).toContain(`image ID ${image?.id}`);
  expect(existsSync(join(folder, "seen"))).toBe(false);
  // Another machine, which has no record of it.
  rmSync(join(folder, "out"), { recursive: true });
  expect((await bake()).stdout).toContain(`image ID ${image?.id}`);
  expect(existsSync(join(folder, "seen"))).toBe(false);
  // Deleted in the cloud: the record alone is no image.
  if (image !== undefined) image.status = "deleted";
  const third = await bake({}, ["--target", "huaweicloud", "--json"]);
  expect(third.status, third.stderr).toBe(0);
  const folderOfIt = "out/site-huaweicloud";
  expect(JSON.parse(third.stdout)).toEqual({
    ...{ ok: true, profile: "site", trial: false, target: "huaweicloud", folder: folderOfIt, check: null },
    bakeId: (record() as { bakeId: string }).bakeId,
    image: record(),
    report: join(folderOfIt, "report.html"),
    seconds: expect.any(Number) as number,
  });
  expect(record()).toMatchObject({ imageId: emulator.world.images.at(-1)?.id });
  // How it goes is told all the same.
  expect(third.stderr).toContain(`image ID ${emulator.world.images.at(-1)?.id}`);
  expect(existsSync(join(folder, "seen"))).toBe(true);
});

test("what is wrong stops it before anything is made, with what to do; the report is there", async () => {
  lay();
  emulator.world.subnet.dhcp = false;
  emulator.world.quotas.images = [100, 100];
  const { status, stderr } = await bake();
  expect(status).toBe(2);
  expect(stderr).toMatch(
    /^error\[BK426\]: the preflight finds 2 things that are not right: nothing was made\n.*private images 100 of 100 in use, 1 more needed\n/,
  );
  expect(stderr).toContain("Turn DHCP on in the subnet's settings.");
  expect(existsSync(join(folder, "seen"))).toBe(false);
  expect(emulator.calls.every((call) => call.split(" ")[1] === "GET")).toBe(true);
  expect(report().lines.filter(({ outcome }) => outcome === "wrong")).toHaveLength(2);
});

test("with a mirror nothing is uploaded; a key pair of the cloud needs its private key", async () => {
  lay(`${mirror}, keyPair: ci-bake, availabilityZone: cn-north-4b`);
  emulator.world.keyPairs.push("ci-bake");
  const without = await bake();
  expect(without.stderr).toContain(
    "error[BK410]: the private key of the key pair ci-bake is missing: BAKE_SSH_PRIVATE_KEY",
  );
  const { status, stderr } = await bake({ BAKE_SSH_PRIVATE_KEY: "~/id" });
  expect(status, stderr).toBe(0);
  expect(seen()).not.toContain("artifacts=");
  expect(seen()).toContain(`ssh_private_key_file=${folder}/id`);
  // The template has the profile's own zone.
  expect(seen()).not.toContain("availability_zone=");
  expect(leftThere()).toEqual({ ...nothing, keyPairs: ["ci-bake"] });
});

test("one changed byte in the store is refused by name", async () => {
  lay();
  const { contents } = layLockedProfile(folder, readFileSync(join(folder, "site.yaml"), "utf8"));
  const [sha256 = "", bytes] =
    [...contents].find(([, text]) => /^goss|release goss/.test(text.toString("latin1"))) ?? [];
  // Of the same size: one of another is fetched anew.
  writeFileSync(join(folder, "cache/bake/store", storePath(sha256)), Buffer.from(bytes ?? "").fill("!", 0, 1));
  const { status, stderr } = await bake();
  expect(status).toBe(2);
  expect(stderr).toMatch(/error\[BK20[12]\]: artifact goss /);
  expect(emulator.world.servers).toEqual([]);
});

test.each([
  [
    "a step fails",
    { STAND_IN_FAIL: "artifact goss could not be fetched" },
    "error[BK401]: the build failed at: install artifacts: artifact goss could not be fetched",
  ],
  [
    "the plugin cannot be had",
    { NO_PLUGIN: "1" },
    "error[BK411]: Packer's plugin for Huawei Cloud could not be installed",
  ],
  [
    "data disks were imaged too",
    { MADE: `${ids.sourceImage};${ids.sourceImage}` },
    "error[BK412]: Packer ended well, and its manifest names 2 images",
  ],
])("when %s, it says so, and nothing is left", async (_, env, words) => {
  lay(mirror);
  const { status, stderr } = await bake(env);
  expect(status).toBe(2);
  expect(stderr).toContain(words);
  if ("STAND_IN_FAIL" in env) expect(stderr).toContain("nothing is left in the cloud");
  expect(leftThere()).toEqual(nothing);
});

test("a trial bakes in a local VM alone, and a target must be there", async () => {
  lay();
  expect((await bake({}, ["--target", "huaweicloud", "--trial"])).stderr).toContain(
    "error[BK413]: a trial bakes in a local VM alone",
  );
  writeFileSync(join(folder, "site.yaml"), `extends: 2cards\n`);
  rmSync(join(folder, "site.lock.json"));
  expect((await bake()).stderr).toContain("error[BK413]: site.yaml has no target huaweicloud");
});

test("offline it is refused before anything starts, with credentials or without", async () => {
  lay();
  for (const env of [{}, { HW_ACCESS_KEY: "", HW_SECRET_KEY: "" }]) {
    const { status, stderr, stdout } = await bake(env, ["--target", "huaweicloud", "--offline"]);
    expect(status).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).toBe("error[BK413]: a bake in the cloud needs the network\n  Leave --offline out.\n");
  }
  expect(existsSync(join(folder, "out"))).toBe(false);
  expect(existsSync(join(folder, "seen"))).toBe(false);
});

test("kill -9 of bake with the server there: the same again makes no second one and names it; once it is removed all is well", async () => {
  lay("publicIp: { bandwidth: 5 }");
  await bakeKilledAt("ECS POST /v1/{project_id}/cloudservers/{server_id}/actions/update-auto-terminate-time", {
    held: "ECS POST /v1/{project_id}/cloudservers/action",
  });
  // Packer hears of it at its next line, which nobody reads.
  const left = leftThere();
  expect([left.servers.length, left.keyPairs.length, left.addresses.length]).toEqual([1, 1, 1]);
  const creations = (): number =>
    emulator.calls.filter((call) => call === "ECS POST /v1/{project_id}/cloudservers").length;
  const again = await bake();
  expect(again.status).toBe(2);
  expect(again.stderr).toContain("error[BK426]");
  expect(again.stderr).toContain(`${left.servers[0]}, key pair ${left.keyPairs[0]}`);
  expect(creations()).toBe(1);
  const leftovers = (...more: readonly string[]): Promise<Ended> =>
    runBake(["catalog", "leftovers", "--profile", "site.yaml", ...more], user());
  const shown = await leftovers("--older-than", "0");
  for (const id of [...left.servers, ...left.keyPairs, ...left.addresses.map((each) => each.id)])
    expect(shown.stdout).toContain(id);
  expect((await leftovers("--older-than", "0", "--yes")).status).toBe(0);
  expect(leftThere()).toEqual(nothing);
  const third = await bake();
  expect(third.status, third.stderr).toBe(0);
  expect(record()).toMatchObject({ imageId: emulator.world.images.at(-1)?.id });
  // Nor is anything of the killed process left on this machine.
  expect(readdirSync(join(folder, "cache/bake/work"))).toEqual([]);
}, 240_000);

test("kill -9 of bake with the image there: it is recorded as interrupted, and the same again takes it", async () => {
  lay(mirror);
  // The preflight asks it once.
  await bakeKilledAt("ECS GET /v1/{project_id}/cloudservers/detail", { earlier: 1 });
  const image = emulator.world.images.at(-1);
  expect(image?.type).toBe("private");
  expect(record()).toMatchObject({ imageId: image?.id, interrupted: true });
  const again = await bake();
  expect(again.status, again.stderr).toBe(0);
  expect(again.stdout).toContain("up to date: nothing to bake");
  expect(record()).toMatchObject({ imageId: image?.id });
  expect(record()).not.toHaveProperty("interrupted");
  expect(emulator.world.images.filter(({ type }) => type === "private")).toHaveLength(1);
  expect(leftThere()).toEqual(nothing);
}, 240_000);
