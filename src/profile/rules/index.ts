import { dataRootUnderMount } from "./data-root-under-mount.ts";
import { dockerVersion } from "./docker-version.ts";
import { imageListedTwice } from "./image-listed-twice.ts";
import type { Rule } from "./rule.ts";

export const rules: readonly Rule[] = [dataRootUnderMount, dockerVersion, imageListedTwice];
