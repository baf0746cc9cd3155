/** Docker's static archives. No checksums are published (docker/roadmap#188): the profile's digest counts, else the first download's. */
import type { Release } from "../lock.ts";
import type { ReleaseWish } from "../wish.ts";
import type { Context, Resolver } from "./resolver.ts";
import { exactVersion, stableVersions } from "./versions.ts";

const folderOf = ({ architecture = "x86_64" }: ReleaseWish, { sources }: Context): string =>
  `${sources.docker}/${architecture}`;

/** The archives that a folder's page links to. */
const versions = async (wish: ReleaseWish, context: Context): Promise<string[]> => {
  const page = await context.web.text(`${folderOf(wish, context)}/`);
  return stableVersions(
    [...page.matchAll(/href="(?:[^"]*\/)?docker-([\d.]+)\.tgz"/g)].map(([, version = ""]) => version),
  );
};

export const dockerStatic: Resolver<ReleaseWish, Release> = {
  versions,
  resolve: async (wish, context) => {
    const version = await exactVersion("Docker", wish.asked, () => versions(wish, context));
    const url = `${folderOf(wish, context)}/docker-${version}.tgz`;
    const stored = await context.web.store({
      name: `docker ${version} (${wish.architecture ?? "x86_64"})`,
      url,
      ...(wish.sha256 !== undefined && { sha256: wish.sha256 }),
    });
    return {
      kind: wish.kind,
      name: wish.name,
      ...(wish.architecture !== undefined && { architecture: wish.architecture }),
      version,
      asked: wish.asked,
      url,
      ...stored,
      trust: wish.sha256 === undefined ? "first-use" : "profile",
    };
  },
};
