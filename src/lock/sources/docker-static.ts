import { BakeError } from "../../errors.ts";
import type { Release } from "../../artifact.ts";
import { shownUrl } from "../../store/url.ts";
import type { ReleaseRequirement } from "../../node/requirement.ts";
import { lockBytes } from "./bytes.ts";
import { type Context, entryOf, type Resolver } from "./resolver.ts";
import { exactVersion, newestFirst } from "./versions.ts";

const folderOf = ({ architecture }: ReleaseRequirement, { sources }: Context): string =>
  `${sources.docker}/${architecture}`;

const versions = async (requirement: ReleaseRequirement, context: Context): Promise<string[]> => {
  const url = `${folderOf(requirement, context)}/`;
  const index = await context.web.text(url);
  const found = [...index.matchAll(/href="(?:[^"]*\/)?docker-(\d+\.\d+\.\d+)\.tgz"/g)].flatMap(
    ([, version]) => version ?? [],
  );
  if (found.length > 0) return newestFirst(found);
  throw new BakeError(
    "BK235",
    `${shownUrl(url)} is no index of Docker's archives`,
    "Name an exact version, or set `sources.docker` to a folder whose index the server shows.",
  );
};

/** Docker's static binaries. Docker publishes no checksums: without a digest in the profile the first download counts. */
export const dockerStatic: Resolver<ReleaseRequirement, Release> = {
  versions,
  resolve: async (requirement, context) => {
    const folder = folderOf(requirement, context);
    const version = await exactVersion(
      requirement.name,
      requirement.asked,
      () => versions(requirement, context),
      shownUrl(`${folder}/`),
    );
    const bytes = await lockBytes(
      { name: `${requirement.name} ${version}`, url: `${folder}/docker-${version}.tgz`, sha256: requirement.sha256 },
      context.web,
    );
    return { kind: requirement.kind, ...entryOf(requirement, version), ...bytes };
  },
};
