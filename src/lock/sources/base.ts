/** Disk images that a local bake starts from: openEuler's own by name, or a file of this machine. */
import { BakeError } from "../../errors.ts";
import type { Architecture, Base } from "../lock.ts";
import type { BaseWish } from "../wish.ts";
import { digestIn } from "./checksum-file.ts";
import type { Resolver } from "./resolver.ts";

/** `openeuler-22.03-lts-sp4` → `openEuler-22.03-LTS-SP4` (facts: openEuler qcow2). */
const openEulerName = (base: string): string | undefined => {
  const [, year, service] = /^openeuler-(\d\d\.\d\d)-lts(-sp\d)?$/.exec(base) ?? [];
  return year === undefined ? undefined : `openEuler-${year}-LTS${(service ?? "").toUpperCase()}`;
};

/** The first releases put a dot before the architecture. */
const imageFile = (name: string, architecture: Architecture): string =>
  `${name}${name.startsWith("openEuler-20.03") ? "." : "-"}${architecture}.qcow2.xz`;

export const base: Resolver<BaseWish, Base> = {
  versions: () => Promise.resolve([]),
  resolve: async (wish, { web, sources }) => {
    const { kind, name, asked, architecture } = wish;
    const entry = { kind, name, architecture, asked };
    if (typeof wish.base !== "string") {
      const stored = await web.keep(wish.base.file);
      return {
        ...entry,
        version: stored.sha256.slice(0, 12),
        url: `file:${wish.base.file}`,
        ...stored,
        trust: "first-use",
        format: wish.base.file.endsWith(".xz") ? "qcow2.xz" : "qcow2",
      };
    }
    const release = openEulerName(wish.base);
    if (release === undefined) {
      throw new BakeError(
        "BK234",
        `there is no base ${wish.base}`,
        "Known are openEuler's: openeuler-20.03-lts to openeuler-24.03-lts, with -sp1 and so on; or give a qcow2 file: base: { file: … }",
      );
    }
    const url = `${sources.openeuler}/${release}/virtual_machine_img/${architecture}/${imageFile(release, architecture)}`;
    const checksums = `${url}.sha256sum`;
    const sha256 = digestIn(await web.text(checksums), imageFile(release, architecture), checksums);
    const size = await web.size(url);
    return {
      ...entry,
      version: release,
      url,
      size: size ?? (await web.store({ name: `base ${name}`, url, sha256 })).size,
      sha256,
      trust: "checksums",
      checksums,
      format: "qcow2.xz",
    };
  },
};
