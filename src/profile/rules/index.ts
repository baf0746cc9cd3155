/** Rules that look at more than one concern, or at every value. A rule of one concern lies with it, in src/node/. */
import { addressPools } from "./address-pools.ts";
import { baseName } from "./base-name.ts";
import { buildkitPin } from "./buildkit-pin.ts";
import { buildxPair } from "./buildx-pair.ts";
import { dataRootUnderMount } from "./data-root-under-mount.ts";
import { filePlaces } from "./file-places.ts";
import { placeholders } from "./placeholders.ts";
import { plainSecrets } from "./plain-secrets.ts";
import type { Rule } from "./rule.ts";
import { withoutEffect } from "./without-effect.ts";

/** Their order does not matter: diagnostics are sorted by place. */
export const rulesAcross: readonly Rule[] = [
  addressPools,
  baseName,
  buildkitPin,
  buildxPair,
  dataRootUnderMount,
  filePlaces,
  placeholders,
  plainSecrets,
  withoutEffect,
];
