import { knownSecrets } from "../check/known-secrets.ts";
import type { Host } from "../host/host.ts";
import type { Profile } from "../profile/schema.ts";

/** Values that neither a report nor a bundle may hold: the profile's secrets, where they can be had here. */
export const secretsHere = async (
  { secrets: sources }: Pick<Profile, "secrets">,
  host: Pick<Host, "env">,
): Promise<string[]> => {
  const { secrets } = await knownSecrets(sources, host.env);
  return secrets.flatMap(({ name, value }) =>
    // user:password
    name === "secrets.proxyCredentials" ? [value, value.slice(value.indexOf(":") + 1)] : [value],
  );
};
