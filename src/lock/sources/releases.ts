/** Releases as GitHub lists them, and what the release resolvers share. */
import * as z from "zod";
import type { Release } from "../lock.ts";
import type { ReleaseWish } from "../wish.ts";
import { lockBytes } from "./bytes.ts";
import { parseAnswer } from "./json.ts";
import { type Context, entryOf, type Resolver } from "./resolver.ts";
import { exactVersion, newestFirst, oldestMeant } from "./versions.ts";

const Releases = z.array(z.object({ tag_name: z.string(), draft: z.boolean(), prerelease: z.boolean() }));

const listUrl = (repository: string, { sources }: Context): string =>
  `${sources.releases}/repos/${repository}/releases?per_page=100`;

/** Read page by page, until the oldest that the wish can mean is there: older ones interest nobody. */
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
    wish: ReleaseWish,
    version: string,
    context: Context,
  ) => { readonly folder: string; readonly file: string; readonly checksums: string };
  /** Which stable versions may be offered for a wish. Default: all. */
  readonly offered?: (version: string, asked: string) => boolean;
}): Resolver<ReleaseWish, Release> => {
  const versions = async (wish: ReleaseWish, context: Context): Promise<string[]> =>
    (await versionsOf(of.repository, wish.asked, context)).filter(
      (version) => of.offered?.(version, wish.asked) ?? true,
    );
  return {
    versions,
    resolve: async (wish, context) => {
      const where = listUrl(of.repository, context).replace(/\?.*/, "");
      const version = await exactVersion(wish.name, wish.asked, () => versions(wish, context), where);
      const { folder, file, checksums } = of.location(wish, version, context);
      const bytes = await lockBytes(
        {
          name: `${wish.name} ${version}`,
          url: `${folder}/${file}`,
          sha256: wish.sha256,
          checksums: { url: `${folder}/${checksums}`, file },
        },
        context.web,
      );
      return { kind: wish.kind, ...entryOf(wish, version), ...bytes };
    },
  };
};
