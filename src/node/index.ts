/**
 * The concerns of a node. Their order is that of their checks: what depends on something stands after it, so that the first
 * check that fails is the one to look at.
 */
import { agents } from "./agents/index.ts";
import { allowlist } from "./allowlist.ts";
import { builders } from "./builders/index.ts";
import { buildx } from "./buildx.ts";
import type { Concern } from "./concern.ts";
import { caches } from "./caches/index.ts";
import { caCertificates } from "./ca-certificates.ts";
import { docker } from "./docker/index.ts";
import { files } from "./files.ts";
import { firstBoot } from "./first-boot.ts";
import { garbage } from "./garbage/index.ts";
import { gate } from "./gate.ts";
import { git } from "./git/index.ts";
import { httpProxy } from "./http-proxy/index.ts";
import { identity } from "./identity/index.ts";
import { images } from "./images/index.ts";
import { kernel } from "./kernel.ts";
import { metadata } from "./metadata/index.ts";
import { models } from "./models/index.ts";
import { npus } from "./npus/index.ts";
import { pypiCache } from "./pypi-cache.ts";
import { sources } from "./sources.ts";
import { storage } from "./storage/index.ts";
import { system } from "./system.ts";

export const concerns: readonly Concern[] = [
  system,
  caCertificates,
  kernel,
  storage,
  docker,
  buildx,
  images,
  builders,
  firstBoot,
  identity,
  git,
  pypiCache,
  httpProxy,
  allowlist,
  metadata,
  npus,
  agents,
  gate,
  models,
  caches,
  garbage,
  files,
  sources,
];
