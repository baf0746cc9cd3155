/** A user's whole way in the emulated cloud, whose output is in docs/huaweicloud.md: -u rewrites it there. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../../src/host/root.ts";
import { startBuildkite } from "../buildkite/emulator.ts";
import { startEmulator } from "../huaweicloud/emulator.ts";
import { layPacker } from "../huaweicloud/packer-stand-in.ts";
import { attachedUserData, cloudSession, type SessionStep } from "../huaweicloud/session.ts";
import { fillByDigest, layLockedProfile } from "../locked-profile.ts";
import { runBake, userIn } from "./run-bake.ts";

const token = "bkct-not-to-be-seen-0123456789abcdef";

/** What is told while a step runs, on lines of its own; of the bake's calls these come when an answer comes. */
const passing = /^ {10}(?!image ID|the plugin waits).*\n/gm;

/** Times, IDs and lengths that differ from run to run, as one of them; what only passes by is left out. */
const shown = (steps: readonly SessionStep[], ids: ReadonlyMap<string, string>): string => {
  const text = steps
    .map(({ args, ended: { stdout } }) => `bake ${args.join(" ")}\n${stdout.trimEnd()}\n`)
    .join("\n")
    .replace(passing, "")
    // It comes when the cloud has answered, before or after other lines: here always where the build begins.
    .replace(
      /(?<=^( *\.\.\. Packer builds the image.*)\n)([^]*?)^( *should this bake be killed.*\n)/m,
      (_all, _start, between: string, told: string) => told + between,
    )
    .replace(/\b\d{8}T\d{6}Z\b/g, "20261126T130000Z")
    .replace(/\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g, "2026-11-26T19:00:00Z")
    .replace(/(?<=[( ])(?:\d+ min )?\d+(?:\.\d+)? s(?=\)|$)/gm, "1 s")
    .replace(/\b\d+ (?=bytes of)/g, "4000 ")
    // A minute under load.
    .replace(/(?<= )(?:age {5,6}|\d+ minutes? {2})/g, (cell) =>
      cell.startsWith("age") ? "age        " : "0 minutes  ",
    );
  return [...ids]
    .reduce((all, [id, name]) => all.replaceAll(id, name), text)
    .trimEnd()
    .replace(/^(?=.)/gm, "    ");
};

test("doctor, bake, promote, a server with user-data attached that becomes ready, nothing left; the page shows it", async () => {
  const folder = mkdtempSync(join(tmpdir(), "bake-session-"));
  const cloud = await startEmulator();
  const buildkite = await startBuildkite();
  // What is due in the cloud is done at a look, and nobody looks there while the agents are waited for.
  const ticking = setInterval(() => cloud.advance(0), 100);
  try {
    Object.assign(cloud.world.takes, { create: 5, stop: 5, image: 5, delete: 5, boot: 300 });
    layPacker(join(folder, "bin"));
    const { contents } = layLockedProfile(
      folder,
      [
        `extends: ${JSON.stringify(join(root, "test/golden/cloud/profile.yaml"))}`,
        "agents: { queue: ascend, spawn: 4, cards: 2 }",
        "secrets: { agentToken: { env: AGENT_TOKEN } }",
        "rollout: { interval: 1, readyTimeout: 60 }",
        "",
      ].join("\n"),
    );
    fillByDigest(join(folder, "cache/bake/store"), contents);
    // Its agents connect, four of them, when its user-data is a node's with their token, and as the image that it was made from.
    cloud.world.onBooted = ({ name, imageId, bootedWith }) => {
      const userData = attachedUserData(bootedWith);
      const image = cloud.world.images.find(({ id }) => id === imageId);
      if (!userData.startsWith("#cloud-config\n") || !userData.includes(token) || image?.status !== "active") return;
      for (const index of [1, 2, 3, 4]) {
        buildkite.connect({
          name: `${name}-${index}-2cards`,
          hostname: name,
          queue: "ascend",
          tags: [`bake-id=${image.tags["bake-id"] ?? ""}`],
        });
      }
    };
    const user = userIn(folder, {
      ...cloud.env,
      ...buildkite.env,
      PATH: `${folder}/bin:${process.env["PATH"] ?? ""}`,
      STAND_IN_LOOKS: "2",
      AGENT_TOKEN: token,
    });
    const steps = await cloudSession({
      profile: "site",
      node: "npu-0001",
      flavor: "kc1.large.4",
      zone: "cn-north-4b",
      run: (args) =>
        runBake(
          args.map((each) => (each === "site" ? "site.yaml" : each)),
          user,
        ),
    });
    for (const { args, ended } of steps)
      expect(ended.status, `bake ${args.join(" ")}\n${ended.stdout}\n${ended.stderr}`).toBe(0);
    expect(steps.map(({ args }) => args[0])).toEqual([
      "doctor",
      "image",
      "catalog",
      "catalog",
      "ecs",
      "catalog",
      "catalog",
    ]);
    const [image] = cloud.world.images.filter(({ type }) => type === "private");
    expect(image).toMatchObject({ status: "active", tags: { "bake-profile": "site" } });
    const [server, ...others] = cloud.world.servers;
    expect(others).toEqual([]);
    expect(server).toMatchObject({ name: "npu-0001", imageId: image?.id, status: "ACTIVE" });
    expect(steps[4]?.ended.stdout).toContain("It takes jobs: 4 of 4 agents are connected.");
    expect(steps[6]?.ended.stdout).toBe("nothing that a bake of site left more than 0 hours ago\n");
    expect(cloud.world.keyPairs).toEqual([]);
    for (const { ended } of steps) {
      for (const secret of [token, cloud.env["HW_SECRET_KEY"] ?? token, buildkite.env["BUILDKITE_API_TOKEN"] ?? token])
        expect(ended.stdout + ended.stderr).not.toContain(secret);
    }

    const bakeId = image?.tags["bake-id"] ?? "?";
    const session = shown(
      steps,
      new Map([
        [image?.id ?? "?", "aaaaaaaa-0000-4000-8000-000000000001"],
        [server?.id ?? "?", "5e7ae7aa-0000-4000-8000-000000000001"],
        [bakeId, "Bake1".padEnd(43, "x")],
        [bakeId.slice(0, 10), "Bake1xxxxx"],
        [`${folder}/`, ""],
      ]),
    );
    const page = join(root, "docs/huaweicloud.md");
    const made = readFileSync(page, "utf8").replace(
      /(<!-- session: [^\n]*-->\n\n)[\s\S]*?(\n?<!-- end of session -->)/,
      (_, start: string) => `${start}${session}\n\n<!-- end of session -->`,
    );
    expect(made).toContain(session);
    await expect(made).toMatchFileSnapshot(page);
  } finally {
    clearInterval(ticking);
    await buildkite.close();
    await cloud.close();
    rmSync(folder, { recursive: true, force: true });
  }
}, 240_000);
