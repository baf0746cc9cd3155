import { BakeError } from "../../errors.ts";
import type { Base } from "../../artifact.ts";
import { knownBases, openEulerBase, openEulerReleases } from "../../profile/known-bases.ts";
import { statusOf } from "../web.ts";
import type { BaseRequirement } from "../../node/requirement.ts";
import { lockBytes } from "./bytes.ts";
import { type Context, entryOf, type Resolver } from "./resolver.ts";

const releaseOf = (requirement: BaseRequirement, base: string): string => {
  const release = openEulerReleases.find((each) => openEulerBase(each) === base);
  if (release !== undefined) return release;
  throw new BakeError(
    "BK242",
    `${requirement.path.join(".")}: ${base} is no base that bake knows`,
    `Known are ${knownBases.join(", ")}; or name a qcow2 file: { file: … }.`,
  );
};

const resolveKnown = async (requirement: BaseRequirement, base: string, { web, sources }: Context): Promise<Base> => {
  const release = releaseOf(requirement, base);
  const folder = `${sources.openeuler}/openEuler-${release}/virtual_machine_img/${requirement.architecture}`;
  const locked = async (file: string) =>
    lockBytes({ name: base, url: `${folder}/${file}`, checksums: { url: `${folder}/${file}.sha256sum`, file } }, web);
  const file = (separator: string) => `openEuler-${release}${separator}${requirement.architecture}.qcow2.xz`;
  // Some releases of 20.03 write a dot there.
  const bytes = await locked(file("-")).catch((error: unknown) => {
    if (!release.startsWith("20.03") || statusOf(error) !== 404) throw error;
    return locked(file("."));
  });
  return { kind: requirement.kind, ...entryOf(requirement, release), ...bytes, format: "qcow2.xz" };
};

const resolveFile = async (requirement: BaseRequirement, file: string, { localFile }: Context): Promise<Base> => {
  const bytes = await localFile(file).catch((error: unknown) => {
    // Of the store, not of the file.
    if (error instanceof BakeError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === "ENOENT" ? "is not there" : `cannot be read: ${message}`;
    throw new BakeError(
      "BK245",
      `${requirement.path.join(".")}: ${file} ${why}`,
      "It is a file of the machine that bakes.",
    );
  });
  return {
    kind: requirement.kind,
    ...entryOf(requirement, bytes.sha256.slice(0, 12)),
    url: `file:${file}`,
    ...bytes,
    trust: "first-use",
    format: file.endsWith(".xz") ? "qcow2.xz" : "qcow2",
  };
};

/** The image that a local bake starts from: one of openEuler's, or a file. */
export const base: Resolver<BaseRequirement, Base> = {
  versions: (requirement) => {
    if (typeof requirement.base !== "string") return Promise.resolve([]);
    const line = releaseOf(requirement, requirement.base).slice(0, "22.03".length);
    return Promise.resolve(openEulerReleases.filter((release) => release.startsWith(line)));
  },
  resolve: (requirement, context) =>
    typeof requirement.base === "string"
      ? resolveKnown(requirement, requirement.base, context)
      : resolveFile(requirement, requirement.base.file, context),
};
