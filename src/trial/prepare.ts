/** What a trial's lock names: the stand-in base and the assembled artifacts, made when they are not in the store yet. */
import { standInBase } from "../build/base.ts";
import type { Host } from "../host.ts";
import { Lock } from "../lock/lock.ts";
import type { Store } from "../store/store.ts";
import { assembleTrialArtifacts, dockerLibraryPackages } from "./artifacts.ts";
import { debianMirror } from "./debian.ts";

export const prepareTrial = async (
  host: Host,
  store: Store,
  { profileName }: { profileName: string },
): Promise<Lock> => {
  const artifacts = await assembleTrialArtifacts(host, store);
  const base = await standInBase(host, store, {
    libraryPackages: dockerLibraryPackages,
    mirror: await debianMirror(host),
  });
  // Through the schema, as if read from a file: keys in one order, so that plan.json has the same bytes every time.
  return Lock.parse({
    lockVersion: 1,
    profile: profileName,
    artifacts: [
      {
        kind: "base",
        name: base.name,
        architecture: "x86_64",
        version: base.name,
        asked: base.name,
        url: `trial:${base.resolved}`,
        size: base.size,
        sha256: base.sha256,
        trust: "first-use",
        format: "qcow2",
      },
      ...artifacts,
    ],
  });
};
