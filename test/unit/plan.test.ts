/** The merge of what concerns contribute: order, and what is carried by value where text used to be looked at. */
import { describe, expect, test } from "vitest";
import { planFor } from "../../src/commands/plan.ts";
import type { Profile } from "../../src/profile/schema.ts";
import type { Contribution } from "../../src/node/concern.ts";
import { concerns } from "../../src/node/index.ts";
import { basicHeader, placeholderHeader, secretPlaceholder } from "../../src/node/secret-placeholder.ts";
import { inOrder } from "../../src/plan/order.ts";
import { contributionsOf } from "../../src/plan/plan.ts";
import { nodeArchive } from "../../src/render/stock.ts";
import { planTarget } from "../../src/targets/index.ts";
import { roomProblems } from "../../src/lock/room.ts";
import { readProfile, render, trialLock, trialPlan, unlockedPlan } from "../plan-of.ts";

describe("order", () => {
  test("lower first, what says nothing in the middle, the same order as it came", () => {
    const items = [{ id: "a" }, { id: "b", order: 900 }, { id: "c", order: 10 }, { id: "d" }, { id: "e", order: 10 }];
    expect(inOrder(items).map(({ id }) => id)).toEqual(["c", "e", "a", "d", "b"]);
  });

  test("no two things of one place: files, units, scripts, directories, check ids", () => {
    const { files, units, scripts, directories, checks } = trialPlan();
    for (const places of [
      files.map(({ path }) => path),
      units.map(({ name }) => name),
      scripts.map(({ name }) => name),
      directories.map(({ path }) => path),
      checks.map(({ id }) => id),
    ]) {
      expect(places).toEqual([...new Set(places)]);
    }
  });
});

describe("checks that jobs wait for", () => {
  const gating = [trialPlan(), unlockedPlan()].flatMap(({ checks }) =>
    checks.filter(({ level }) => level === "gating" || level === "npu"),
  );

  test("say what to do, or have somebody who brings back what they miss", () => {
    const silent = gating.filter(({ help, repair }) => help === undefined && repair === undefined);
    // The first of those about the git proxy says it for the others.
    expect(silent.map(({ id }) => id).filter((id) => !id.startsWith("git-proxy-"))).toEqual([]);
  });

  test("stand in node.md with who notices, who brings it back, and what happens until then", () => {
    const page = render(trialPlan()).files.find(({ path }) => path === "node.md")?.content ?? "";
    const table = /## When a check fails later\n[^]*?\n## /.exec(page)?.[0] ?? "";
    for (const { id } of trialPlan().checks.filter(({ level }) => level === "gating" || level === "npu")) {
      expect(table).toContain(`\`${id}\``);
    }
  });
});

describe("what builders keep", () => {
  /** `buildkitd.toml` of a profile, as lines. */
  const limits = (change: (profile: Profile) => Profile): string[] =>
    render(planFor({ name: "2cards", profile: change(readProfile()) }))
      .nodeFiles.find(({ path }) => path === "/etc/bake/buildkitd.toml")
      ?.content.split("\n")
      .filter((line) => / = /.test(line)) ?? [];

  test("fits onto the disk, whichever it is, and leaves what the node wants free", () => {
    expect(limits((profile) => profile)).toEqual(['"gc" = true', '"maxUsedSpace" = "15%"', '"minFreeSpace" = "15GB"']);
    for (const spawn of [1, 2, 3, 8, 64]) {
      const [, share = ""] = limits((profile) => ({ ...profile, agents: { ...profile.agents, spawn } }));
      expect(Number(/"(\d+)%"/.exec(share)?.[1]) * spawn).toBeLessThanOrEqual(64);
    }
  });

  test("and the images of the lock: what does not fit onto the smallest disk is told", () => {
    const large = trialLock.artifacts.map((each) =>
      each.kind === "container-image"
        ? { ...each, layers: each.layers.map((layer) => ({ ...layer, size: 7 * 2 ** 30 })) }
        : each,
    );
    expect(roomProblems(readProfile(), trialLock)).toEqual([]);
    // Two layers, one of them in both images.
    expect(roomProblems(readProfile(), { ...trialLock, artifacts: large })).toMatchObject([
      // The base, layers, and what Docker makes of them; the cache of this lock is none of this profile's.
      {
        path: ["targets", "qemu", "diskSize"],
        severity: "warning",
        message:
          "targets.qemu.diskSize is 40 GiB, making the seed of images, models and build caches takes about 53 GiB",
      },
      {
        path: ["storage", "minSize"],
        severity: "warning",
        message:
          "images (about 35 GiB unpacked), models (1 GiB), build caches (1 GiB), the file system itself (2 GiB), caches of builders (60 GiB) and storage.minFree (10 GiB) do not fit into storage.minSize (100 GiB)",
      },
    ]);
  });

  test("is in the unit that each release of BuildKit reads", () => {
    const of = (image: string, maxCacheSize?: number) =>
      limits((profile) => ({ ...profile, builders: { ...profile.builders, image, maxCacheSize } }));
    // GB of buildkitd.toml are GiB.
    expect(of("moby/buildkit:v0.17.0", 50)).toContain('"maxUsedSpace" = "50GB"');
    // Bytes, in old releases too.
    expect(of("moby/buildkit:v0.16.0", 50)).toEqual(['"gc" = true', `"gckeepstorage" = ${50 * 2 ** 30}`]);
    expect(of("moby/buildkit:v0.12.5")).toEqual(['"gc" = true', `"gckeepstorage" = ${15 * 2 ** 30}`]);
  });
});

describe("concerns", () => {
  test("have names of their own", () => {
    const names = concerns.map(({ name }) => name);
    expect(names).toEqual([...new Set(names)]);
  });

  test("contribute the same again: they keep nothing", () => {
    const profile = readProfile();
    const contribute = (): Contribution[] =>
      contributionsOf({ name: "2cards", profile, target: planTarget("2cards", profile) }).contributed.map(
        ({ contribution }) => contribution,
      );
    expect(JSON.stringify(contribute())).toBe(JSON.stringify(contribute()));
  });
});

describe("placeholders of secrets", () => {
  test("a check knows the header that holds one by the same value", () => {
    expect(basicHeader(secretPlaceholder("gitToken"))).toContain(` ${placeholderHeader}`);
    expect(basicHeader("ghp_1234567890")).not.toContain(` ${placeholderHeader}`);
  });
});

describe("the archive of a stock image", () => {
  test("leaves out what is marked, and the list of files with it", () => {
    const rendered = render(trialPlan());
    const left = rendered.nodeFiles.filter(({ bakeOnly }) => bakeOnly).map(({ path }) => path);
    expect(left).toEqual(["/etc/cloud/cloud.cfg.d/90_bake.cfg"]);
    const archive = nodeArchive(rendered).toString("latin1");
    for (const path of left) expect(archive).not.toContain(path.slice(1));
    expect(archive).toContain("etc/bake/storage.env");
  });
});
