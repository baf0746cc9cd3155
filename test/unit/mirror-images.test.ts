/** What an image of `from: mirror` means for a plan: no bytes of it in the golden image, all of them on the data disk. */
import { expect, test } from "vitest";
import type { ContainerImage } from "../../src/artifact.ts";
import { isBaked, lockedInputs, neededBytes } from "../../src/bake/inputs.ts";
import { planFor } from "../../src/commands/plan.ts";
import { diskRoom, roomProblems } from "../../src/lock/room.ts";
import type { NodePlan } from "../../src/plan/node-plan.ts";
import type { Profile } from "../../src/profile/schema.ts";
import { substitute, trialVersions } from "../../src/trial/substitutions.ts";
import { readProfile, render, trialLock } from "../plan-of.ts";

const gib = 2 ** 30;
const { profile } = substitute(readProfile());
const [buildkit, small] = trialLock.artifacts.filter((each) => each.kind === "container-image");
if (buildkit === undefined || small === undefined) throw new Error("the trial's lock has two images");
const layer = (digit: string, size: number) => ({ digest: `sha256:${digit.repeat(64)}`, size, mediaType: "x" });
/** Ten GiB, in a layer that is there twice and another one. */
const large: ContainerImage = { ...small, layers: [layer("d", 4 * gib), layer("c", 6 * gib), layer("d", 4 * gib)] };
const lockOf = (...images: readonly ContainerImage[]) => ({
  ...trialLock,
  artifacts: [...trialLock.artifacts.filter(({ kind }) => kind !== "container-image"), ...images],
});
const lock = lockOf({ ...buildkit, layers: [layer("e", gib)] }, large);

const from = (place: "image" | "mirror", change: Partial<Profile> = {}): Profile => ({
  ...profile,
  network: { ...profile.network, artifactMirror: "http://mirror.example.com:8080/bake/" },
  images: [{ image: trialVersions.smallImage, from: place }],
  models: [],
  caches: [],
  ...change,
});
const planOf = (asked: Profile, locked = lock): NodePlan =>
  planFor({ name: "2cards", profile: asked, lock: locked, trial: true });
const [carried, mirrored] = [planOf(from("image")), planOf(from("mirror"))];
const filesOf = (plan: NodePlan) => new Map(render(plan).nodeFiles.map(({ path, content }) => [path, content]));
const folder = `/opt/bake/images/${"8".repeat(64)}`;

test("no blob of it is installed, sealed in or read by a bake; the lock and its list of parts stay what they are", () => {
  expect([isBaked(carried, large), isBaked(mirrored, large)]).toEqual([true, false]);
  const names = (plan: NodePlan) => new Set(lockedInputs(plan).map(({ name }) => name.split(" ")[0]));
  expect(names(carried)).toContain(large.name);
  expect(names(mirrored)).not.toContain(large.name);
  const rows = (plan: NodePlan) => plan.installs.flatMap((each) => each.rows).filter(([kind]) => kind === "image-blob");
  expect(rows(mirrored).map(([, , sha256]) => sha256?.[0])).toEqual(["6", "e"]);
  expect(rows(carried)).toHaveLength(6);
  const needed = (plan: NodePlan): number =>
    neededBytes(lockedInputs(plan), { hasSeed: true, stages: ["base", "runtime", "payload", "node"] });
  expect(needed(mirrored)).toBeLessThan(8 * gib);
  expect(needed(carried)).toBeGreaterThan(60 * gib);
  expect(mirrored.artifacts).toEqual(carried.artifacts);
  const sbom = (plan: NodePlan): unknown =>
    (JSON.parse(render(plan).files.find(({ path }) => path === "sbom.cdx.json")?.content ?? "") as { components: [] })
      .components;
  expect(sbom(mirrored)).toEqual(sbom(carried));
  expect(render(mirrored).bakeId).not.toBe(render(carried).bakeId);
});

test("the node has what docker load reads first, and the list of what is fetched: each blob once", () => {
  const [files, before] = [filesOf(mirrored), filesOf(carried)];
  for (const path of [`${folder}/manifest.json`, `${folder}/blobs.txt`, "/opt/bake/images.tsv"])
    expect(files.get(path), path).toBe(before.get(path));
  expect(files.get(`${folder}/fetch.tsv`)).toBe(
    `${"8".repeat(64)}\t1\n${"d".repeat(64)}\t${4 * gib}\n${"c".repeat(64)}\t${6 * gib}\n`,
  );
  expect([...before.keys(), ...files.keys()].filter((path) => path.endsWith("/fetch.tsv"))).toHaveLength(1);
  expect(files.get("/etc/bake/images.env")).toContain('IMAGES_MIRROR="http://mirror.example.com:8080/bake"\n');
  expect(before.get("/etc/bake/images.env")).not.toContain("MIRROR");
  expect(mirrored.checks.filter(({ id }) => id.startsWith("image-"))).toEqual(
    carried.checks.filter(({ id }) => id.startsWith("image-")),
  );
  expect(mirrored.destinations).toContainEqual(
    expect.objectContaining({ host: "mirror.example.com", port: 8080, when: "node" }),
  );
  expect(carried.destinations.map(({ host }) => host)).not.toContain("mirror.example.com");
});

test("how long its unit may take follows from the size, and it waits for the network", () => {
  const unit = (plan: NodePlan) => filesOf(plan).get("/etc/systemd/system/bake-images.service") ?? "";
  const seconds = (plan: NodePlan): number => Number(/^TimeoutStartSec=(\d+)s$/m.exec(unit(plan))?.[1]);
  // Layers as often as they are there: 15 GiB at 5 MB a second, and 14 of them at 1 MB a second before that.
  expect(seconds(carried)).toBe(1800 + Math.ceil((15 * gib) / 5_000_000));
  expect(seconds(mirrored)).toBe(1800 + Math.ceil((15 * gib) / 5_000_000) + Math.ceil((14 * gib) / 1_000_000));
  expect(unit(mirrored)).toContain(
    "\nAfter=docker.service network-online.target\nWants=docker.service network-online.target\n",
  );
  expect(unit(mirrored)).toContain("\nStandardOutput=journal+console\n");
  expect(unit(carried)).toContain("\nAfter=docker.service\nWants=docker.service\n");
  expect(unit(carried)).not.toContain("console");
});

test("it takes room on the data disk, and none in the image or where that is made", () => {
  const told = (plan: NodePlan): string[] =>
    plan.explain.filter(({ what }) => /^(image|seed$)/.test(what)).map(({ what, value }) => `${what}: ${value}`);
  expect(told(mirrored)).toEqual([
    `image ${large.name}: 10.0 GiB of layers, from the mirror, at the first boot`,
    "images: about 27.5 GiB on the data disk; 1.0 GiB of layers in the image",
    expect.stringMatching(/^seed: about 993\.3 MiB in the image, .* 2\.5 GiB on the data disk/),
  ]);
  expect(mirrored.explain.find(({ what }) => what.startsWith("image "))?.because).toEqual(["images[0]"]);
  expect(told(carried)).toEqual([
    expect.stringMatching(/^seed: about 10\.7 GiB in the image, .* 27\.5 GiB on the data disk/),
  ]);
  expect(planFor({ name: "site", profile: from("mirror") }).explain).toContainEqual(
    expect.objectContaining({ what: `image ${large.name}`, value: "from the mirror, at the first boot" }),
  );
  for (const place of ["image", "mirror"] as const) expect(diskRoom(from(place), lock)).toMatchObject({ images: 28 });
  const problems = (place: "image" | "mirror"): string[] =>
    roomProblems(from(place), lock).map(({ message }) => message.replace(/ GiB.*takes about/, " …"));
  expect(problems("mirror")).toEqual([
    "targets.qemu.diskSize is 6 … 8 GiB",
    expect.stringContaining("images (about 28 GiB"),
  ]);
  expect(problems("image")).toEqual([
    "targets.qemu.diskSize is 6 … 43 GiB",
    expect.stringContaining("images (about 28 GiB"),
  ]);
});

test("an adopted disk and XFS have it in the same way; its host's own words say where it comes from", () => {
  const page = (plan: NodePlan): string => render(plan).files.find(({ path }) => path === "node.md")?.content ?? "";
  for (const storage of [
    { ...profile.storage, filesystem: "xfs" as const },
    { ...profile.storage, disk: { adopt: "LABEL=data" } },
  ]) {
    const plan = planOf(from("mirror", { storage }));
    expect(filesOf(plan).get(`${folder}/fetch.tsv`)).toBe(filesOf(mirrored).get(`${folder}/fetch.tsv`));
    expect(isBaked(plan, large)).toBe(false);
    expect(page(plan)).toContain(
      "from the layers that the image carries; what the image does not carry from the mirror, or from its registry by digest.",
    );
  }
  expect(page(mirrored)).toContain("Images come with the seed or from the mirror, builders are made again");
  expect(page(carried)).not.toMatch(/from the mirror/);
});

test("of two names of one image the one that is carried counts", () => {
  const twin = { ...large, name: "bake.local/trial/twin:1" };
  const plan = planOf(
    from("mirror", {
      images: [
        { image: large.name, from: "mirror" },
        { image: twin.name, from: "image" },
      ],
    }),
    lockOf(buildkit, large, twin),
  );
  expect([isBaked(plan, large), isBaked(plan, twin)]).toEqual([true, true]);
  expect(filesOf(plan).has(`${folder}/fetch.tsv`)).toBe(false);
});
