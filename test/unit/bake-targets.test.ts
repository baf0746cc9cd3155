import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { cloudCredentials } from "../../src/bake/cloud-credentials.ts";
import { bakeTargets, chooseTarget, trialTarget } from "../../src/bake/targets.ts";
import { root } from "../../src/host/root.ts";
import type { TargetName } from "../../src/profile/schema.ts";
import type { Profile } from "../../src/profile/schema.ts";
import { asksCloud } from "../../src/targets/datasources.ts";

/** A profile with these targets; nothing else of it is looked at. */
const profile = (...targets: TargetName[]): Profile =>
  ({ targets: Object.fromEntries(targets.map((name) => [name, {}])) }) as unknown as Profile;

const choose = (
  of: Profile,
  { asked, trial = false, offline = false }: { asked?: TargetName; trial?: boolean; offline?: boolean } = {},
): TargetName => chooseTarget(of, "site.yaml", { asked, trial, offline });

/** What it throws, as it is told. */
const refusal = (...args: Parameters<typeof choose>): unknown => {
  try {
    return choose(...args);
  } catch (error) {
    const { code, message, help } = error as { code: string; message: string; help: string };
    return [code, message, help];
  }
};

describe("chooseTarget", () => {
  test("what was asked for, else a trial's, else the first of the profile", () => {
    expect(choose(profile("huaweicloud", "qemu"))).toBe("qemu");
    expect(choose(profile("huaweicloud"))).toBe("huaweicloud");
    expect(choose(profile("qemu", "huaweicloud"), { asked: "huaweicloud" })).toBe("huaweicloud");
    expect(choose(profile("qemu"), { trial: true, offline: true })).toBe(trialTarget);
  });

  test("a trial in the cloud is refused, whatever else is wrong", () => {
    for (const offline of [false, true]) {
      expect(refusal(profile("qemu"), { asked: "huaweicloud", trial: true, offline })).toEqual([
        "BK413",
        "a trial bakes in a local VM alone",
        "Leave --trial or --target huaweicloud out.",
      ]);
    }
  });

  test("a target that the profile does not have is refused with those that it has", () => {
    expect(refusal(profile("qemu"), { asked: "huaweicloud", offline: true })).toEqual([
      "BK413",
      "site.yaml has no target huaweicloud",
      "It has: qemu.",
    ]);
    expect(refusal(profile("huaweicloud"), { asked: "qemu" })).toEqual([
      "BK413",
      "site.yaml has no target qemu",
      "It has: huaweicloud.",
    ]);
  });

  test("the cloud without a network is refused, with the way out that the profile has", () => {
    const refused = ["BK413", "a bake in the cloud needs the network"];
    expect(refusal(profile("huaweicloud"), { offline: true })).toEqual([...refused, "Leave --offline out."]);
    expect(refusal(profile("qemu", "huaweicloud"), { asked: "huaweicloud", offline: true })).toEqual([
      ...refused,
      "Leave --offline out, or bake in a local VM: --target qemu.",
    ]);
    expect(choose(profile("qemu"), { offline: true })).toBe("qemu");
  });
});

test("folders and credentials of the targets", () => {
  expect(Object.values(bakeTargets).map(({ folderName }) => folderName("2cards"))).toEqual([
    "2cards",
    "2cards-huaweicloud",
  ]);
  expect(bakeTargets.qemu.credentials({})).toEqual({});
  expect(() => bakeTargets.huaweicloud.credentials({ HW_ACCESS_KEY: " " })).toThrow(
    expect.objectContaining({
      code: "BK410",
      message: "credentials of Huawei Cloud are missing: HW_ACCESS_KEY and HW_SECRET_KEY",
    }),
  );
  // Nothing else of the environment, and nothing that is empty.
  expect(
    cloudCredentials({ HW_ACCESS_KEY: "a", HW_SECRET_KEY: "b", HW_AUTH_URL: "", HW_PROJECT_ID: "p", PATH: "/bin" }),
  ).toEqual({ HW_ACCESS_KEY: "a", HW_SECRET_KEY: "b", HW_PROJECT_ID: "p" });
});

/** `init` asks what each target needs, in that target's words. */
const asksOfTargets = ["init-answers.ts"];

test("no command asks for a target by its name", () => {
  const folder = join(root, "src/commands");
  const named = readdirSync(folder).filter((file) =>
    /["'`](?:qemu|huaweicloud)["'`]/.test(readFileSync(join(folder, file), "utf8")),
  );
  expect(named).toEqual(asksOfTargets);
});

describe("basePassword", () => {
  const of = (base: unknown, secret?: object, environment: Record<string, string> = {}): Promise<string | undefined> =>
    bakeTargets.qemu.basePassword(
      { targets: { qemu: { base } }, secrets: { basePassword: secret } } as unknown as Profile,
      environment,
    );

  test("openEuler's own images have the documented one, a file has none, and the cloud has no base", async () => {
    expect(await of("openeuler-22.03-lts-sp4")).toBe("openEuler12#$");
    expect(await of({ file: "bases/own.qcow2" })).toBeUndefined();
    expect(await bakeTargets.huaweicloud.basePassword(profile("huaweicloud"), {})).toBeUndefined();
  });

  test("what the profile names beats it, from a variable or a file", async () => {
    expect(await of("openeuler-22.03-lts-sp4", { env: "PW" }, { PW: "of our own\n" })).toBe("of our own");
    const folder = mkdtempSync(join(tmpdir(), "bake-password-"));
    try {
      writeFileSync(join(folder, "root"), "in a file #\n");
      expect(await of({ file: "own.qcow2" }, { file: join(folder, "root") })).toBe("in a file #");
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test.each([
    [{ env: "PW" }, {}, "secrets.basePassword: variable PW is not set"],
    [{ env: "PW" }, { PW: " " }, "secrets.basePassword: variable PW is empty"],
    [{ env: "PW" }, { PW: "two\nlines" }, "secrets.basePassword: variable PW is not one line of text"],
    [{ file: "/nowhere/root" }, {}, "secrets.basePassword: /nowhere/root is not there"],
  ])("%j of %j is refused before anything starts", async (secret, environment, problem) => {
    await expect(of({ file: "own.qcow2" }, secret, environment)).rejects.toMatchObject({
      code: "BK414",
      message: `the base cannot be entered: ${problem}`,
    });
  });
});

test("an image asks the cloud for its user-data by its datasources, whatever its profile is called", () => {
  expect(asksCloud("# Baked of OpenStack-ci\ndatasource_list: [NoCloud, None]\n")).toBe(false);
  expect(asksCloud("# Baked of 2cards\ndatasource_list:\n  - NoCloud\n  - OpenStack\n")).toBe(true);
});
