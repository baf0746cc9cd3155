/** A client for one region of Huawei Cloud that knows its project, for whoever needs nothing of a bake. */
import * as z from "zod";
import { BakeError } from "../errors.ts";
import type { Host } from "../host/host.ts";
import type { Cloud } from "../huaweicloud/client.ts";
import { bakeCloud } from "./cloud-client.ts";

const Projects = z.object({
  projects: z.array(z.object({ id: z.string(), name: z.string(), enabled: z.boolean().default(true) })),
});

/**
 * @param place `home`: the region that the environment's variables are about, which may name the project and endpoints. Of
 * another region `project` is the project's name; without it the region's own.
 * @throws BakeError BK410 without credentials, BK425 for a region that is none, BK436 when there is no such project; CloudError.
 */
export const openCloud = async (
  host: Host,
  { region, home, project }: { readonly region: string; readonly home: boolean; readonly project?: string },
): Promise<Cloud> => {
  // It becomes part of a host's name, and credentials go there.
  if (!/^[a-z0-9]+(?:-[a-z0-9]+)*$/.test(region)) {
    throw new BakeError("BK425", `${JSON.stringify(region)} is no region`, "A region is called like cn-north-4.");
  }
  const own = Object.entries(host.env).filter(
    ([name]) => home || (!name.startsWith("HW_ENDPOINT_") && name !== "HW_PROJECT_ID" && name !== "HW_PROJECT_NAME"),
  );
  const env = Object.fromEntries(own);
  const set = (name: string): string | undefined => (env[name] ?? "").trim() || undefined;
  const projectId = set("HW_PROJECT_ID");
  const cloud = bakeCloud({ ...host, env }, region, projectId);
  if (projectId !== undefined) return cloud;
  const wanted = project ?? set("HW_PROJECT_NAME") ?? region;
  const { projects } = await cloud.call("listProjects", { query: { name: wanted }, answer: Projects });
  const found = projects.find(({ name }) => name === wanted);
  if (found?.enabled !== true) {
    throw new BakeError(
      "BK436",
      found === undefined ? `there is no project ${wanted}` : `the project ${wanted} is off`,
      "Look at the region; another project is named by HW_PROJECT_NAME or HW_PROJECT_ID.",
    );
  }
  cloud.useProject(found.id);
  return cloud;
};
