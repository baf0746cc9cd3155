/**
 * `bake image --target huaweicloud` up to the cloud: the plugin cannot be had here, so a stand-in for Packer says what it was
 * given and names an image. What the template holds is tested elsewhere.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { root } from "../../src/host/root.ts";
import { storePath } from "../../src/store/store.ts";
import { fillByDigest, layLockedProfile } from "../locked-profile.ts";

const imageId = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";

const standIn = `#!/bin/sh
case $1 in
version) echo "Packer v1.11.2" ;;
init)
  if [ -n "$NO_PLUGIN" ]; then echo "Error: no release found" >&2; exit 1; fi ;;
build)
  env | grep -E '^(HW_|PACKER_LOG)' | sort >"$SEEN"
  for word; do
    printf '%s\\n' "$word" >>"$SEEN"
    case $word in
    output=*) output=\${word#output=} ;;
    artifacts=*) (cd "\${word#artifacts=}" && find . -type f | sort) >>"$SEEN" ;;
    esac
  done
  echo "    huaweicloud-ecs.node: bake: step install-artifacts"
  [ -z "$FAIL" ] || { echo "==> huaweicloud-ecs.node: bake: failed artifact goss could not be fetched"; exit 1; }
  echo '{"builds":[{"artifact_id":"'"$MADE"'"}]}' >"$output/manifest.json" ;;
esac
`;

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bake-cloud-"));
  mkdirSync(join(folder, "bin"));
  writeFileSync(join(folder, "bin/packer"), standIn);
  chmodSync(join(folder, "bin/packer"), 0o755);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** The golden test's profile for the cloud, with a lock and with every file that it names in the store. */
const lay = (mirror: boolean): void => {
  const golden = join(root, `test/golden/${mirror ? "cloud-mirror" : "cloud"}/profile.yaml`);
  const { contents } = layLockedProfile(folder, `extends: ${JSON.stringify(golden)}\n`);
  fillByDigest(join(folder, "cache/bake/store"), contents);
};

const credentials = { HW_ACCESS_KEY: "AKEXAMPLEEXAMPLE", HW_SECRET_KEY: "SKEXAMPLEEXAMPLE" };
const bake = (env: Record<string, string> = credentials, args: readonly string[] = ["--target", "huaweicloud"]) =>
  spawnSync(join(root, "bin/bake"), ["image", "--profile", "site.yaml", ...args], {
    cwd: folder,
    encoding: "utf8",
    env: {
      PATH: `${folder}/bin:${process.env["PATH"] ?? ""}`,
      HOME: folder,
      XDG_CACHE_HOME: join(folder, "cache"),
      SEEN: join(folder, "seen"),
      MADE: imageId,
      PACKER_LOG: "1",
      ...env,
    },
  });
const seen = (): string => readFileSync(join(folder, "seen"), "utf8");

test("missing credentials are an error before anything starts, all of them at once", () => {
  lay(false);
  const { status, stderr, stdout } = bake({ HW_SECRET_KEY: " " });
  expect(status).toBe(2);
  expect(stdout).toBe("");
  expect(stderr.replace("bake: bundling the CLI\n", "")).toBe(
    [
      "error[BK410]: credentials of Huawei Cloud are missing: HW_ACCESS_KEY and HW_SECRET_KEY",
      "  Set them in the environment, never in a file: an access key of a user that may make servers, images and key pairs.",
      "  Temporary ones need HW_SECURITY_TOKEN too.",
      "",
    ].join("\n"),
  );
  expect(existsSync(join(folder, "out"))).toBe(false);
});

test("Packer gets the credentials by its environment, and only the files of the lock to upload", () => {
  lay(false);
  const { status, stdout, stderr } = bake({ ...credentials, HW_SECURITY_TOKEN: "STEXAMPLE" });
  expect(status, stderr).toBe(0);
  const lines = seen().trimEnd().split("\n");
  expect(lines.slice(0, 4)).toEqual([
    "HW_ACCESS_KEY=AKEXAMPLEEXAMPLE",
    "HW_SECRET_KEY=SKEXAMPLEEXAMPLE",
    "HW_SECURITY_TOKEN=STEXAMPLE",
    "PACKER_LOG=",
  ]);
  const tsv = readFileSync(join(folder, "out/site-huaweicloud/provision/artifacts.tsv"), "utf8");
  const wanted = tsv
    .trimEnd()
    .split("\n")
    .map((line) => `./${storePath(line.split("\t")[2] ?? "")}`);
  expect(wanted.length).toBeGreaterThan(6);
  const uploaded = lines.filter((line) => line.startsWith("./sha256/"));
  // The manifests of images go along, the base does not.
  expect(uploaded).toEqual(expect.arrayContaining(wanted));
  expect(stdout).toContain(`image ID ${imageId}`);
  const record = JSON.parse(readFileSync(join(folder, "out/site-huaweicloud/image.json"), "utf8")) as object;
  expect(record).toMatchObject({ target: "huaweicloud", imageId, profile: "site" });
  for (const secret of [...Object.values(credentials), "STEXAMPLE"]) {
    expect(stdout).not.toContain(secret);
    expect(JSON.stringify(record)).not.toContain(secret);
    expect(readFileSync(join(folder, "out/site-huaweicloud/log/packer.log"), "utf8")).not.toContain(secret);
  }
  // The same again makes nothing.
  rmSync(join(folder, "seen"));
  const again = bake();
  expect(again.stdout).toContain("up to date: nothing to bake");
  expect(existsSync(join(folder, "seen"))).toBe(false);
});

test("with a mirror nothing is uploaded", () => {
  lay(true);
  expect(bake().status).toBe(0);
  expect(seen()).not.toContain("artifacts=");
});

test("one changed byte in the store is refused by name", () => {
  lay(false);
  const tsv = (): string => readFileSync(join(folder, "out/site-huaweicloud/provision/artifacts.tsv"), "utf8");
  expect(bake().status).toBe(0);
  const [, , sha256 = ""] = (
    tsv()
      .split("\n")
      .find((line) => line.startsWith("goss")) ?? ""
  ).split("\t");
  const path = join(folder, "cache/bake/store", storePath(sha256));
  writeFileSync(path, readFileSync(path, "utf8").replace("goss", "boss"));
  rmSync(join(folder, "out"), { recursive: true });
  const { status, stderr } = bake();
  expect(status).toBe(2);
  expect(stderr).toContain("error[BK202]: artifact goss does not match its digest");
});

test.each([
  [
    "the build fails",
    { FAIL: "1" },
    "error[BK401]: the build failed at: install artifacts: artifact goss could not be fetched",
  ],
  [
    "the plugin cannot be had",
    { NO_PLUGIN: "1" },
    "error[BK411]: Packer's plugin for Huawei Cloud could not be installed",
  ],
  ["no image is named", { MADE: "" }, "error[BK412]: Packer ended well, and its manifest names no image ID"],
  [
    "data disks were imaged too",
    { MADE: `${imageId};${imageId}` },
    "error[BK412]: Packer ended well, and its manifest names 2 images",
  ],
])("when %s, it says so and leaves no record", (_, env, message) => {
  lay(true);
  const { status, stderr } = bake({ ...credentials, ...env });
  expect(status).toBe(2);
  expect(stderr).toContain(message);
  expect(existsSync(join(folder, "out/site-huaweicloud/image.json"))).toBe(false);
});

test("a trial bakes in a local VM alone, and a target must be there", () => {
  lay(false);
  expect(bake(credentials, ["--target", "huaweicloud", "--trial"]).stderr).toContain(
    "error[BK413]: a trial bakes in a local VM alone",
  );
  writeFileSync(join(folder, "site.yaml"), `extends: 2cards\n`);
  rmSync(join(folder, "site.lock.json"));
  expect(bake().stderr).toContain("error[BK413]: site.yaml has no target huaweicloud");
});

test("offline it is refused before anything starts, with credentials or without", () => {
  lay(false);
  for (const env of [credentials, {}]) {
    const { status, stderr, stdout } = bake(env, ["--target", "huaweicloud", "--offline"]);
    expect(status).toBe(2);
    expect(stdout).toBe("");
    expect(stderr.replace("bake: bundling the CLI\n", "")).toBe(
      "error[BK413]: a bake in the cloud needs the network\n  Leave --offline out.\n",
    );
  }
  expect(existsSync(join(folder, "out"))).toBe(false);
  expect(existsSync(join(folder, "seen"))).toBe(false);
});
