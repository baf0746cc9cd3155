import { pinnable } from "../../lock/requirements.ts";
import { addressPools } from "./address-pools.ts";
import { agentEnvironment } from "./agent-environment.ts";
import { agentSettings } from "./agent-settings.ts";
import { agentTags } from "./agent-tags.ts";
import { agentVersion } from "./agent-version.ts";
import { buildkitPin } from "./buildkit-pin.ts";
import { buildxPair } from "./buildx-pair.ts";
import { dataRootUnderMount } from "./data-root-under-mount.ts";
import { dockerVersion } from "./docker-version.ts";
import { filePlaces } from "./file-places.ts";
import { freeSpace } from "./free-space.ts";
import { gitProxy } from "./git-proxy.ts";
import { imageListedTwice } from "./image-listed-twice.ts";
import { metadataUsers } from "./metadata-users.ts";
import { modelListedTwice } from "./model-listed-twice.ts";
import { mount } from "./mount.ts";
import { nodeKey } from "./node-key.ts";
import { npus } from "./npus.ts";
import { pinsRule } from "./pins.ts";
import { placeholders } from "./placeholders.ts";
import { plainSecrets } from "./plain-secrets.ts";
import { proxyCredentials } from "./proxy-credentials.ts";
import type { Rule } from "./rule.ts";
import { targets } from "./targets.ts";
import { userDataSize } from "./user-data-size.ts";

export const rules: readonly Rule[] = [
  addressPools,
  agentEnvironment,
  agentSettings,
  agentTags,
  agentVersion,
  buildkitPin,
  buildxPair,
  dataRootUnderMount,
  dockerVersion,
  filePlaces,
  freeSpace,
  gitProxy,
  imageListedTwice,
  metadataUsers,
  modelListedTwice,
  mount,
  nodeKey,
  npus,
  pinsRule(pinnable),
  placeholders,
  plainSecrets,
  proxyCredentials,
  targets,
  userDataSize,
];
