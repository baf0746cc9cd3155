/** The resolver of each kind of artifact. Container images have their registry's: oci.ts. */
import type { Artifact } from "../lock.ts";
import type { ImageWish, Wish } from "../wish.ts";
import { base } from "./base.ts";
import { buildkiteAgent } from "./buildkite-agent.ts";
import { buildx } from "./buildx.ts";
import { dockerStatic } from "./docker-static.ts";
import { file } from "./file.ts";
import { goss } from "./goss.ts";
import { huggingface } from "./huggingface.ts";
import { modelscope } from "./modelscope.ts";
import type { Context } from "./resolver.ts";

/** @throws BakeError as the resolver of its kind. */
export const resolveWish = (wish: Exclude<Wish, ImageWish>, context: Context): Promise<Artifact> => {
  switch (wish.kind) {
    case "docker-static":
      return dockerStatic.resolve(wish, context);
    case "buildx":
      return buildx.resolve(wish, context);
    case "buildkite-agent":
      return buildkiteAgent.resolve(wish, context);
    case "goss":
      return goss.resolve(wish, context);
    case "file":
      return file.resolve(wish, context);
    case "base":
      return base.resolve(wish, context);
    default:
      return (wish.hub === "modelscope" ? modelscope : huggingface).resolve(wish, context);
  }
};

/** Stable versions of a release, the newest first; none for what has no versions. */
export const versionsOf = (wish: Exclude<Wish, ImageWish>, context: Context): Promise<string[]> => {
  switch (wish.kind) {
    case "docker-static":
      return dockerStatic.versions(wish, context);
    case "buildx":
      return buildx.versions(wish, context);
    case "buildkite-agent":
      return buildkiteAgent.versions(wish, context);
    case "goss":
      return goss.versions(wish, context);
    default:
      return Promise.resolve([]);
  }
};
