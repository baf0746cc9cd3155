/** The preflight of a bake in Huawei Cloud, from the environment and from what was rendered. */
import type { Host } from "../host/host.ts";
import type { NodePlan } from "../plan/node-plan.ts";
import { userDataLimit } from "../profile/user-data-limit.ts";
import type { RenderedFile } from "../render/tree.ts";
import { makeHttp } from "../store/http.ts";
import { serverPrefix } from "../targets/huaweicloud.ts";
import { requireTarget } from "../targets/index.ts";
import { makeCloud } from "../huaweicloud/client.ts";
import { endpointsOf } from "../huaweicloud/endpoints.ts";
import { type Line, preflight } from "../huaweicloud/preflight/index.ts";
import { cloudCredentials } from "./cloud-credentials.ts";

/** Milliseconds without an answer. */
const stall = 20_000;

/** What `bake image` hands to the server that builds. */
const sentFile = "user-data/build.yaml";

/**
 * Asks the cloud, and makes nothing there.
 * @param files The rendered tree.
 * @throws BakeError BK410 without credentials, BK425 for an endpoint that cannot be used, BK219 for a proxy that cannot.
 */
export const cloudPreflight = async (
  host: Host,
  { plan, files }: { readonly plan: NodePlan; readonly files: readonly RenderedFile[] },
): Promise<Line[]> => {
  const target = requireTarget(plan, "huaweicloud");
  const given = cloudCredentials(host.env);
  const cloud = makeCloud(makeHttp({ env: host.env, stall }), host, {
    credentials: {
      accessKey: (given["HW_ACCESS_KEY"] ?? "").trim(),
      secretKey: (given["HW_SECRET_KEY"] ?? "").trim(),
      ...(given["HW_SECURITY_TOKEN"] !== undefined && { securityToken: given["HW_SECURITY_TOKEN"].trim() }),
    },
    region: target.region,
    endpoints: endpointsOf(target.region, host.env),
  });
  const projectId = given["HW_PROJECT_ID"];
  return preflight(cloud, {
    target,
    ...(projectId !== undefined && { projectId }),
    serverPrefix: serverPrefix(plan.profile),
    projectName: given["HW_PROJECT_NAME"] ?? target.region,
    userData: files
      .filter(({ path }) => path === sentFile)
      .map(({ path, content }) => ({ name: path, bytes: Buffer.byteLength(content) })),
    userDataLimit,
  });
};
