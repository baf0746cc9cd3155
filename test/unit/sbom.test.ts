/** The bill of materials, validated against CycloneDX's own schema, and the provenance beside it. */
import { Spec, Validation } from "@cyclonedx/cyclonedx-library";
import { expect, test } from "vitest";
import { digestOf, filesOf, type Model, type PlainFile } from "../../src/artifact.ts";
import { provenance } from "../../src/render/provenance.ts";
import { purlOf, sbom } from "../../src/render/sbom.ts";
import { trialLock, trialPlan, unlockedPlan } from "../plan-of.ts";

const plan = trialPlan();
const bakeId = "b".repeat(43);

const wrongWith = (text: string): Promise<unknown> =>
  new Validation.JsonStrictValidator(Spec.Version.v1dot6).validate(text);

test("is CycloneDX 1.6 by its strict schema, which refuses what is not", async () => {
  expect(await wrongWith(sbom(plan, bakeId))).toBeNull();
  expect(await wrongWith(sbom(plan, bakeId).replace('"operating-system"', '"anything"'))).not.toBeNull();
});

test("lists what the image carries with the digests of the lock, images layer by layer", () => {
  const { components } = JSON.parse(sbom(plan, bakeId)) as {
    components: { name: string; hashes: { content: string }[]; components?: { hashes: { content: string }[] }[] }[];
  };
  expect(components.map(({ name }) => name).toSorted()).toEqual(trialLock.artifacts.map(({ name }) => name).toSorted());
  const digests = components.flatMap(({ hashes, components: inner = [] }) =>
    [...hashes, ...inner.flatMap((each) => each.hashes)].map(({ content }) => content),
  );
  const manifests = trialLock.artifacts.flatMap((each) =>
    each.kind === "container-image" ? [each.manifest.digest.slice(7)] : [],
  );
  // Of a model one digest, of its list; of a cache, of its manifest.
  const wanted = trialLock.artifacts.flatMap((each) =>
    each.kind === "model" || each.kind === "build-cache" ? [digestOf(each)] : filesOf(each).map(({ sha256 }) => sha256),
  );
  expect(new Set(digests)).toEqual(new Set(wanted.filter((each) => !manifests.includes(each))));
});

const model: Model = {
  kind: "model",
  hub: "modelscope",
  name: "Qwen/Qwen3-0.6B",
  version: "abc123",
  asked: "master",
  files: [{ path: "config.json", url: "https://example.com/config.json", size: 2, sha256: "a".repeat(64) }],
};

test.each([
  ["docker", `pkg:generic/docker@26.1.5?arch=x86_64&checksum=sha256%3A${"1".repeat(64)}&download_url=`],
  ["buildx", `pkg:github/docker/buildx@v0.13.1?arch=x86_64&checksum=sha256%3A${"2".repeat(64)}&download_url=`],
  [
    "moby/buildkit:v0.26.1",
    `pkg:oci/buildkit@sha256%3A${"5".repeat(64)}?arch=amd64&repository_url=trial.bake.invalid%2Fmoby%2Fbuildkit&tag=v0.26.1`,
  ],
  ["stand-in", `pkg:generic/stand-in@stand-in?arch=x86_64&checksum=sha256%3A${"b".repeat(64)}`],
])("the package URL of %s", (name, expected) => {
  const artifact = trialLock.artifacts.find((each) => each.name === name);
  expect(artifact && purlOf(artifact)).toContain(expected);
});

test("the package URL of a file is without the query of its download, which may be a signature", () => {
  const file: PlainFile = {
    kind: "file",
    name: "opt/x",
    version: "1",
    asked: "https://example.com/x?sig=1",
    url: "https://example.com/x?sig=1",
    size: 1,
    sha256: "a".repeat(64),
    trust: "profile",
  };
  expect(purlOf(file)).toBe(
    `pkg:generic/opt/x@1?checksum=sha256%3A${"a".repeat(64)}&download_url=${encodeURIComponent("https://example.com/x")}`,
  );
});

test("the package URLs of models", () => {
  expect(purlOf(model)).toBe("pkg:generic/modelscope/Qwen/Qwen3-0.6B@abc123");
  expect(purlOf({ ...model, hub: "huggingface" })).toBe("pkg:huggingface/Qwen/Qwen3-0.6B@abc123");
});

test("the provenance names image, profile, lock, base, artifacts and bake", () => {
  const baked = {
    bakeId,
    subject: { name: "image.qcow2", digest: { sha256: "f".repeat(64) } },
    profileTexts: new Map([["2cards.yaml", "extends: ./ascend.yaml\n"]]),
    bakeVersion: "0.1.0",
    started: "2026-01-01T00:00:00.000Z",
    finished: "2026-01-01T00:02:00.000Z",
  };
  const statement = JSON.parse(provenance(plan, baked)) as {
    subject: unknown;
    predicate: { buildDefinition: { resolvedDependencies: { name: string; digest?: object }[] }; runDetails: object };
  };
  expect(statement).toMatchObject({
    _type: "https://in-toto.io/Statement/v1",
    predicateType: "https://slsa.dev/provenance/v1",
    subject: [baked.subject],
    predicate: { runDetails: { builder: { version: { bake: "0.1.0" } }, metadata: { startedOn: baked.started } } },
  });
  const names = statement.predicate.buildDefinition.resolvedDependencies.map(({ name }) => name);
  expect(names).toEqual([
    "profile 2cards.yaml",
    "base stand-in",
    "tiny-cache",
    "buildkite-agent",
    "buildx",
    "bake.local/trial/busybox:1",
    "moby/buildkit:v0.26.1",
    "docker",
    "goss",
    "bake/tiny-face",
    "bake/tiny-scope",
  ]);
  expect(() => provenance(unlockedPlan(), baked)).toThrow("a bake has a lock");
});
