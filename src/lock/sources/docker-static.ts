import { BakeError } from "../../errors.ts";
import type { Release } from "../lock.ts";
import { shownUrl } from "../../store/http.ts";
import type { ReleaseWish } from "../wish.ts";
import { lockBytes } from "./bytes.ts";
import { type Context, entryOf, type Resolver } from "./resolver.ts";
import { exactVersion, newestFirst } from "./versions.ts";

const folderOf = ({ architecture }: ReleaseWish, { sources }: Context): string => `${sources.docker}/${architecture}`;

const versions = async (wish: ReleaseWish, context: Context): Promise<string[]> => {
  const url = `${folderOf(wish, context)}/`;
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
export const dockerStatic: Resolver<ReleaseWish, Release> = {
  versions,
  resolve: async (wish, context) => {
    const folder = folderOf(wish, context);
    const version = await exactVersion(wish.name, wish.asked, () => versions(wish, context), shownUrl(`${folder}/`));
    const bytes = await lockBytes(
      { name: `${wish.name} ${version}`, url: `${folder}/docker-${version}.tgz`, sha256: wish.sha256 },
      context.web,
    );
    return { kind: wish.kind, ...entryOf(wish, version), ...bytes };
  },
};
