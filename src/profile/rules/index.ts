import { addressPools } from "./address-pools.ts";
import { agentSettings } from "./agent-settings.ts";
import { dataRootUnderMount } from "./data-root-under-mount.ts";
import { dockerVersion } from "./docker-version.ts";
import { imageListedTwice } from "./image-listed-twice.ts";
import { metadataUsers } from "./metadata-users.ts";
import { proxyCredentials } from "./proxy-credentials.ts";
import type { Rule } from "./rule.ts";

export const rules: readonly Rule[] = [
  addressPools,
  agentSettings,
  dataRootUnderMount,
  dockerVersion,
  imageListedTwice,
  metadataUsers,
  proxyCredentials,
];
