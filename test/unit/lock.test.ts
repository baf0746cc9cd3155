/** The lock: its form, what is wrong with one, what a profile has gone on without, and how one is made. */
import { describe, expect, test } from "vitest";
import { BakeError } from "../../src/errors.ts";
import { assignedIn } from "../../src/lock/follow.ts";
import { type Artifact, filesOf } from "../../src/artifact.ts";
import { difference, itemsOf } from "../../src/lock/diff.ts";
import { imageFacts } from "../../src/node/images/facts.ts";
import { formatLock, type Lock, lockedFor } from "../../src/lock/lock.ts";
import { makeLock } from "../../src/lock/make.ts";
import { offerOf } from "../../src/lock/offer.ts";
import { findOutdated, type Look } from "../../src/lock/outdated.ts";
import { parseLock } from "../../src/lock/read.ts";
import { staleness } from "../../src/lock/stale.ts";
import { requirementsOf } from "../../src/lock/requirements.ts";
import { rules } from "../../src/commands/rules.ts";
import { withLockedVersions } from "../../src/plan/locked-versions.ts";
import type { Requirement } from "../../src/node/requirement.ts";
import type { Profile } from "../../src/profile/schema.ts";
import { readProfile, trialLock } from "../plan-of.ts";

const failure = (text: string): { code: string; message: string } => {
  try {
    parseLock(text, "site.lock.json");
  } catch (error) {
    if (error instanceof BakeError) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error("it was read");
};

describe("a lock's file", () => {
  const text = formatLock(trialLock);

  test("is the same bytes whatever order it was made in, and is read back as it was", () => {
    expect(formatLock({ ...trialLock, artifacts: trialLock.artifacts.toReversed() })).toBe(text);
    expect(formatLock(parseLock(text, "x"))).toBe(text);
    expect(parseLock(text, "x").artifacts.map(({ kind }) => kind)).toEqual(
      trialLock.artifacts.map(({ kind }) => kind).toSorted(),
    );
  });

  test.each([
    ["cut off", text.slice(0, 300), "BK203", /^site\.lock\.json:\d+:\d+: not JSON/],
    ["empty", "", "BK203", /^site\.lock\.json:1:1: not JSON: the file is empty$/],
    [
      "of a newer bake",
      text.replace('"lockVersion": 1', '"lockVersion": 2'),
      "BK206",
      /^site\.lock\.json has lock version 2; this bake reads 1$/,
    ],
    [
      "with a merge conflict",
      text.replace(/^(.*"profile".*)$/m, "<<<<<<< ours\n$1\n=======\n$1\n>>>>>>> theirs"),
      "BK207",
      /^site\.lock\.json:3:1: marks of a merge conflict$/,
    ],
    [
      "edited: a digest that is none",
      text.replace("1".repeat(64), "x".repeat(64)),
      "BK203",
      /^not a lock:\n {2}site\.lock\.json:\d+:17: artifacts\[\d+\]\.sha256: expected a sha256: 64 hex digits in lower case$/,
    ],
    [
      "edited: a key that no lock has",
      text.replace('"profile"', '"extra": 1,\n  "profile"'),
      "BK203",
      /^not a lock:\n {2}site\.lock\.json:1:1: the lock: Unrecognized key: "extra"$/,
    ],
    [
      "edited: a URL with credentials",
      text.replace("http://trial.bake.invalid/goss", "http://user:password@trial.bake.invalid/goss"),
      "BK203",
      /expected an http or https URL without credentials$/,
    ],
    [
      "edited: a URL whose credentials are a name alone",
      text.replace("http://trial.bake.invalid/goss", "http://password@trial.bake.invalid/goss"),
      "BK203",
      /expected an http or https URL without credentials$/,
    ],
    [
      "merged by hand: an artifact that is there twice",
      text.replace(/^ {4}\{\n {6}"kind": "goss",[^]*?^ {4}\}/m, (goss) => `${goss},\n${goss}`),
      "BK203",
      /^not a lock:\n {2}site\.lock\.json:143:5: artifacts\[8\]: a second goss for x86_64$/,
    ],
    [
      "merged by hand: a file of a model that is there twice",
      text.replace(/^ {8}\{\n {10}"path": "config\.json",[^]*?^ {8}\}/m, (file) => `${file},\n${file}`),
      "BK203",
      /^not a lock:\n {2}site\.lock\.json:\d+:19: artifacts\[\d+\]\.files\[\d\]\.path: config\.json has a second entry$/,
    ],
    [
      "edited: a file of a model below another one",
      text.replace('"path": "model.safetensors"', '"path": "config.json/model.safetensors"'),
      "BK203",
      /^not a lock:\n {2}site\.lock\.json:\d+:19: artifacts\[\d+\]\.files\[\d\]\.path: config\.json\/model\.safetensors has a file, config\.json, as its folder$/,
    ],
  ])("%s is told where", (_, wrong, code, message) => {
    const found = failure(wrong);
    expect(found.code).toBe(code);
    expect(found.message).toMatch(message);
    expect(found.message).not.toContain("password");
  });

  test("takes an @ in a URL where it is no user's", () => {
    const { href } = new URL("https://example.com:8080/scope/x@1.tgz?by=a@b#c@d");
    const file: Artifact = {
      kind: "file",
      name: "opt/x",
      version: "1",
      asked: href,
      url: href,
      size: 1,
      sha256: "a".repeat(64),
      trust: "first-use",
    };
    const held = { ...trialLock, artifacts: [file] };
    expect(parseLock(formatLock(held), "x")).toEqual(held);
  });

  test("names every file of every artifact, a layer that images share in both", () => {
    const files = trialLock.artifacts.flatMap(filesOf).map(({ name }) => name);
    expect(files).toContain("moby/buildkit:v0.26.1 layer 2 of 2");
    expect(files).toContain("bake.local/trial/busybox:1 manifest");
    expect(files).toHaveLength(5 + 4 + 3 + 4 + 3);
  });

  test("serves the architecture that is asked for, and what serves all", () => {
    const [, docker] = trialLock.artifacts as [Artifact, Artifact];
    const both: Lock = {
      ...trialLock,
      artifacts: [docker, { ...docker, architecture: "aarch64", version: "1.0" }],
    };
    expect(lockedFor(both, "aarch64").artifacts.map(({ version }) => version)).toEqual(["1.0"]);
    expect(lockedFor(both, "aarch64").base).toBeUndefined();
  });
});

const profile = readProfile();
const requirements = requirementsOf(profile);

/** An artifact that answers a requirement. */
const answer = (requirement: Requirement, version = requirement.asked): Artifact => {
  const entry = {
    name: requirement.name,
    version,
    asked: requirement.asked,
    ...(requirement.architecture !== undefined && { architecture: requirement.architecture }),
  };
  const blob = { digest: `sha256:${"a".repeat(64)}`, size: 1, mediaType: "layer" };
  const bytes = { url: "https://example.com/x", size: 1, sha256: "b".repeat(64), trust: "first-use" as const };
  switch (requirement.kind) {
    case "container-image":
      return {
        ...entry,
        kind: requirement.kind,
        version: requirement.name.slice(requirement.name.lastIndexOf(":") + 1),
        registry: "quay.io",
        repository: "a/b",
        tagDigest: blob.digest,
        manifest: blob,
        config: blob,
        layers: [blob],
      };
    case "base":
      return { ...entry, ...bytes, kind: requirement.kind, format: "qcow2" };
    case "model":
      return {
        ...entry,
        kind: requirement.kind,
        hub: requirement.hub,
        files: [{ path: "a", url: bytes.url, size: 1, sha256: bytes.sha256 }],
      };
    case "build-cache":
      return { ...entry, kind: requirement.kind, manifest: blob, blobs: [blob] };
    default:
      return { ...entry, ...bytes, kind: requirement.kind };
  }
};
const lockOf = (of: Profile): Lock => ({
  lockVersion: 1,
  profile: "site",
  artifacts: requirementsOf(of).map((requirement) => answer(requirement)),
});

describe("what a profile asks for", () => {
  test("everything once for each architecture that it bakes for", () => {
    expect(requirements.map(({ kind, name, architecture }) => [kind, name, architecture])).toEqual([
      ["base", "openeuler-22.03-lts-sp4", "x86_64"],
      ["docker-static", "docker", "x86_64"],
      ["buildx", "buildx", "x86_64"],
      ["buildkite-agent", "buildkite-agent", "x86_64"],
      ["goss", "goss", "x86_64"],
      ["container-image", "moby/buildkit:v0.19.0", "x86_64"],
      ["container-image", "quay.io/ascend/cann:9.1.0-910b-ubuntu22.04-py3.12", "x86_64"],
    ]);
  });

  test("models and files serve all architectures; pins go by name, or by an image's repository", () => {
    const more: Profile = {
      ...profile,
      models: [
        { modelscope: "Qwen/Qwen3-0.6B", from: "image" },
        { huggingface: "org/model", revision: "v1", from: "mirror" },
      ],
      files: [{ url: "https://example.com/tool", path: "/opt/site/tool", mode: "0755", sha256: "c".repeat(64) }],
      pins: { "moby/buildkit": { reason: "old kernel", reviewAt: "2026-01-01" } },
    };
    const found = requirementsOf(more);
    expect(found.filter(({ architecture }) => architecture === undefined)).toEqual([
      { kind: "model", hub: "modelscope", name: "Qwen/Qwen3-0.6B", asked: "master", path: ["models", 0, "modelscope"] },
      { kind: "model", hub: "huggingface", name: "org/model", asked: "v1", path: ["models", 1, "huggingface"] },
      {
        kind: "file",
        name: "opt/site/tool",
        asked: "https://example.com/tool",
        url: "https://example.com/tool",
        sha256: "c".repeat(64),
        path: ["files", 0, "url"],
      },
    ]);
    expect(found.find(({ name }) => name === "moby/buildkit:v0.19.0")?.pin).toEqual({
      reason: "old kernel",
      reviewAt: "2026-01-01",
    });
  });

  test("the exact version of the lock stands in the place of 27.5.x", () => {
    const open: Profile = { ...profile, docker: { ...profile.docker, version: "27.5.x" } };
    const locked = [
      { kind: "docker-static", version: "27.5.1" },
      { kind: "goss", version: "9.9.9" },
    ] as const;
    expect(withLockedVersions(open, requirementsOf(open), locked).docker.version).toBe("27.5.1");
    expect(withLockedVersions(open, requirementsOf(open), locked).checks.gossVersion).toBe("0.4.9");
  });
});

describe("a lock that the profile has gone on without", () => {
  const changed = (change: Partial<Profile>) =>
    staleness(lockOf(profile), requirementsOf({ ...profile, ...change }), "site.lock.json").map(
      ({ path, message, label }) => [path.join("."), message, label],
    );

  test("is none while it answers everything", () => {
    expect(changed({})).toEqual([]);
  });

  test.each([
    [
      "another version",
      { docker: { ...profile.docker, version: "26.1.3" } },
      ["docker.version", "site.lock.json does not hold docker 26.1.3 for x86_64", "the lock was made for 27.5.1"],
    ],
    [
      "a model",
      { models: [{ modelscope: "Qwen/Qwen3-0.6B", revision: "v2" }] },
      ["models.0.modelscope", "site.lock.json does not hold Qwen/Qwen3-0.6B v2", "not in the lock"],
    ],
  ] as const)("says where: %s", (_, change, problem) => {
    expect(changed(change as Partial<Profile>)).toEqual([problem]);
  });

  test("another image in the place of one: both are told", () => {
    expect(changed({ images: [{ image: "quay.io/ascend/cann:9.2.0", from: "image" }] })).toEqual([
      ["images.0", "site.lock.json does not hold quay.io/ascend/cann:9.2.0 for x86_64", "not in the lock"],
      [
        "images",
        "site.lock.json holds the image quay.io/ascend/cann:9.1.0-910b-ubuntu22.04-py3.12 for x86_64, which the profile does not ask for",
        "no longer asked for",
      ],
    ]);
  });

  test("holds what the profile does not ask for any more, at its section", () => {
    const more: Profile = {
      ...profile,
      models: [{ modelscope: "Qwen/Qwen3-0.6B", from: "image" }],
      files: [{ url: "https://example.com/tool", path: "/opt/site/tool", mode: "0755" }],
      targets: {
        ...profile.targets,
        huaweicloud: { architecture: "aarch64", dataDisks: [] as unknown } as Profile["targets"]["huaweicloud"],
      },
    };
    const found = staleness(lockOf(more), requirements, "site.lock.json").map(({ path, message }) => [
      path.join("."),
      message.replace("site.lock.json holds ", "").replace(", which the profile does not ask for", ""),
    ]);
    expect(found).toEqual([
      ["docker", "docker for aarch64"],
      ["buildx", "buildx for aarch64"],
      ["agents", "buildkite-agent for aarch64"],
      ["checks", "goss for aarch64"],
      ["images", "the image moby/buildkit:v0.19.0 for aarch64"],
      ["images", "the image quay.io/ascend/cann:9.1.0-910b-ubuntu22.04-py3.12 for aarch64"],
      ["models", "the model Qwen/Qwen3-0.6B"],
      ["files", "the file opt/site/tool"],
    ]);
    const cloud: Profile = {
      ...profile,
      targets: {
        huaweicloud: { architecture: "x86_64", dataDisks: [] as unknown } as Profile["targets"]["huaweicloud"],
      },
    };
    expect(staleness(lockOf(profile), requirementsOf(cloud), "site.lock.json")).toContainEqual({
      path: ["targets", "qemu"],
      at: "key",
      message: "site.lock.json holds the base openeuler-22.03-lts-sp4 for x86_64, which the profile does not ask for",
      label: "no longer asked for",
      help: "bake lock brings the lock up to date",
    });
  });

  test("a file's URL is told without its query", () => {
    const of = (url: string): Profile => ({ ...profile, files: [{ url, path: "/opt/site/tool", mode: "0755" }] });
    const labels = (before: string, now: string) =>
      staleness(lockOf(of(before)), requirementsOf(of(now)), "x").map(({ message, label }) => [message, label]);
    expect(labels("https://example.com/a?sig=1", "https://example.com/b?sig=2")).toEqual([
      ["x does not hold opt/site/tool https://example.com/b?…", "the lock was made for https://example.com/a?…"],
    ]);
    expect(labels("https://example.com/a?sig=1", "https://example.com/a?sig=2")).toEqual([
      ["x does not hold opt/site/tool https://example.com/a?…", "the lock was made for another query of this URL"],
    ]);
  });

  test("a lock for other processors is refused as that, once", () => {
    const qemu = { ...profile.targets.qemu, architecture: "aarch64" } as Profile["targets"]["qemu"];
    expect(changed({ targets: { qemu } })).toEqual([
      [
        "targets",
        "site.lock.json was made for x86_64, and the profile bakes for aarch64",
        "nothing in the lock is for it",
      ],
    ]);
  });

  test("says which architecture is missing", () => {
    const both: Partial<Profile> = {
      targets: {
        qemu: profile.targets.qemu,
        huaweicloud: { architecture: "aarch64", dataDisks: [] as unknown } as Profile["targets"]["huaweicloud"],
      },
    };
    expect(changed(both)).toHaveLength(6);
    expect(changed(both)[0]).toEqual([
      "docker.version",
      "site.lock.json does not hold docker 27.5.1 for aarch64",
      "the lock has it for x86_64 alone",
    ]);
  });
});

describe("making a lock", () => {
  const make = async (previous: Lock | undefined, again: (requirement: Requirement) => boolean = () => false) => {
    const asked: string[] = [];
    const made = await makeLock({
      profile: "site",
      requirements,
      ...(previous !== undefined && { previous }),
      again,
      resolve: async (requirement) => {
        asked.push(requirement.name);
        if (requirement.name === "goss") throw new BakeError("BK230", "no goss today");
        return answer(requirement, `${requirement.asked}-new`);
      },
    });
    return { ...made, asked };
  };

  test("asks for what is missing alone, and reports what no source answered with its requirement", async () => {
    const previous = {
      ...lockOf(profile),
      artifacts: lockOf(profile).artifacts.filter(({ name }) => !/goss|buildx/.test(name)),
    };
    const { asked, unanswered, changed, lock } = await make(previous);
    expect(asked.toSorted()).toEqual(["buildx", "goss"]);
    expect(unanswered.map(({ requirement, error }) => [requirement.path.join("."), error.message])).toEqual([
      ["checks.gossVersion", "no goss today"],
    ]);
    expect(changed.map(({ before, after }) => [before, after.version])).toEqual([[undefined, "0.20.0-new"]]);
    expect(lock.artifacts.map(({ name }) => name)).not.toContain("goss");
  });

  test("asks anew for what is named, and says what is dropped", async () => {
    const previous = lockOf({ ...profile, images: [{ image: "old/image:1", from: "image" }] });
    const { asked, dropped, changed } = await make(previous, ({ name }) => name === "docker");
    expect(asked.toSorted()).toEqual(["docker", "quay.io/ascend/cann:9.1.0-910b-ubuntu22.04-py3.12"]);
    expect(dropped.map(({ name }) => name)).toEqual(["old/image:1"]);
    expect(changed.find(({ after }) => after.name === "docker")?.before?.version).toBe("27.5.1");
  });

  test("an image by another of its names is the same one: it is not asked for again, nor dropped", async () => {
    const named = (image: string): Profile => ({ ...profile, images: [{ image, from: "image" }] });
    const written = { ...lockOf(named("busybox:1")) };
    for (const name of ["docker.io/library/busybox:1", "index.docker.io/library/busybox:1", "library/busybox:1"]) {
      const wanted = requirementsOf(named(name));
      expect(staleness(written, wanted, "site.lock.json")).toEqual([]);
      const made = await makeLock({
        profile: "site",
        requirements: wanted,
        previous: written,
        again: () => false,
        resolve: ({ name: asked }) => Promise.reject(new Error(`asked for ${asked}`)),
      });
      const images = made.lock.artifacts.filter(({ kind }) => kind === "container-image").map((each) => each.name);
      expect(images).toContain(name);
      expect(images).not.toContain("busybox:1");
      expect(difference(itemsOf(written), itemsOf(made.lock)).changes).toEqual([]);
      // A plan made with the older lock finds it, too.
      expect(imageFacts(named(name), written.artifacts).map(({ locked }) => locked !== undefined)).toEqual([
        true,
        true,
      ]);
    }
  });

  test("takes pins from the profile as they are now", async () => {
    const pinned = lockOf(profile).artifacts.map((each) => ({ ...each, reason: "an old reason" }));
    const { lock } = await make({ ...lockOf(profile), artifacts: pinned });
    expect(lock.artifacts.every(({ reason }) => reason === undefined)).toBe(true);
  });
});

describe("what is outdated", () => {
  const look = (change: Partial<Look> = {}): Look => ({
    newer: () => Promise.resolve([]),
    moved: () => Promise.resolve(undefined),
    follow: () => Promise.resolve(""),
    rules: () => [],
    today: "2026-11-25",
    ...change,
  });
  const find = async (pins: Profile["pins"], change: Partial<Look>) =>
    (await findOutdated({ ...profile, pins }, lockOf(profile), requirements, look(change))).map(
      ({ name, what, version, now, detail }) => [name, what, version, now, detail].filter((each) => each !== undefined),
    );

  test("nothing", async () => {
    expect(await find({}, {})).toEqual([]);
  });

  test("newer versions, but for those that a pin with a reason holds until its day", async () => {
    const newer: Look["newer"] = ({ name }) => Promise.resolve(name === "docker" ? ["28.0.0", "27.9.9"] : []);
    expect(await find({}, { newer })).toEqual([["docker", "newer version", "27.5.1", "28.0.0"]]);
    expect(await find({ docker: { reason: "not tried", reviewAt: "2026-11-26" } }, { newer })).toEqual([]);
    expect(await find({ docker: { reason: "not tried", reviewAt: "2026-11-25" } }, { newer })).toEqual([
      ["docker", "review due", "27.5.1", "2026-11-25", "not tried"],
      ["docker", "newer version", "27.5.1", "28.0.0"],
    ]);
  });

  test("nothing that a rule of ours would refuse: the pair of Docker and buildx, and a BuildKit for these kernels", async () => {
    const newer: Look["newer"] = ({ name }) =>
      Promise.resolve(
        {
          docker: ["29.0.0", "28.3.3", "28.0.0"],
          buildx: ["0.25.0", "0.21.1", "0.20.1"],
          "buildkite-agent": ["4.0.0", "3.999.0"],
          "moby/buildkit:v0.19.0": ["v0.32.0", "v0.31.1", "v0.30.0", "v0.20.0"],
        }[name] ?? [],
      );
    const found = (await find({}, { newer, rules: (changed) => rules.flatMap((rule) => [...rule.find(changed)]) })).map(
      ([name, what, , ...rest]) => [name, what, ...rest],
    );
    expect(found).toContainEqual([
      "docker",
      "newer version",
      "28.3.3",
      "together with buildx 0.24.0, its pair; Docker 28.3.3 was not tried on such hosts",
    ]);
    expect(found).toContainEqual(["buildx", "newer version", "0.20.1"]);
    expect(found).toContainEqual(["buildkite-agent", "newer version", "3.999.0"]);
    expect(found).toContainEqual(["moby/buildkit:v0.19.0", "newer version", "v0.32.0"]);
    expect(found).toHaveLength(4);
    const { qemu } = profile.targets;
    if (qemu === undefined) throw new Error("2cards has a local target");
    const older: Profile = { ...profile, targets: { qemu: { ...qemu, base: "openeuler-20.03-lts-sp4" } } };
    const [buildkit] = requirementsOf(older).filter(({ kind }) => kind === "container-image");
    if (buildkit === undefined) throw new Error("a profile has a BuildKit image");
    const ask = (changed: Profile) => rules.flatMap((rule) => [...rule.find(changed)]);
    expect(offerOf(older, buildkit, ["v0.32.0", "v0.31.1", "v0.30.0"], ask)).toEqual({ version: "v0.30.0" });
    expect(offerOf(older, buildkit, ["v0.32.0"], ask)).toBeUndefined();
  });

  test("a tag that moved, and what CI uses now", async () => {
    const cann = "quay.io/ascend/cann";
    const follows = { repository: "https://example.com/r.git", branch: "main", file: "a.cfg", variable: "BASE" };
    const moved: Look["moved"] = ({ name }) =>
      Promise.resolve(name.startsWith("moby/") ? { now: "sha256:1", detail: "was sha256:0" } : undefined);
    expect(await find({ [cann]: { follows } }, { moved, follow: () => Promise.resolve(`${cann}:9.2.0`) })).toEqual([
      ["moby/buildkit:v0.19.0", "tag moved", "v0.19.0", "sha256:1", "was sha256:0"],
      [
        "quay.io/ascend/cann:9.1.0-910b-ubuntu22.04-py3.12",
        "CI uses another",
        "9.1.0-910b-ubuntu22.04-py3.12",
        `${cann}:9.2.0`,
        "BASE in a.cfg",
      ],
    ]);
    const used = "quay.io/ascend/cann:9.1.0-910b-ubuntu22.04-py3.12";
    expect(await find({ [cann]: { follows } }, { follow: () => Promise.resolve(used) })).toEqual([]);
  });

  test("CI may call the same image by another of its names", async () => {
    const follows = { repository: "https://example.com/r.git", branch: "main", file: "a.cfg", variable: "BASE" };
    const used = async (name: string) =>
      (await find({ "moby/buildkit": { follows } }, { follow: () => Promise.resolve(name) })).map((each) => each[3]);
    for (const name of ["moby/buildkit", "docker.io/moby/buildkit", "index.docker.io/moby/buildkit"])
      expect(await used(`${name}:v0.19.0`)).toEqual([]);
    for (const name of ["quay.io/moby/buildkit:v0.19.0", "docker.io/moby/buildkit:v0.20.0", "no image at all"])
      expect(await used(name)).toEqual([name]);
  });

  test("a source that does not answer says nothing about the others", async () => {
    const newer: Look["newer"] = ({ name }) =>
      name === "goss" ? Promise.reject(new BakeError("BK230", "no answer")) : Promise.resolve([]);
    expect(await find({}, { newer })).toEqual([["goss", "not answered", "0.4.9", "BK230 no answer"]]);
  });
});

test.each([
  ['BASE_IMAGE_NAME="quay.io/ascend/cann:9.1.0"\n', "quay.io/ascend/cann:9.1.0"],
  ["# BASE_IMAGE_NAME=old\nexport BASE_IMAGE_NAME='new:1'\n", "new:1"],
  ["BASE_IMAGE_NAME=one:1\nBASE_IMAGE_NAME=two:2 # the last one counts\n", "two:2"],
  ["  BASE_IMAGE_NAME: yaml:1\n", "yaml:1"],
  ["OTHER_BASE_IMAGE_NAME=x\n", undefined],
])("what %j assigns", (text, value) => {
  expect(assignedIn(text, "BASE_IMAGE_NAME")).toBe(value);
});
