/** Which stage of a bake each setting belongs to: that one and those behind it are made anew, and none before it. */
import { describe, expect, test } from "vitest";
import type { Lock } from "../../src/lock/lock.ts";
import { planFor } from "../../src/commands/plan.ts";
import type { StageName } from "../../src/node/concern.ts";
import type { Profile } from "../../src/profile/schema.ts";
import { stagesOf } from "../../src/render/stages.ts";
import { substitute } from "../../src/trial/substitutions.ts";
import { readProfile, render, trialLock } from "../plan-of.ts";

const { profile } = substitute(readProfile());
const rendered = (change: Partial<Parameters<typeof planFor>[0]> = {}) =>
  render(planFor({ name: "2cards", profile, lock: trialLock, trial: true, ...change }));
const original = rendered();
const idsOf = ({ stages = [] }: Pick<ReturnType<typeof rendered>, "stages">): string[] => stages.map(({ id }) => id);

const qemu = profile.targets.qemu;
if (qemu === undefined) throw new Error("a trial bakes in a local VM");

const other = "9".repeat(64);
/** The lock with another digest for what is of this kind. */
const pinned = (kind: string): { readonly lock: Lock } => ({
  lock: {
    ...trialLock,
    artifacts: trialLock.artifacts.map((each) =>
      each.kind !== kind
        ? each
        : each.kind === "container-image"
          ? { ...each, config: { ...each.config, digest: `sha256:${other}` } }
          : each.kind === "model"
            ? { ...each, version: "d".repeat(40), files: each.files.map((file) => ({ ...file, sha256: other })) }
            : "sha256" in each
              ? { ...each, sha256: other }
              : each,
    ),
  },
});
const set = (change: Partial<Profile>): { readonly profile: Profile } => ({ profile: { ...profile, ...change } });

const { agents, builders, checks, docker, network, storage, targets } = profile;
const table: readonly (readonly [what: string, StageName, Partial<Parameters<typeof planFor>[0]>])[] = [
  // What a bake starts from, and the packages of the distribution.
  ["base", "base", pinned("base")],
  ["targets.qemu.diskSize", "base", set({ targets: { ...targets, qemu: { ...qemu, diskSize: qemu.diskSize + 1 } } })],
  ["storage.filesystem", "base", set({ storage: { ...storage, filesystem: "xfs" } })],
  // Docker and its settings.
  ["pin of Docker", "runtime", pinned("docker-static")],
  ["docker.dataRoot", "runtime", set({ docker: { ...docker, dataRoot: "/mnt/elsewhere" } })],
  ["name of the profile, in the head of each file", "runtime", { name: "other" }],
  // Images, models, build caches, and the seed of them.
  ["pin of an image", "payload", pinned("container-image")],
  ["pin of a model", "payload", pinned("model")],
  ["agents.spawn: directories of the data disk", "payload", set({ agents: { ...agents, spawn: 2 } })],
  ["storage.minSize", "payload", set({ storage: { ...storage, minSize: storage.minSize + 1 } })],
  ["storage.seed.level", "payload", set({ storage: { ...storage, seed: { ...storage.seed, level: 7 } } })],
  ["storage.removeOtherImages", "payload", set({ storage: { ...storage, removeOtherImages: true } })],
  // Everything else.
  ["pin of the agent", "node", pinned("buildkite-agent")],
  ["pin of buildx", "node", pinned("buildx")],
  ["pin of goss", "node", pinned("goss")],
  ["agents.queue", "node", set({ agents: { ...agents, queue: "other" } })],
  ["agents.cards", "node", set({ agents: { ...agents, cards: 1 } })],
  ["agents.environment", "node", set({ agents: { ...agents, environment: { A: "b" } } })],
  ["builders.maxCacheSize", "node", set({ builders: { ...builders, maxCacheSize: 7 } })],
  ["checks.interval", "node", set({ checks: { ...checks, interval: checks.interval + 1 } })],
  ["network.gitProxy", "node", set({ network: { ...network, gitProxy: undefined } })],
  ["storage.minFree", "node", set({ storage: { ...storage, minFree: storage.minFree + 1 } })],
  ["targets.qemu.memory", "node", set({ targets: { ...targets, qemu: { ...qemu, memory: qemu.memory + 1 } } })],
];

describe("ids of stages", () => {
  test("are there once a bake has an id, which is that of the last one", () => {
    expect(original.stages?.map(({ name }) => name)).toEqual(["base", "runtime", "payload", "node"]);
    expect(original.stages?.at(-1)?.id).toBe(original.bakeId);
    for (const id of idsOf(original)) expect(id).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(new Set(idsOf(original)).size).toBe(4);
    expect(idsOf(rendered())).toEqual(idsOf(original));
    expect(render(planFor({ name: "2cards", profile, trial: true })).stages).toBeUndefined();
  });

  test.each(table)("%s is of stage %s", (_what, stage, change) => {
    const names = original.stages?.map(({ name }) => name) ?? [];
    const before = idsOf(original);
    const changed = idsOf(rendered(change)).flatMap((id, index) => (id === before[index] ? [] : [names[index]]));
    expect(changed).toEqual(names.slice(names.indexOf(stage)));
  });

  test("do not change with where a secret comes from, nor with the order of the lock", () => {
    expect(idsOf(rendered(set({ secrets: { agentToken: { env: "TOKEN" } } })))).toEqual(idsOf(original));
    const reversed = { ...trialLock, artifacts: trialLock.artifacts.toReversed() };
    expect(idsOf(rendered({ lock: reversed }))).toEqual(idsOf(original));
  });

  test("tell names, contents and stages apart", () => {
    const part = { stage: "base", name: "a", content: "bc" } as const;
    const ids = [
      [part],
      [],
      [{ ...part, name: "ab", content: "c" }],
      [{ ...part, stage: "runtime" as const }],
      [part, part],
      [{ ...part, encoding: "latin1" as const, content: "\xe9" }],
      [{ ...part, content: "\xe9" }],
    ].map((parts) => stagesOf(parts, "bake").map(({ id }) => id));
    // An id of a stage is over those before it.
    for (const index of [0, 1, 2])
      expect(new Set(ids.map((each) => each[index])).size).toBeGreaterThan(index === 0 ? 5 : 6);
    const inOrder = stagesOf([part, { ...part, name: "b" }], "bake");
    expect(stagesOf([{ ...part, name: "b" }, part], "bake")).toEqual(inOrder);
  });
});

describe("what is laid in a stage", () => {
  const listed = (name: string): string[][] =>
    (original.files.find(({ path }) => path === `provision/${name}`)?.content ?? "")
      .trimEnd()
      .split("\n")
      .map((line) => line.split("\t"));

  test("a stage before the last has what the scripts read that run in it", () => {
    const payload = listed("files.tsv").flatMap(([stage, , path]) => (stage === "payload" ? [path] : []));
    expect(payload).toEqual(
      expect.arrayContaining([
        ...["/etc/bake/images.env", "/etc/bake/models.env", "/etc/bake/storage.env", "/opt/bake/images.tsv"],
        ...[
          "/opt/bake/bin/bake-images",
          "/opt/bake/bin/bake-models",
          "/opt/bake/bin/bake-seed",
          "/opt/bake/bin/fetch-blobs.sh",
        ],
      ]),
    );
    expect(
      listed("files.tsv")
        .filter(([stage]) => stage === "runtime")
        .map(([, , path]) => path),
    ).toEqual(["/etc/systemd/system/docker.service", "/etc/docker/daemon.json"]);
    expect(
      listed("artifacts.tsv")
        .map(([stage, kind]) => `${stage} ${kind}`)
        .filter((row) => /agent|buildx|goss/.test(row)),
    ).toEqual(["node buildkite-agent", "node buildx", "node goss"]);
  });
});
