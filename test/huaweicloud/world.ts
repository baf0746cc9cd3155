/** What there is in the emulated cloud: one account with one project in one region. */
import { makeBucket, type StoredBucket } from "./obs.ts";
import type { KnownKey } from "./signature.ts";

export interface Image {
  id: string;
  name: string;
  status: "queued" | "saving" | "active" | "killed" | "deleted";
  type: "gold" | "private" | "shared";
  architecture: "x86" | "arm";
  minDisk: number;
  firmware: "bios" | "uefi";
  environment: "FusionCompute" | "Ironic" | "DataImage";
  platform: string;
  osVersion: string;
  description: string;
  tags: Record<string, string>;
  /** Bytes. */
  size?: number;
  createdAt?: string;
  /** Projects that it is shared with. */
  members?: Record<string, "pending" | "accepted" | "rejected">;
  /** Absent until it is added. */
  shutdownTimeout?: string;
  /** The key that it is encrypted by. */
  encryptedBy?: string;
  /** Not the default enterprise project's: seen only by who asks for all. */
  elsewhere?: true;
}

interface Flavor {
  id: string;
  vcpus: number;
  /** MiB */
  ram: number;
  architecture: "x86_64" | "arm64";
  status: "normal" | "abandon" | "sellout" | "obt" | "promotion";
  /** Where it differs from `status`. */
  zones: Record<string, string>;
}

export interface Rule {
  direction: "ingress" | "egress";
  ethertype: "IPv4" | "IPv6";
  protocol: string | null;
  multiport: string | null;
  action: "allow" | "deny";
  priority: number;
  remote_ip_prefix: string | null;
  remote_group_id: string | null;
  remote_address_group_id: string | null;
}

export interface Server {
  id: string;
  name: string;
  imageId: string;
  flavorId: string;
  zone: string;
  status: "BUILD" | "ACTIVE" | "SHUTOFF" | "REBUILD" | "ERROR";
  address: string;
  addressId: string | undefined;
  keyName: string | undefined;
  diskSize: number;
  tags: Record<string, string>;
  created?: string;
  /** When the cloud ends it by itself. */
  endsAt?: string;
  /** Where it is not the name. */
  hostname?: string;
  /** What is being done to it. */
  task?: string;
  /** By use where it is absent; `1` in advance, `2` spot. */
  charging?: "0" | "1" | "2";
  /** Base64, as it was sent last. */
  userData?: string;
  /** User-data that its system was started with: what its agents know. */
  bootedWith?: string;
}

export interface LiteServer {
  id: string;
  name: string;
  imageId: string;
  status: "RUNNING" | "STOPPING" | "STOPPED" | "STARTING" | "CHANGING_OS" | "CHANGE_OS_FAILED";
}

export interface ScalingMember {
  serverId: string;
  state: "PENDING" | "INSERVICE" | "REMOVING";
  health: "NORMAL" | "ERROR" | "INITIALIZING";
  isProtected: boolean;
  configurationId: string;
}

export interface ScalingGroup {
  id: string;
  name: string;
  status: "INSERVICE" | "PAUSED";
  configurationId: string;
  min: number;
  max: number;
  desired: number;
  members: ScalingMember[];
  /** An activity is running until then, by the emulator's clock. */
  busyUntil: number;
}

export interface Job {
  id: string;
  service: "ecs" | "ims" | "bms" | "evs";
  type: string;
  /** By the emulator's clock. */
  readyAt: number;
  entities: Record<string, unknown>;
  failure: { code: string; reason: string } | undefined;
  /** Done once, when the clock has come to it. */
  finish: (() => void) | undefined;
}

export interface World {
  keys: KnownKey[];
  region: string;
  project: { id: string; name: string };
  zones: Record<string, boolean>;
  images: Image[];
  flavors: Flavor[];
  servers: Server[];
  keyPairs: string[];
  addresses: { id: string; address: string; bandwidthName: string }[];
  volumes: { id: string; name: string; serverId: string | undefined }[];
  scalingConfigurations: { id: string; name: string; imageId: string; rest?: Record<string, unknown> }[];
  bareMetal: Server[];
  liteServers: LiteServer[];
  /** Of the account, by name. */
  buckets: Map<string, StoredBucket>;
  /** Names of systems that an image from a file may have. */
  systems: string[];
  scalingGroups: ScalingGroup[];
  /** What changes how many members a group wants, by itself. */
  scalingPolicies: { id: string; name: string; groupId: string; isOn: boolean; change: number }[];
  jobs: Job[];
  /** What a system does once it runs: a test lets its agents connect. Of servers made, and of those given another system. */
  onBooted?: (server: Server) => void;
  vpc: { id: string; status: "OK" | "CREATING" };
  subnet: {
    id: string;
    vpcId: string;
    dhcp: boolean;
    status: "ACTIVE" | "ERROR" | "UNKNOWN";
    zone: string;
    cidr: string;
  };
  securityGroup: { id: string; rules: Rule[] };
  quotas: {
    instances: [used: number, most: number];
    cores: [used: number, most: number];
    ram: [used: number, most: number];
    keyPairs: number;
    images: [used: number, most: number];
    volumes: [used: number, most: number];
    gigabytes: [used: number, most: number];
    addresses: [used: number, most: number];
  };
  /** Milliseconds that each kind of job takes. */
  takes: {
    create: number;
    stop: number;
    image: number;
    delete: number;
    share: number;
    copy: number;
    /** Of an image from a file. */
    import: number;
    /** From the stop to the start of the new system. */
    changeOs: number;
    boot: number;
    /** Until members that come are in service, and those that leave are gone. */
    scale: number;
    /** Until AS has noticed that a member is stopped. */
    health: number;
  };
}

export const ids = {
  project: "0123456789abcdef0123456789abcdef",
  sourceImage: "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0",
  vpc: "11111111-2222-4333-8444-555555555555",
  subnet: "66666666-7777-4888-9999-aaaaaaaaaaaa",
  securityGroup: "bbbbbbbb-cccc-4ddd-8eee-ffffffffffff",
} as const;

/** In no shape that a search for credentials knows, so that what hides them does so by their value. */
export const key = { accessKey: "ACCESS.KEY.EXAMPLE", secretKey: "SECRET.KEY.EXAMPLE" };

export const rule = (direction: Rule["direction"], rest: Partial<Rule> = {}): Rule => ({
  direction,
  ethertype: "IPv4",
  protocol: null,
  multiport: null,
  action: "allow",
  priority: 1,
  remote_ip_prefix: "0.0.0.0/0",
  remote_group_id: null,
  remote_address_group_id: null,
  ...rest,
});

/** An image as a bake of a profile makes it. */
export const bakedImage = (id: string, bakeId: string, rest: Partial<Image> = {}): Image => ({
  id,
  name: "bake-2cards",
  status: "active",
  type: "private",
  architecture: "arm",
  minDisk: 40,
  firmware: "uefi",
  environment: "FusionCompute",
  platform: "openEuler",
  osVersion: "openEuler 22.03 64bit",
  description: "",
  size: 3_221_225_472,
  createdAt: "2026-11-20T12:00:00Z",
  ...rest,
  tags: { "bake-id": bakeId.padEnd(43, "x"), "bake-lock": "lock", "bake-profile": "2cards", ...rest.tags },
});

/** A server of a fleet, `npu-0001`, that runs. */
export const fleetServer = (number: number, rest: Partial<Server> = {}): Server => ({
  id: `cccccccc-0000-4000-8000-${String(number).padStart(12, "0")}`,
  name: `npu-${String(number).padStart(4, "0")}`,
  imageId: ids.sourceImage,
  flavorId: "kc1.large.4",
  zone: "cn-north-4b",
  status: "ACTIVE",
  address: `192.168.${1 + (number >> 8)}.${number & 255}`,
  addressId: undefined,
  keyName: undefined,
  diskSize: 40,
  tags: {},
  ...rest,
});

/** A cloud in which the profile of test/golden/cloud can be baked. */
export const makeWorld = (): World => ({
  keys: [key],
  region: "cn-north-4",
  project: { id: ids.project, name: "cn-north-4" },
  zones: { "cn-north-4a": true, "cn-north-4b": true, "cn-north-4c": false },
  images: [
    {
      id: ids.sourceImage,
      name: "openEuler 22.03 64bit with ARM",
      status: "active",
      type: "gold",
      architecture: "arm",
      minDisk: 40,
      firmware: "uefi",
      environment: "FusionCompute",
      platform: "openEuler",
      osVersion: "openEuler 22.03 64bit",
      description: "",
      tags: {},
    },
  ],
  flavors: [
    {
      id: "kc1.large.4",
      vcpus: 2,
      ram: 8192,
      architecture: "arm64",
      status: "abandon",
      zones: { "cn-north-4a": "sellout", "cn-north-4b": "normal" },
    },
    { id: "s6.large.2", vcpus: 2, ram: 4096, architecture: "x86_64", status: "normal", zones: {} },
  ],
  servers: [],
  keyPairs: [],
  addresses: [],
  volumes: [],
  scalingConfigurations: [],
  bareMetal: [],
  liteServers: [],
  buckets: new Map([
    ["ci-images", makeBucket()],
    ["far-away", makeBucket("cn-south-1")],
  ]),
  systems: ["CentOS 7.9 64bit", "EulerOS 2.8 64bit", "openEuler 20.03 64bit", "openEuler 22.03 64bit"],
  scalingGroups: [],
  scalingPolicies: [],
  jobs: [],
  vpc: { id: ids.vpc, status: "OK" },
  subnet: { id: ids.subnet, vpcId: ids.vpc, dhcp: true, status: "ACTIVE", zone: "", cidr: "192.168.0.0/24" },
  securityGroup: {
    id: ids.securityGroup,
    rules: [rule("ingress", { protocol: "tcp", multiport: "22" }), rule("egress")],
  },
  quotas: {
    instances: [3, 200],
    cores: [12, 800],
    ram: [24_576, 1_638_400],
    keyPairs: 100,
    images: [4, 100],
    volumes: [3, 400],
    gigabytes: [120, 32_768],
    addresses: [1, 20],
  },
  takes: {
    create: 8000,
    stop: 4000,
    image: 55_000,
    delete: 8000,
    share: 6000,
    copy: 90_000,
    import: 120_000,
    changeOs: 120_000,
    boot: 60_000,
    scale: 90_000,
    health: 60_000,
  },
});

/** A group with these servers, all in service, of the configuration `c1`. */
export const scalingGroup = (servers: readonly Server[], rest: Partial<ScalingGroup> = {}): ScalingGroup => ({
  id: "g1",
  name: "builders",
  status: "INSERVICE",
  configurationId: "c1",
  min: servers.length,
  max: servers.length,
  desired: servers.length,
  members: servers.map(({ id }) => ({
    serverId: id,
    state: "INSERVICE",
    health: "NORMAL",
    isProtected: false,
    configurationId: "c1",
  })),
  busyUntil: 0,
  ...rest,
});
