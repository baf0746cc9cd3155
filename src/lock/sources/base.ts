import { BakeError } from "../../errors.ts";
import type { Base } from "../lock.ts";
import { statusOf } from "../web.ts";
import type { BaseWish } from "../wish.ts";
import { lockBytes } from "./bytes.ts";
import { type Context, entryOf, type Resolver } from "./resolver.ts";

/** openEuler's releases, newest first within their line. */
const openEuler = [
  "24.03-LTS-SP4",
  "24.03-LTS-SP3",
  "24.03-LTS-SP2",
  "24.03-LTS-SP1",
  "24.03-LTS",
  "22.03-LTS-SP4",
  "22.03-LTS-SP3",
  "22.03-LTS-SP2",
  "22.03-LTS-SP1",
  "20.03-LTS-SP4",
] as const;

const baseName = (release: string): string => `openeuler-${release.toLowerCase()}`;

const releaseOf = (wish: BaseWish, base: string): string => {
  const release = openEuler.find((each) => baseName(each) === base);
  if (release !== undefined) return release;
  throw new BakeError(
    "BK242",
    `${wish.path.join(".")}: ${base} is no base that bake knows`,
    `Known are ${openEuler.map(baseName).join(", ")}; or name a qcow2 file: { file: … }.`,
  );
};

const resolveKnown = async (wish: BaseWish, base: string, { web, sources }: Context): Promise<Base> => {
  const release = releaseOf(wish, base);
  const folder = `${sources.openeuler}/openEuler-${release}/virtual_machine_img/${wish.architecture}`;
  const locked = async (file: string) =>
    lockBytes({ name: base, url: `${folder}/${file}`, checksums: { url: `${folder}/${file}.sha256sum`, file } }, web);
  const file = (separator: string) => `openEuler-${release}${separator}${wish.architecture}.qcow2.xz`;
  // Some releases of 20.03 write a dot there.
  const bytes = await locked(file("-")).catch((error: unknown) => {
    if (!release.startsWith("20.03") || statusOf(error) !== 404) throw error;
    return locked(file("."));
  });
  return { kind: wish.kind, ...entryOf(wish, release), ...bytes, format: "qcow2.xz" };
};

const resolveFile = async (wish: BaseWish, file: string, { localFile }: Context): Promise<Base> => {
  const bytes = await localFile(file).catch((error: unknown) => {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === "ENOENT" ? "is not there" : `cannot be read: ${message}`;
    throw new BakeError("BK245", `${wish.path.join(".")}: ${file} ${why}`, "It is a file of the machine that bakes.");
  });
  return {
    kind: wish.kind,
    ...entryOf(wish, bytes.sha256.slice(0, 12)),
    url: `file:${file}`,
    ...bytes,
    trust: "first-use",
    format: file.endsWith(".xz") ? "qcow2.xz" : "qcow2",
  };
};

/** The image that a local bake starts from: one of openEuler's, or a file. */
export const base: Resolver<BaseWish, Base> = {
  versions: (wish) => {
    if (typeof wish.base !== "string") return Promise.resolve([]);
    const line = releaseOf(wish, wish.base).slice(0, "22.03".length);
    return Promise.resolve(openEuler.filter((release) => release.startsWith(line)));
  },
  resolve: (wish, context) =>
    typeof wish.base === "string" ? resolveKnown(wish, wish.base, context) : resolveFile(wish, wish.base.file, context),
};
