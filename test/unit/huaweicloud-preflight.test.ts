/** The preflight against the emulated cloud: each thing that can be wrong, and what is said of it. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { preflight, type Line, type PreflightInput } from "../../src/huaweicloud/preflight/index.ts";
import { wayThrough } from "../../src/huaweicloud/preflight/network.ts";
import { saleIn } from "../../src/huaweicloud/preflight/server.ts";
import type { HuaweiCloudTarget } from "../../src/node/target.ts";
import { cloudOf } from "../huaweicloud/cloud-of.ts";
import { type Emulator, startEmulator } from "../huaweicloud/emulator.ts";
import { ids, key, rule, type World } from "../huaweicloud/world.ts";

const start = Date.UTC(2026, 10, 26, 13);
let emulator: Emulator;
beforeEach(async () => {
  emulator = await startEmulator(() => start);
});
afterEach(() => emulator.close());

const target: HuaweiCloudTarget = {
  name: "huaweicloud",
  architecture: "aarch64",
  region: "cn-north-4",
  sourceImage: ids.sourceImage,
  flavor: "kc1.large.4",
  availabilityZone: "cn-north-4b",
  vpc: ids.vpc,
  subnet: ids.subnet,
  securityGroup: ids.securityGroup,
  publicIp: { bandwidth: 10, type: "5_bgp" },
  diskSize: 40,
  diskType: "SSD",
  imageName: "bake-2cards",
  dataDisks: [],
  tags: {},
  members: [],
  imageTimeout: 60,
};

const input: PreflightInput = {
  target,
  projectName: "cn-north-4",
  serverPrefix: "bake-2cards-",
  userData: [{ name: "user-data/build.yaml", bytes: 900 }],
  userDataLimit: 32_000,
};

const see = (changed: Partial<PreflightInput> = {}) =>
  preflight(cloudOf(emulator, { projectId: undefined as never }), { ...input, ...changed });
const run = async (changed: Partial<PreflightInput> = {}): Promise<Line[]> => (await see(changed)).lines;

const wrong = (lines: readonly Line[]): string[] =>
  lines.flatMap(({ id, outcome, detail }) => (outcome === "wrong" ? [`${id}: ${detail}`] : []));
const idsOf = (lines: readonly Line[], outcome: Line["outcome"]): string[] =>
  lines.filter((line) => line.outcome === outcome).map(({ id }) => id);

test("a cloud where all is right: every line is ok, but for those that only a bake shows; it only looks", async () => {
  const lines = await run();
  expect(wrong(lines)).toEqual([]);
  expect(idsOf(lines, "not checked")).toEqual([]);
  expect(idsOf(lines, "real run")).toEqual(["capacity", "account", "write-rights", "reach", "image-inside"]);
  expect(idsOf(lines, "ok")).toEqual([
    ...["credentials", "project", "clock", "image", "image-kind", "image-architecture", "image-disk", "image-boot"],
    ...["image-name", "leftovers", "flavor", "zone", "quota-servers", "quota-disks", "quota-images"],
    ...["quota-addresses", "vpc", "subnet", "dhcp", "ssh", "metadata", "user-data"],
  ]);
  expect(emulator.calls.every((call) => call.split(" ")[1] === "GET")).toBe(true);
  // The one that shows whether the credentials are good comes alone.
  expect(emulator.calls[0]).toBe("IAM GET /v3/projects");
  expect(lines.find(({ id }) => id === "project")?.detail).toBe(`cn-north-4: ${ids.project}`);
});

test("with the project's ID IAM is not asked", async () => {
  const lines = await run({ projectId: ids.project });
  expect(wrong(lines)).toEqual([]);
  expect(emulator.calls[0]).toBe("ECS GET /v2.1/{project_id}/os-availability-zone");
  expect(emulator.calls.some((call) => call.startsWith("IAM"))).toBe(false);
});

const image = ({ images: [first] }: World) => {
  if (first === undefined) throw new Error("no image");
  return first;
};

test("a private image of another enterprise project is found", async () => {
  Object.assign(image(emulator.world), { type: "private", elsewhere: true });
  expect(wrong(await run())).toEqual([]);
  expect(emulator.calls.filter((call) => call === "IMS GET /v2/cloudimages")).toHaveLength(3);
});

interface Case {
  readonly change?: (world: World) => void;
  readonly target?: Partial<HuaweiCloudTarget>;
  readonly input?: Partial<PreflightInput>;
  readonly wrong: readonly string[];
}

const cases: Readonly<Record<string, Case>> = {
  "an image that is not there": {
    target: { sourceImage: ids.vpc },
    wrong: [`image: there is no image ${ids.vpc} in cn-north-4 that this project sees`],
  },
  "an image that is not active": {
    change: (world) => (image(world).status = "queued"),
    wrong: ["image: openEuler 22.03 64bit with ARM (openEuler 22.03 64bit) is queued"],
  },
  "an image of bare metal": {
    change: (world) => (image(world).environment = "Ironic"),
    wrong: ["image-kind: Ironic, Linux"],
  },
  "image and flavor of another architecture": {
    target: { architecture: "x86_64" },
    wrong: [
      "image-architecture: the image is aarch64, the profile says x86_64",
      "flavor: kc1.large.4 is aarch64, the profile says x86_64",
    ],
  },
  "a disk below the image's": {
    change: (world) => (image(world).minDisk = 60),
    wrong: ["image-disk: 40 GiB, the image needs 60"],
  },
  "an Arm image that starts by BIOS": {
    change: (world) => (image(world).firmware = "bios"),
    wrong: ["image-boot: bios"],
  },
  "a flavor that is not there": {
    target: { flavor: "kc9.large.4" },
    wrong: ["flavor: cn-north-4 has no flavor kc9.large.4"],
  },
  "a zone where the flavor is sold out": {
    target: { availabilityZone: "cn-north-4a" },
    wrong: ["zone: cn-north-4a does not sell kc1.large.4: cn-north-4a sellout, cn-north-4b normal"],
  },
  "a zone that is closed": {
    target: { availabilityZone: "cn-north-4c" },
    wrong: ["zone: cn-north-4c is no zone that is open in cn-north-4: cn-north-4a sellout, cn-north-4b normal"],
  },
  "a flavor that is sold nowhere": {
    change: (world) => (world.zones = { "cn-north-4a": true }),
    wrong: ["zone: kc1.large.4 is sold in no zone of cn-north-4: cn-north-4a sellout"],
  },
  "quotas that are used up, each by itself": {
    change: ({ quotas }) => {
      quotas.instances = [200, 200];
      quotas.cores = [799, 800];
      quotas.ram = [0, -1];
      quotas.gigabytes = [32_729, 32_768];
      quotas.images = [100, 100];
      quotas.addresses = [20, 20];
    },
    wrong: [
      "quota-servers: servers 200 of 200 in use, 1 more needed; vCPUs 799 of 800 in use, 2 more needed",
      "quota-disks: GiB 32729 of 32768 in use, 40 more needed",
      "quota-images: private images 100 of 100 in use, 1 more needed",
      "quota-addresses: public addresses 20 of 20 in use, 1 more needed",
    ],
  },
  "IDs of another region's network": {
    target: { vpc: ids.subnet, subnet: ids.vpc, securityGroup: ids.vpc },
    wrong: [
      "vpc: VPC GET /v1/{project_id}/vpcs/{vpc_id} is refused: VPC.0101: No Router exist with id (404)",
      "subnet: VPC GET /v1/{project_id}/subnets/{subnet_id} is refused: VPC.0202: Query resource by id fail (404)",
      "security-group: VPC GET /v3/{project_id}/vpc/security-groups/{security_group_id} is refused: VPC.0603: Securitygroup id is invalid (404)",
    ],
  },
  "a subnet without DHCP, in another VPC": {
    change: ({ subnet }) => {
      subnet.dhcp = false;
      subnet.vpcId = ids.securityGroup;
    },
    wrong: [
      `subnet: it is in the VPC ${ids.securityGroup}, not in ${ids.vpc}`,
      "dhcp: off: the server would get no address, and no user-data",
    ],
  },
  "a security group that lets nothing through": {
    change: ({ securityGroup }) => (securityGroup.rules = [rule("ingress", { protocol: "udp" })]),
    wrong: [
      "ssh: the security group lets nobody in by TCP 22",
      "metadata: the security group lets nothing out to 169.254.169.254 by TCP 80: cloud-init would get no user-data",
    ],
  },
  "a server that a bake of this profile left; others' are not": {
    change: ({ servers }) => {
      for (const name of ["bake-2cards-0123456-_9", "old-bake-2cards-0123456789", "bake-2cards-x-0123456789"]) {
        servers.push({
          ...{ id: `id-of-${name}`, name, imageId: ids.sourceImage, flavorId: "kc1.large.4", zone: "cn-north-4b" },
          ...{ status: "ACTIVE", address: "", addressId: undefined, keyName: "packer_1", diskSize: 40, tags: {} },
        });
      }
    },
    wrong: ["leftovers: bake-2cards-0123456-_9 (ACTIVE, id-of-bake-2cards-0123456-_9, key pair packer_1)"],
  },
  "user-data that is too large": {
    input: { userData: [{ name: "user-data/build.yaml", bytes: 32_001 }] },
    wrong: ["user-data: user-data/build.yaml 32001 bytes: the cloud takes 32000"],
  },
  "a project that is not there": {
    input: { projectName: "cn-north-4_ci" },
    wrong: ["project: there is no project cn-north-4_ci"],
  },
};

test.each(Object.entries(cases))("%s", async (_, { change, target: changed, input: given, wrong: expected }) => {
  change?.(emulator.world);
  const lines = await run({ target: { ...target, ...changed }, ...given });
  expect(wrong(lines)).toEqual(expected);
  for (const { outcome, help } of lines) if (outcome === "wrong") expect(help).toMatch(/./);
});

test("without a zone the first that sells the flavor is taken, as usual before on trial; a set one is kept", async () => {
  const unset = { target: { ...target, availabilityZone: undefined as never } };
  const { lines, zone, projectId } = await see(unset);
  expect({ zone, projectId }).toEqual({ zone: "cn-north-4b", projectId: ids.project });
  expect(lines.find(({ id }) => id === "zone")).toMatchObject({
    outcome: "ok",
    detail: "cn-north-4b is taken, of those that sell kc1.large.4: cn-north-4a sellout, cn-north-4b normal",
  });
  const [flavor] = emulator.world.flavors;
  if (flavor === undefined) throw new Error("no flavor");
  flavor.zones = { "cn-north-4a": "promotion", "cn-north-4b": "normal" };
  expect((await see(unset)).zone).toBe("cn-north-4b");
  flavor.zones = { "cn-north-4a": "promotion", "cn-north-4b": "abandon" };
  expect((await see(unset)).zone).toBe("cn-north-4a");
  flavor.zones = { "cn-north-4a": "abandon", "cn-north-4b": "sellout" };
  expect((await see(unset)).zone).toBeUndefined();
  expect((await see()).zone).toBe("cn-north-4b");
});

describe("what cannot be looked at", () => {
  test("credentials that are refused: one call, and nothing else is said to be wrong", async () => {
    const cloud = cloudOf(emulator, {
      projectId: undefined as never,
      credentials: { ...key, secretKey: "WRONG.SECRET.EXAMPLE" },
    });
    const { lines } = await preflight(cloud, input);
    expect(emulator.calls).toHaveLength(1);
    expect(idsOf(lines, "wrong")).toEqual(["credentials"]);
    expect(idsOf(lines, "not checked")).toEqual(["resources"]);
    expect(JSON.stringify(lines)).not.toMatch(/WRONG\.SECRET|ACCESS\.KEY/);
  });

  test("a clock that is off is what is wrong, not the credentials", async () => {
    const cloud = cloudOf({ ...emulator, now: () => start + 1_200_000 }, { projectId: undefined as never });
    const { lines } = await preflight(cloud, input);
    expect(wrong(lines)).toEqual(["clock: 1200 seconds ahead of the cloud's, 900 are allowed"]);
    expect(idsOf(lines, "not checked")).toEqual(["credentials", "resources"]);
    expect(emulator.calls).toHaveLength(1);
  });

  test("a right that is missing: that line is not checked and names the right, the others are", async () => {
    emulator.forbid("EVS GET /v2/{project_id}/os-quota-sets/{project_id}");
    const lines = await run();
    expect(wrong(lines)).toEqual([]);
    expect(idsOf(lines, "not checked")).toEqual(["quota-disks"]);
    expect(lines.find(({ id }) => id === "quota-disks")?.help).toContain("evs:quotas:get");
  });

  test("no right to list projects: HW_PROJECT_ID is the way around", async () => {
    emulator.forbid("IAM GET /v3/projects");
    const lines = await run();
    expect(idsOf(lines, "not checked")).toEqual(["project", "resources"]);
    expect(idsOf(lines, "ok")).toContain("credentials");
    expect(idsOf(await run({ projectId: ids.project }), "not checked")).toEqual([]);
  });

  test("a service that is down: its line alone", async () => {
    emulator.fail("IMS GET /v1/cloudimages/quota", ...Array.from({ length: 5 }, () => ({ status: 503 })));
    const lines = await run();
    expect(idsOf(lines, "not checked")).toEqual(["quota-images"]);
    expect(emulator.calls.filter((call) => call === "IMS GET /v1/cloudimages/quota")).toHaveLength(5);
  });
});

test("a security group is read as the cloud reads it: by priority, what forbids first, by port, protocol and network", () => {
  const way = (...rules: Parameters<typeof rule>[1][]) =>
    wayThrough(
      rules.map((each) => rule("ingress", each)),
      "ingress",
      22,
    ).kind;
  expect(way()).toBe("closed");
  expect(way({})).toBe("open");
  expect(way({ protocol: "tcp", multiport: "20-30" })).toBe("open");
  expect(way({ protocol: "6", multiport: "80,22" })).toBe("open");
  expect(way({ protocol: "tcp", multiport: "23-80" })).toBe("closed");
  expect(way({ protocol: "icmp" })).toBe("closed");
  expect(way({ ethertype: "IPv6" })).toBe("closed");
  expect(way({ remote_ip_prefix: null })).toBe("open");
  expect(way({ remote_ip_prefix: "10.0.0.0/8" })).toBe("some");
  expect(way({ remote_ip_prefix: null, remote_group_id: "g" })).toBe("some");
  expect(way({}, { action: "deny" })).toBe("closed");
  expect(way({}, { action: "deny", priority: 2 })).toBe("open");
  expect(way({ priority: 3, remote_ip_prefix: "10.0.0.0/8" }, { action: "deny", priority: 2 })).toBe("closed");
  expect(way({ priority: 3 }, { action: "deny", priority: 2, remote_ip_prefix: "10.0.0.0/8" })).toBe("open");
});

test("how a flavor is sold: a zone's own state, else the region's, else as usual", () => {
  const specs = { "cond:operation:status": "abandon", "cond:operation:az": "az0(normal), az1(sellout),az2(obt)" };
  expect(["az0", "az1", "az2", "az3"].map((zone) => saleIn({ os_extra_specs: specs }, zone))).toEqual([
    ...["normal", "sellout", "obt", "abandon"],
  ]);
  expect(saleIn({ os_extra_specs: {} }, "az0")).toBe("normal");
});
