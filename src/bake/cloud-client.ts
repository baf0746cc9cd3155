/** bake's own client for the cloud that it bakes in, with the credentials of the environment. */
import { makeCloud, type Cloud, type CloudSettings } from "../huaweicloud/client.ts";
import { endpointsOf } from "../huaweicloud/endpoints.ts";
import type { Host } from "../host/host.ts";
import { makeHttp } from "../store/http.ts";
import { cloudCredentials } from "./cloud-credentials.ts";

/** Milliseconds without an answer. */
const stall = 20_000;

/**
 * Who asks, and where.
 * @throws BakeError BK410 without credentials, BK425 for an endpoint that cannot be used.
 */
export const cloudSettings = ({ env }: Pick<Host, "env">, region: string): CloudSettings => {
  const given = cloudCredentials(env);
  return {
    credentials: {
      accessKey: (given["HW_ACCESS_KEY"] ?? "").trim(),
      secretKey: (given["HW_SECRET_KEY"] ?? "").trim(),
      ...(given["HW_SECURITY_TOKEN"] !== undefined && { securityToken: given["HW_SECURITY_TOKEN"].trim() }),
    },
    region,
    endpoints: endpointsOf(region, env),
  };
};

/**
 * A client that knows the region, and the project where the environment or the caller names it.
 * @param projectId Where it was found out already.
 * @throws BakeError BK410 without credentials, BK425 for an endpoint that cannot be used, BK219 for a proxy that cannot.
 */
export const bakeCloud = (
  host: Pick<Host, "env" | "now" | "sleep" | "random" | "signal">,
  region: string,
  projectId?: string,
): Cloud => {
  const settings = cloudSettings(host, region);
  return makeCloud(makeHttp({ env: host.env, stall }), host, {
    ...settings,
    ...(projectId !== undefined && { projectId }),
  });
};
