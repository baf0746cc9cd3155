/** Releases as GitHub lists them, and what the release resolvers share. */
import * as z from "zod";
import type { Release } from "../../artifact.ts";
import type { ReleaseRequirement } from "../../node/requirement.ts";
import { lockBytes } from "./bytes.ts";
import { parseAnswer } from "./json.ts";
import { type Context, entryOf, type Resolver } from "./resolver.ts";
import { exactVersion, newestFirst, oldestMeant } from "./versions.ts";

const Releases = z.array(z.object({ tag_name: z.string(), draft: z.boolean(), prerelease: z.boolean() }));

const listUrl = (repository: string, { sources }: Context): string =>
  `${sources.releases}/repos/${repository}/releases?per_page=100`;

/** Read page by page, until the oldest that the requirement can mean is there: older ones interest nobody. */
const versionsOf = async (repository: string, asked: string, context: Context): Promise<string[]> => {
  const url = listUrl(repository, context);
  const oldest = oldestMeant(asked);
  let found: string[] = [];
  for await (const page of context.web.pages(url, { headers: { accept: "application/vnd.github+json" } })) {
    const stable = parseAnswer(page, Releases, url).filter((release) => !release.draft && !release.prerelease);
    found = [...found, ...stable.flatMap(({ tag_name }) => /^v?(\d+\.\d+\.\d+)$/.exec(tag_name)?.[1] ?? [])];
    if (found.includes(oldest)) break;
  }
  return newestFirst(found);
};

/** A resolver of releases on GitHub, or on a mirror of its download folders. */
export const gitHubRelease = (of: {
  /** `owner/name` */
  readonly repository: string;
  readonly location: (
    requirement: ReleaseRequirement,
    version: string,
    context: Context,
  ) => { readonly folder: string; readonly file: string; readonly checksums: string };
  /** Which stable versions may be offered for a requirement. Default: all. */
  readonly offered?: (version: string, asked: string) => boolean;
}): Resolver<ReleaseRequirement, Release> => {
  const versions = async (requirement: ReleaseRequirement, context: Context): Promise<string[]> =>
    (await versionsOf(of.repository, requirement.asked, context)).filter(
      (version) => of.offered?.(version, requirement.asked) ?? true,
    );
  return {
    versions,
    resolve: async (requirement, context) => {
      const where = listUrl(of.repository, context).replace(/\?.*/, "");
      const version = await exactVersion(
        requirement.name,
        requirement.asked,
        () => versions(requirement, context),
        where,
      );
      const { folder, file, checksums } = of.location(requirement, version, context);
      const bytes = await lockBytes(
        {
          name: `${requirement.name} ${version}`,
          url: `${folder}/${file}`,
          sha256: requirement.sha256,
          checksums: { url: `${folder}/${checksums}`, file },
        },
        context.web,
      );
      return { kind: requirement.kind, ...entryOf(requirement, version), ...bytes };
    },
  };
};
