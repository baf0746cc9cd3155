/** What every command of `bake catalog` has: a profile, the cloud that it is baked in, and a way to tell what came of it. */
import { openCloud } from "../bake/cloud-project.ts";
import type { Host } from "../host/host.ts";
import type { Cloud } from "../huaweicloud/client.ts";
import { requireCloudTarget, tagValue } from "../targets/huaweicloud.ts";
import { endOf, makeHost } from "./host.ts";
import { readProfileFile, requireProfile } from "./profile-file.ts";

export interface CatalogOptions {
  readonly profile: string;
  /** Another one than the profile's. */
  readonly region?: string;
  readonly json?: boolean;
}

export interface ChangeOptions extends CatalogOptions {
  readonly yes?: boolean;
}

export interface CatalogContext {
  readonly host: Host;
  readonly cloud: Cloud;
  readonly name: string;
  readonly profileTag: string;
  /** Of the profile's settings for the cloud. */
  readonly target: ReturnType<typeof requireCloudTarget>;
  /** Prints lines for people, or the object for programs. */
  readonly tell: (text: string, object: object) => void;
}

/** Opens the cloud of a profile for one command. @returns the exit code. */
export const withCatalog = async (
  options: CatalogOptions,
  work: (context: CatalogContext) => Promise<number>,
): Promise<number> => {
  const { host } = await makeHost(process.stderr);
  try {
    const file = await readProfileFile(options.profile);
    const profile = requireProfile(file);
    if (profile === undefined) return 2;
    const target = requireCloudTarget(
      profile,
      file.file,
      "The catalogue is the cloud's: it needs the target's region.",
    );
    const region = options.region ?? target.region;
    return await work({
      host,
      cloud: await openCloud(host, { region, home: region === target.region }),
      name: file.name,
      profileTag: tagValue(file.name),
      target,
      tell: (text, object) =>
        void process.stdout.write(
          options.json === true
            ? `${JSON.stringify({ profile: file.name, region, ...object }, null, 2)}\n`
            : `${text}\n`,
        ),
    });
  } catch (error) {
    return endOf(host, error);
  }
};
