/** The preflight of a bake in Huawei Cloud, from the environment and from what was rendered. */
import type { Cloud } from "../huaweicloud/client.ts";
import { type Preflight, preflight } from "../huaweicloud/preflight/index.ts";
import type { Host } from "../host/host.ts";
import type { NodePlan } from "../plan/node-plan.ts";
import { userDataLimit } from "../profile/user-data-limit.ts";
import type { RenderedFile } from "../render/tree.ts";
import { serverPrefix } from "../targets/huaweicloud.ts";
import { requireTarget } from "../targets/index.ts";
import { bakeCloud } from "./cloud-client.ts";
import { cloudCredentials } from "./cloud-credentials.ts";

/** What `bake image` hands to the server that builds. */
const sentFile = "user-data/build.yaml";

/**
 * Asks the cloud, and makes nothing there.
 * @param files The rendered tree.
 * @returns what was seen, and the client that saw it: it knows the project once that was found.
 * @throws BakeError BK410 without credentials, BK425 for an endpoint that cannot be used, BK219 for a proxy that cannot.
 */
export const cloudPreflight = async (
  host: Host,
  { plan, files }: { readonly plan: NodePlan; readonly files: readonly RenderedFile[] },
): Promise<Preflight & { readonly cloud: Cloud }> => {
  const target = requireTarget(plan, "huaweicloud");
  const given = cloudCredentials(host.env);
  const cloud = bakeCloud(host, target.region);
  const projectId = given["HW_PROJECT_ID"];
  const seen = await preflight(cloud, {
    target,
    ...(projectId !== undefined && { projectId }),
    serverPrefix: serverPrefix(plan.profile),
    projectName: given["HW_PROJECT_NAME"] ?? target.region,
    userData: files
      .filter(({ path }) => path === sentFile)
      .map(({ path, content }) => ({ name: path, bytes: Buffer.byteLength(content) })),
    userDataLimit,
  });
  return { ...seen, cloud };
};
