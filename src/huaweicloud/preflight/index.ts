/** Everything about a bake in Huawei Cloud that can be known before anything is paid for. It only looks. */
import * as z from "zod";
import type { HuaweiCloudTarget } from "../../node/target.ts";
import { type Cloud, clockTolerance, CloudError } from "../client.ts";
import { imageLines } from "./image.ts";
import { judged, type Line, notChecked } from "./line.ts";
import { look, Zones } from "./look.ts";
import { networkLines } from "./network.ts";
import { serverLines, zoneOf } from "./server.ts";

export type { Line } from "./line.ts";

export interface PreflightInput {
  readonly target: HuaweiCloudTarget;
  /** The project, where the user says it; else it is found by its name. */
  readonly projectId?: string;
  readonly projectName: string;
  /** What names of servers that build an image of this profile begin with. */
  readonly serverPrefix: string;
  /** Each user-data that the bake's folder holds, with its bytes as they are sent. */
  readonly userData: readonly { readonly name: string; readonly bytes: number }[];
  /** Bytes that the cloud takes. */
  readonly userDataLimit: number;
}

/** What was seen before a bake. */
export interface Preflight {
  /** In an order that does not change; without credentials or a project only those that need none. */
  readonly lines: Line[];
  /** The project, once it is known. */
  readonly projectId?: string;
  /** Where the server is to be made, once that is known. */
  readonly zone?: string;
  /** Servers that build an image of this profile now, or were left by a bake that was cut off. */
  readonly servers: readonly { readonly id: string; readonly name: string }[];
}

const Projects = z.object({
  projects: z.array(z.object({ id: z.string(), name: z.string(), enabled: z.boolean().default(true) })),
});

/** What only a bake shows, and where it will be seen. */
const realRun: readonly (readonly [id: string, title: string, detail: string])[] = [
  ["capacity", "room for the server", "the cloud says so when the server is made: Ecs.0319 when there is none"],
  ["account", "credit of the account", "the cloud refuses to make a server for an account in arrears: Ecs.0003"],
  [
    "write-rights",
    "rights to make and remove",
    "each is asked for when it is needed; docs/huaweicloud-policy.md lists them",
  ],
  [
    "reach",
    "a way from here to the server",
    "Packer waits 15 minutes for ssh: routes, VPNs and firewalls in between are not the cloud's to tell",
  ],
  [
    "image-inside",
    "what is in the source image",
    "cloud-init that finds this cloud, scp, agents with an identity of the host: Packer fails at its first steps without them",
  ],
];

/** @returns the project's ID, and lines about credentials, project and clock. */
const account = async (
  cloud: Cloud,
  { projectId, projectName }: PreflightInput,
): Promise<{ id?: string; lines: Line[] }> => {
  const [accepted, project]: [Line, string] = [
    { id: "credentials", title: "credentials", outcome: "ok", detail: "the cloud accepts them" },
    "project",
  ];
  try {
    if (projectId !== undefined) {
      cloud.useProject(projectId);
      // The first call alone: with credentials that are refused no other may follow.
      await cloud.call("listZones", { answer: Zones });
      return { id: projectId, lines: [accepted, { id: project, title: project, outcome: "ok", detail: projectId }] };
    }
    const { projects } = await cloud.call("listProjects", { query: { name: projectName }, answer: Projects });
    const found = projects.find(({ name }) => name === projectName);
    return {
      ...(found?.enabled === true && { id: found.id }),
      lines: [
        accepted,
        judged(
          project,
          project,
          `${projectName}: ${found?.id ?? ""}`,
          found?.enabled !== true && {
            detail: found === undefined ? `there is no project ${projectName}` : `the project ${projectName} is off`,
            help: "Look at targets.huaweicloud.region; another project is named by HW_PROJECT_NAME or HW_PROJECT_ID.",
          },
        ),
      ],
    };
  } catch (error) {
    if (!(error instanceof CloudError)) throw error;
    const refused = error.code === "BK420";
    const clockOff = Math.abs(cloud.clockSkew() ?? 0) > clockTolerance;
    if (refused) {
      const { message, help = "" } = error;
      return {
        lines: [
          clockOff
            ? {
                id: "credentials",
                title: "credentials",
                outcome: "not checked",
                detail: "the clock has to be right first",
              }
            : { id: "credentials", title: "credentials", outcome: "wrong", detail: message, help },
        ],
      };
    }
    if (error.status === undefined) return { lines: [notChecked("credentials", "credentials", error)] };
    // An answer other than 401: the signature was good.
    const lines = [accepted, notChecked(project, project, error)];
    return { ...(projectId !== undefined && error.status !== 404 && { id: projectId }), lines };
  }
};

const clockLine = (cloud: Cloud): Line => {
  const skew = cloud.clockSkew();
  const [id, title] = ["clock", "clock of this machine"];
  if (skew === undefined) return { id, title, outcome: "not checked", detail: "the cloud told no time" };
  const seconds = Math.round(Math.abs(skew) / 1000);
  return judged(
    id,
    title,
    seconds < 2 ? "right" : `${seconds} seconds ${skew > 0 ? "behind" : "ahead of"} the cloud's, 900 are allowed`,
    Math.abs(skew) > clockTolerance && {
      help: "Set the clock (chronyc makestep, or timedatectl set-ntp true): every signature is refused until then.",
    },
  );
};

/** What the plugin would refuse, or the cloud, of what was rendered. */
const userDataLine = ({ userData, userDataLimit }: PreflightInput): Line => {
  const large = userData.filter(({ bytes }) => bytes > userDataLimit);
  const say = ({ name, bytes }: (typeof userData)[number]): string => `${name} ${bytes} bytes`;
  return judged(
    "user-data",
    "size of user-data",
    `${userData.map(say).join(", ")} of ${userDataLimit}`,
    large.length > 0 && {
      detail: `${large.map(say).join(", ")}: the cloud takes ${userDataLimit}`,
      help: "Fewer or shorter ssh keys, files and settings in the profile make it smaller.",
    },
  );
};

/**
 * Looks at all that a bake needs.
 * @throws the signal's reason.
 */
export const preflight = async (cloud: Cloud, input: PreflightInput): Promise<Preflight> => {
  const { id, lines } = await account(cloud, input);
  const before = [...lines, clockLine(cloud)];
  const after = [
    userDataLine(input),
    ...realRun.map(([name, title, detail]): Line => ({ id: name, title, outcome: "real run", detail })),
  ];
  if (id === undefined) {
    const rest: Line = {
      id: "resources",
      title: "image, flavor, quotas, network and names",
      outcome: "not checked",
      detail: "credentials and project have to be right first",
    };
    return { lines: [...before, rest, ...after], servers: [] };
  }
  cloud.useProject(id);
  const seen = await look(cloud, input.target, input.serverPrefix);
  const zone = zoneOf(seen, input.target);
  return {
    lines: [
      ...before,
      ...imageLines(seen, input.target),
      ...serverLines(seen, input.target),
      ...networkLines(seen, input.target),
      ...after,
    ],
    projectId: id,
    ...(zone !== undefined && { zone }),
    servers: "value" in seen.servers ? seen.servers.value : [],
  };
};
