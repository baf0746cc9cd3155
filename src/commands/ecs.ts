/** `bake ecs`: a server made from an image of the catalogue, with the profile's user-data. Without `--yes` it is only shown. */
import { openCloud } from "../bake/cloud-project.ts";
import { BakeError } from "../errors.ts";
import type { Host } from "../host/host.ts";
import { findImage, listCatalog } from "../huaweicloud/catalog/look.ts";
import { requireActive } from "../huaweicloud/catalog/promote.ts";
import type { Stated } from "../huaweicloud/catalog/states.ts";
import { encodedUserData } from "../huaweicloud/change-os.ts";
import {
  createServer,
  sameServer,
  tryServer,
  waitUntilActive,
  type WantedServer,
} from "../huaweicloud/create-server.ts";
import { listNodes } from "../huaweicloud/nodes.ts";
import { userDataLimit } from "../profile/user-data-limit.ts";
import type { Profile } from "../profile/schema.ts";
import { type cloudTarget, requireCloudTarget, tagValue } from "../targets/huaweicloud.ts";
import { nodeReadiness } from "./ecs-ready.ts";
import { endOf, makeHost } from "./host.ts";
import { makeUserData, requireHostName } from "./node-user-data.ts";
import { readAsked } from "./planned.ts";
import { printJson } from "./print-json.ts";

export interface CreateOptions {
  readonly profile: string;
  readonly image: string;
  readonly name: string;
  readonly flavor: string;
  readonly zone?: string;
  /** GiB. */
  readonly diskSize?: number;
  readonly diskType: string;
  /** GiB each. */
  readonly dataDisk: readonly { readonly size: number; readonly type: string }[];
  readonly keyPair?: string;
  readonly agency?: string;
  readonly authorizedKey: readonly string[];
  readonly npus: boolean;
  readonly json?: boolean;
  readonly yes?: boolean;
  /** Whether to wait until its agents are connected. */
  readonly wait: boolean;
}

type CloudSettings = NonNullable<Profile["targets"][typeof cloudTarget]>;

/** @throws BakeError BK455 for what the cloud would refuse, or a node could not live with. Pure. */
const wantedServer = (
  options: CreateOptions,
  { image }: Stated,
  target: CloudSettings,
  { profileTag, byAgency }: { readonly profileTag: string; readonly byAgency: boolean },
): WantedServer => {
  const size = options.diskSize ?? Math.max(image.minDisk, 40);
  if (size < image.minDisk) {
    throw new BakeError(
      "BK455",
      `a system disk of ${size} GiB is too small: image ${image.id} needs ${image.minDisk}`,
      `Leave --disk-size out, or give ${image.minDisk} or more.`,
    );
  }
  if (byAgency && options.agency === undefined) {
    throw new BakeError(
      "BK455",
      "the node fetches its agent token from CSMS by its server's agency, and none is named",
      "Give --agency NAME: an IAM agency of ECS that may read the secret (docs/secrets.md).",
    );
  }
  return {
    name: options.name,
    image: image.id,
    flavor: options.flavor,
    zone: options.zone,
    vpc: target.vpc,
    subnet: target.subnet,
    securityGroup: target.securityGroup,
    systemDisk: { size, type: options.diskType },
    dataDisks: options.dataDisk,
    keyPair: options.keyPair,
    agency: options.agency,
    enterpriseProject: target.enterpriseProject,
    tags: { "bake-id": image.bakeId, "bake-profile": profileTag },
  };
};

/** What would be made, for people. Pure. */
const describe = (wanted: WantedServer, { state, image }: Stated, userData: string): string => {
  const disk = ({ size, type }: WantedServer["systemDisk"]): string => `${size} GiB ${type}`;
  const lines: readonly (readonly [string, string])[] = [
    ["image", `${wanted.image}, ${state}, bake id ${image.bakeId.slice(0, 10)}`],
    ["flavor", wanted.flavor],
    ["zone", wanted.zone ?? "the cloud chooses"],
    ["network", `subnet ${wanted.subnet}, security group ${wanted.securityGroup}`],
    ["system disk", disk(wanted.systemDisk)],
    ["data disks", wanted.dataDisks.map(disk).join(", ") || "none but those of the flavor"],
    ["key pair", wanted.keyPair ?? "none"],
    ["agency", wanted.agency ?? "none"],
    ["user-data", userData],
  ];
  return lines.map(([what, value]) => `  ${what.padEnd(12)} ${value}`).join("\n");
};

interface Told {
  readonly text: string;
  readonly object: object;
  /** It was made, or was there, and does not take jobs. */
  readonly isLate?: boolean;
}

const run = async (host: Host, options: CreateOptions): Promise<Told | undefined> => {
  requireHostName(options.name);
  const asked = await readAsked(options);
  if (asked === undefined) return undefined;
  const target = requireCloudTarget(
    asked.profile,
    asked.file.file,
    "A server needs the target's region, VPC, subnet and security group.",
  );
  const profileTag = tagValue(asked.file.name);
  const cloud = await openCloud(host, { region: target.region, home: true });
  const chosen = findImage(await listCatalog(cloud, profileTag), options.image, asked.file.name);
  requireActive(chosen, "used");
  const byAgency = "csms" in asked.profile.secrets.agentToken;
  const wanted = wantedServer(options, chosen, target, { profileTag, byAgency });
  const about = { name: wanted.name, image: wanted.image, bakeId: chosen.image.bakeId, region: target.region };
  const told = async (what: string, object: object, since?: number): Promise<Told> => {
    const waits = options.yes === true && options.wait;
    const readiness = await nodeReadiness(host, asked.profile, {
      name: wanted.name,
      bakeId: chosen.image.bakeId,
      waits,
      ...(since !== undefined && { since }),
    });
    return {
      text: `${what}\n${readiness.text}`,
      object: { ...about, ...object, ready: readiness.isReady ?? null },
      isLate: readiness.isReady === false,
    };
  };
  const there = sameServer(await listNodes(cloud, { name: wanted.name }), wanted);
  if (there !== undefined) {
    if (options.yes === true) await waitUntilActive(cloud, host, there);
    const what = `${wanted.name} is there already: server ${there.id}, made from ${wanted.image}`;
    return told(what, { made: false, id: there.id });
  }
  const userData = await makeUserData(asked, {
    node: options.name,
    authorizedKey: options.authorizedKey,
    npus: options.npus,
    ...(options.keyPair !== undefined && { keyPair: options.keyPair }),
  });
  if (userData === undefined) return undefined;
  const encoded = encodedUserData(userData.text);
  for (const warning of userData.warnings) process.stderr.write(`warning: ${warning}\n`);
  const size = Buffer.from(encoded, "base64").length;
  const shown = describe(
    wanted,
    chosen,
    `${size} bytes of ${userDataLimit}, ${userData.holdsSecrets ? "with the profile's secrets" : "without secrets"}`,
  );
  await tryServer(cloud, wanted);
  if (options.yes !== true) {
    return {
      text: `${wanted.name} would be made in ${target.region}:\n${shown}\nthe cloud would take it; nothing was made: add --yes to do it`,
      object: { ...about, made: false, server: { ...wanted, userDataSize: size } },
    };
  }
  const began = host.now();
  const id = await host.progress.step("ecs-create", `the cloud makes ${wanted.name}`, () =>
    createServer(cloud, host, wanted, encoded),
  );
  return told(`${wanted.name} was made: server ${id}\n${shown}`, { made: true, id }, began);
};

/** `bake ecs create`. @returns the exit code. */
export const create = async (options: CreateOptions): Promise<number> => {
  const { host } = await makeHost(process.stderr);
  try {
    const told = await run(host, options);
    if (told === undefined) return 2;
    if (options.json === true) printJson(told.object);
    else process.stdout.write(`${told.text}\n`);
    return told.isLate === true ? 1 : 0;
  } catch (error) {
    return endOf(host, error);
  }
};
