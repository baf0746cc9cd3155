import type { Artifact, Model } from "../../artifact.ts";
import type { ImageRequirement, Requirement } from "../../node/requirement.ts";
import { base } from "./base.ts";
import { buildCache } from "./build-cache.ts";
import { buildkiteAgent } from "./buildkite-agent.ts";
import { buildx } from "./buildx.ts";
import { dockerStatic } from "./docker-static.ts";
import { plainFile } from "./file.ts";
import { goss } from "./goss.ts";
import { huggingface } from "./huggingface.ts";
import { modelscope } from "./modelscope.ts";
import type { Resolver } from "./resolver.ts";

const byHub = { modelscope, huggingface } satisfies Readonly<Record<Model["hub"], unknown>>;

/** One a kind, and a kind that is missing does not compile; container images come from registries (oci.ts). */
const byKind = {
  "docker-static": dockerStatic,
  buildx,
  "buildkite-agent": buildkiteAgent,
  goss,
  file: plainFile,
  base,
  "build-cache": buildCache,
} satisfies Readonly<Record<Exclude<Artifact["kind"], "container-image" | "model">, unknown>>;

/** Who finds the artifact of a requirement. */
export const resolverOf = (requirement: Exclude<Requirement, ImageRequirement>): Resolver<Requirement, Artifact> =>
  requirement.kind === "model" ? byHub[requirement.hub] : byKind[requirement.kind];
