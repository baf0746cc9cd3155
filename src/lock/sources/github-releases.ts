/** Lists of releases by GitHub's API, and releases with a file of checksums beside their files. */
import * as z from "zod";
import { BakeError } from "../../errors.ts";
import type { Architecture, Release } from "../lock.ts";
import type { ReleaseWish, Sources } from "../wish.ts";
import { digestIn } from "./checksum-file.ts";
import type { Context, Resolver } from "./resolver.ts";
import { exactVersion, stableVersions } from "./versions.ts";

const Releases = z.array(z.object({ tag_name: z.string(), draft: z.boolean(), prerelease: z.boolean() }));

/** Pages of a hundred; older releases than these are asked for by nobody. */
const pages = 3;

/** @throws BakeError BK233 when the answer is no list of releases. */
const githubVersions = async (repository: string, { web, sources }: Context): Promise<string[]> => {
  const tags: string[] = [];
  for (let page = 1; page <= pages; page++) {
    const url = `${sources.releases}/repos/${repository}/releases?per_page=100&page=${page}`;
    const text = await web.text(url, { headers: { accept: "application/vnd.github+json" } });
    let list: z.infer<typeof Releases>;
    try {
      list = Releases.parse(JSON.parse(text));
    } catch {
      throw new BakeError(
        "BK233",
        `${sources.releases} gives no list of the releases of ${repository}`,
        "sources.releases has to answer as GitHub's API does; an exact version in the profile needs no list.",
      );
    }
    tags.push(...list.filter(({ draft, prerelease }) => !draft && !prerelease).map(({ tag_name }) => tag_name));
    if (list.length < 100) break;
  }
  return stableVersions(tags);
};

const goArchitecture: Readonly<Record<Architecture, string>> = { x86_64: "amd64", aarch64: "arm64" };

interface ReleaseForm {
  readonly repository: string;
  readonly base: (sources: Sources) => string;
  /** Name of the file, and of the file of checksums beside it. */
  readonly file: (version: string, architecture: string) => string;
  readonly checksums: (version: string, architecture: string) => string;
}

/** A resolver of releases whose files and checksums lie in one folder for each version. */
export const releaseResolver = ({ repository, base, file, checksums }: ReleaseForm): Resolver<ReleaseWish, Release> => {
  const versions = (_wish: ReleaseWish, context: Context): Promise<string[]> => githubVersions(repository, context);
  return {
    versions,
    resolve: async (wish, context) => {
      const version = await exactVersion(wish.name, wish.asked, () => versions(wish, context));
      const architecture = goArchitecture[wish.architecture ?? "x86_64"];
      const folder = `${base(context.sources)}/v${version}`;
      const name = file(version, architecture);
      const url = `${folder}/${name}`;
      const sumsUrl = `${folder}/${checksums(version, architecture)}`;
      const sha256 = digestIn(await context.web.text(sumsUrl), name, sumsUrl);
      const size = await context.web.size(url);
      return {
        kind: wish.kind,
        name: wish.name,
        ...(wish.architecture !== undefined && { architecture: wish.architecture }),
        version,
        asked: wish.asked,
        url,
        // A host that does not tell: then the file itself is asked.
        size: size ?? (await context.web.store({ name: wish.name, url, sha256 })).size,
        sha256,
        trust: "checksums",
        checksums: sumsUrl,
      };
    },
  };
};
