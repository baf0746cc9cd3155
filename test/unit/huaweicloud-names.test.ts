/** Names, tags and descriptions that a bake takes in the cloud: at their limits and above, as bake and as the cloud refuse them. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import * as z from "zod";
import { builtFrom } from "../../src/bake/built-from.ts";
import { planFor } from "../../src/commands/plan.ts";
import { root } from "../../src/host/root.ts";
import { describeImage, imageTags, serverName, tagValue } from "../../src/targets/huaweicloud.ts";
import { hostileStrings } from "../hostile.ts";
import { cloudOf } from "../huaweicloud/cloud-of.ts";
import { type Emulator, startEmulator } from "../huaweicloud/emulator.ts";
import { bakeOnce, readyForBake, thingsIn } from "../huaweicloud/one-bake.ts";
import { ids } from "../huaweicloud/world.ts";
import { readProfile, render } from "../plan-of.ts";

const lock = "LoCkLoCkLoCkLoCkLoCkLoCkLoCkLoCkLoCkLoCkLoC";

test("a server's name is one that the cloud takes, whatever the profile is called, and ends in the bake id's beginning", () => {
  const bakeId = "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_AbCdE";
  expect(serverName("2cards", bakeId)).toBe("bake-2cards-AbCdEfGhIj");
  expect(serverName("2cards", undefined)).toBe("bake-2cards");
  for (const profile of [...hostileStrings(300), "x".repeat(200), "卡 2"]) {
    for (const id of [bakeId, undefined]) expect(serverName(profile, id)).toMatch(/^[A-Za-z0-9_.-]{1,64}$/);
    expect(serverName(profile, bakeId)).toMatch(/-AbCdEfGhIj$/);
  }
});

test("the default enterprise project is called 0", () => {
  const folder = mkdtempSync(join(tmpdir(), "bake-names-"));
  try {
    const golden = JSON.stringify(join(root, "test/golden/cloud/profile.yaml"));
    const text = `extends: ${golden}\ntargets: { huaweicloud: { enterpriseProject: "0" } }\n`;
    writeFileSync(join(folder, "site.yaml"), text);
    const plan = planFor({ name: "site", profile: readProfile(join(folder, "site.yaml")), target: "huaweicloud" });
    const template = render(plan).files.find(({ path }) => path === "packer/huaweicloud.pkr.hcl");
    expect(template?.content).toContain('enterprise_project_id = "0"\n');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("profiles whose names the cloud does not take as they are have names of their own there", () => {
  // At the limit a name stays as it is; above it, and where a letter was changed, a digest tells it from its like.
  expect(tagValue("x".repeat(43))).toBe("x".repeat(43));
  const long = ["a", "b", "c"].map((end) => "x".repeat(60) + end);
  const named = [...long, "site 2", "site-2", "site/2", "卡", "测", "-"];
  for (const taken of [named.map(tagValue), named.map((each) => serverName(each, lock))]) {
    expect(new Set(taken).size, taken.join("\n")).toBe(named.length);
  }
  for (const profile of [...named, ...hostileStrings(300)]) {
    expect(tagValue(profile)).toMatch(/^[A-Za-z0-9._-]{1,43}$/);
    expect(imageTags({}, { profile, lockDigest: lock }, lock)).toEqual({
      ...{ "bake-profile": tagValue(profile), "bake-id": lock, "bake-lock": lock },
    });
  }
});

describe("a description", () => {
  const bakeId = "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_AbCdE";
  const identity = `Bake id ${bakeId}. Lock ${lock}.`;

  test("never loses bake id and lock, whatever stands before them, and has nothing that the service refuses", () => {
    expect(describeImage("Made by bake.", bakeId, lock)).toBe(`Made by bake. ${identity}`);
    const room = 600 - identity.length - 1;
    expect(describeImage("x".repeat(room), bakeId, lock)).toBe(`${"x".repeat(room)} ${identity}`);
    for (const header of ["x".repeat(room + 1), "x".repeat(5000)])
      expect(describeImage(header, bakeId, lock)).toBe(`${"x".repeat(room)} ${identity}`);
    for (const header of ["a\n<b>\tc\u0000", "卡\u2028", ...hostileStrings(300)]) {
      const text = describeImage(header, bakeId, lock);
      expect(text).toMatch(/^[^\n\r<>]{1,600}$/);
      expect(text.endsWith(identity)).toBe(true);
    }
    expect(describeImage("Made by bake.", undefined, undefined)).toBe("Made by bake.");
  });

  test("has room for all that CI says of itself", () => {
    const env = {
      GIT_COMMIT: "a".repeat(64),
      BUILD_URL: `https://ci.example.com/${"<b>\n".repeat(99)}${"x".repeat(2000)}`,
    };
    const longest = builtFrom(env);
    expect(longest).toMatch(/^Commit a{64}\. Build https:\/\/[^<>\n]+$/);
    // What the template's variable takes.
    expect(longest.length).toBeLessThanOrEqual(400);
    expect(`${describeImage("x".repeat(5000), bakeId, lock)} ${"x".repeat(400)}`.length).toBeLessThanOrEqual(1024);
  });
});

describe("what a profile says, at the limit and above", () => {
  const problems = (settings: string): string[] => {
    const folder = mkdtempSync(join(tmpdir(), "bake-limits-"));
    try {
      const golden = JSON.stringify(join(root, "test/golden/cloud/profile.yaml"));
      writeFileSync(join(folder, "site.yaml"), `extends: ${golden}\ntargets:\n  huaweicloud:\n    ${settings}\n`);
      readProfile(join(folder, "site.yaml"));
      return [];
    } catch (error) {
      const Found = z.array(z.looseObject({ code: z.string(), line: z.number(), path: z.string() }));
      return Found.parse(JSON.parse((error as Error).message)).map(({ code, line, path }) => `${code} ${line} ${path}`);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  };
  const five = 'b: "", c: "", d: "", e: ""';

  test.each([
    ["imageName", `imageName: ${"x".repeat(63)}`, `imageName: ${"x".repeat(64)}`, "BK102 4"],
    ["a blank in imageName", "imageName: a b", 'imageName: "a "', "BK102 4"],
    ["a tag's name", `tags: { ${"k".repeat(36)}: v }`, `tags: { ${"k".repeat(37)}: v }`, "BK102 4"],
    ["a tag's value", `tags: { k: ${"v".repeat(43)} }`, `tags: { k: ${"v".repeat(44)} }`, "BK102 4"],
    ["a tag's letters", "tags: { k: a.b_c-d }", 'tags: { k: "a,b" }', "BK102 4"],
    ["how many tags", `tags: { a: "", ${five} }`, `tags: { a: "", ${five}, f: "" }`, "BK129 4"],
  ])("%s", (_, good, bad, told) => {
    expect(problems(good)).toEqual([]);
    expect(problems(bad)).toEqual([expect.stringContaining(told)]);
  });
});

describe("in the emulated cloud", () => {
  let emulator: Emulator;
  let folder = "";
  beforeEach(async () => {
    emulator = await startEmulator();
    readyForBake(emulator);
    folder = mkdtempSync(join(tmpdir(), "bake-names-"));
  });
  afterEach(async () => {
    await emulator.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test("all at its limit is taken: name, tags, description, and a profile with a name that is too long", async () => {
    const own = Object.fromEntries(["a", "b", "c", "d", "e"].map((name) => [name.repeat(36), name.repeat(43)]));
    const profile = `${"p".repeat(100)} 2`;
    const { error, text, bakeId } = await bakeOnce(
      { emulator, folder },
      {
        profile,
        settings: [`imageName: ${"n".repeat(63)}`, `tags: ${JSON.stringify(own)}`],
        env: { GIT_COMMIT: "a".repeat(64), BUILD_URL: `https://ci.example.com/${"x".repeat(500)}` },
      },
    );
    expect(error, text).toBeUndefined();
    const image = emulator.world.images.at(-1);
    expect(image?.name).toBe("n".repeat(63));
    expect(image?.tags).toEqual({
      ...own,
      "bake-id": bakeId,
      "bake-lock": expect.stringMatching(/^[A-Za-z0-9_-]{43}$/) as string,
      "bake-profile": tagValue(profile),
    });
    expect(image?.description).toContain(
      ` Bake id ${bakeId}. Lock ${image?.tags["bake-lock"]}. Commit ${"a".repeat(64)}. Build https://`,
    );
    expect(thingsIn(emulator)).toEqual([]);
  });

  test("one above is refused by the cloud itself, and one at the limit is not", async () => {
    const cloud = cloudOf(emulator);
    const bodyOf = (rest: object) => ({ instance_id: "none", name: "n", ...rest });
    const tags = (key: string, value: string) => ({ image_tags: [{ key, value }] });
    const many = (count: number) => ({
      image_tags: Array.from({ length: count }, (_, at) => ({ key: `k${at}`, value: "" })),
    });
    const code = async (rest: object): Promise<string | undefined> =>
      cloud.call("createImage", { body: bodyOf(rest), answer: z.unknown() }).then(
        () => undefined,
        (error: { reason?: { code?: string } }) => error.reason?.code,
      );
    // The server is looked for once all else is right.
    for (const [good, bad] of [
      [{ name: "n".repeat(128) }, { name: "n".repeat(129) }],
      [{ name: "a b" }, { name: "a " }],
      [{ description: "d".repeat(1024) }, { description: "d".repeat(1025) }],
      [{ description: "a;b" }, { description: "a\nb" }],
      [{ description: "a&b" }, { description: "a<b" }],
      [tags("k".repeat(36), ""), tags("k".repeat(37), "")],
      [tags("k", "v".repeat(43)), tags("k", "v".repeat(44))],
      [tags("k", "a b"), tags("k", "a,b")],
      [many(10), many(11)],
    ]) {
      expect(await code(good ?? {}), JSON.stringify(good)).toBe("Ecs.0114");
      expect(await code(bad ?? {}), JSON.stringify(bad)).toBe("IMG.0005");
    }
    expect(emulator.world.images.map(({ id }) => id)).toEqual([ids.sourceImage]);
  });
});
