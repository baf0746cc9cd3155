import { expect, it } from "vitest";
import type { ContainerImage } from "../../src/artifact.ts";
import { dockerLoadManifest, dockerLoadMembers } from "../../src/node/images/docker-load.ts";

const blob = (digit: string) => ({ digest: `sha256:${digit.repeat(64)}`, size: 1, mediaType: "any" });

const image: ContainerImage = {
  kind: "container-image",
  name: "moby/buildkit:v0.19.0",
  architecture: "x86_64",
  version: "v0.19.0",
  asked: "moby/buildkit:v0.19.0",
  registry: "docker.io",
  repository: "moby/buildkit",
  tagDigest: `sha256:${"0".repeat(64)}`,
  manifest: blob("1"),
  config: blob("2"),
  layers: [blob("3"), blob("4"), blob("3")],
};

const path = (digit: string) => `blobs/sha256/${digit.repeat(64)}`;

it("names configuration and layers by their blobs, and the image as the node has it", () => {
  expect(dockerLoadManifest(image)).toBe(
    `[{"Config":"${path("2")}","RepoTags":["moby/buildkit:v0.19.0"],"Layers":["${path("3")}","${path("4")}","${path("3")}"]}]\n`,
  );
});

it("lists a blob once that stands twice in the image", () => {
  expect(dockerLoadMembers(image)).toEqual([path("2"), path("3"), path("4")]);
});
