/**
 * What Packer's plugin for Huawei Cloud says while it builds: it tells IDs on lines of their own, and nothing else does. Pure.
 * (packer-plugin-huaweicloud 1.2.2, builder/ecs)
 */
import { largeDisk } from "../targets/huaweicloud.ts";

/** What the build is at. `server`: nothing that costs money is known to be there yet. */
export type Stage = "server" | "reach" | "provision" | "stop" | "image" | "clean-up";

/** What a build has made so far, as far as it was said. */
export interface Made {
  readonly stage: Stage;
  readonly keyPair?: string;
  /** ID of the public address. */
  readonly address?: string;
  readonly zone?: string;
  /** Of the job that makes the server: told only when it fails. */
  readonly serverJob?: string;
  readonly serverId?: string;
  readonly imageId?: string;
}

export const nothingMade: Made = { stage: "server" };

const uuid = "[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}";

const readers: readonly (readonly [line: RegExp, take: (found: string) => Partial<Made>])[] = [
  // Told before it is made: an answer may be lost.
  [/^Creating temporary keypair: (\S+?)\.{3}$/, (keyPair) => ({ keyPair })],
  [/^Created temporary keypair: (\S+)$/, (keyPair) => ({ keyPair })],
  [/^Created EIP: '([^']+)'/, (address) => ({ address })],
  [/^Launching server in AZ (\S+?)\.{3}$/, (zone) => ({ zone })],
  [/^Error waiting for server \(([^)\s]+)\) to become ready/, (serverJob) => ({ serverJob })],
  [/^Server ID: (\S+)$/, (serverId) => ({ serverId, stage: "reach" })],
  [/^(Connected to SSH)/, () => ({ stage: "provision" })],
  [/^(Stopping server)/, () => ({ stage: "stop" })],
  [/^(Creating (?:the )?(?:\S+ )?image)/, () => ({ stage: "image" })],
  [new RegExp(`^Image: (${uuid})$`), (imageId) => ({ imageId, stage: "clean-up" })],
  [/^(Terminating the source server)/, () => ({ stage: "clean-up" })],
];

/** @param line Without the builder's name before it. */
export const readLine = (made: Made, line: string): Made => {
  for (const [pattern, take] of readers) {
    const found = pattern.exec(line.trim())?.[1];
    if (found !== undefined) return { ...made, ...take(found) };
  }
  return made;
};

/** Names of a build's phases where they differ from those in a local VM. */
export const cloudPhases: Readonly<Record<string, string>> = {
  "start-vm": "make the server and reach it",
  "make-image": "make the image",
  "clean-up": "remove the server",
};

/** The phase that begins with a line of the plugin. */
export const phaseAt = (line: string): string | undefined =>
  /^Creating (?:the )?(?:\S+ )?image/.test(line)
    ? "make-image"
    : line.startsWith("Terminating the source server")
      ? "clean-up"
      : undefined;

/** Seconds that the plugin waits in each build though there is nothing to wait for: job, stop, image, and a server that is gone. */
const idleSeconds = { job: 10, stop: 5, image: 60, gone: 210 } as const;

const allIdle = Object.values(idleSeconds).reduce((sum, seconds) => sum + seconds, 0);

/** MB/s at which a disk of each type is overwritten, for estimates: what the cloud promises at most for small ones. */
const writes: Readonly<Record<string, number>> = { SAS: 100, GPSSD: 130, SSD: 170, ESSD: 200 };

/** What a bake takes besides its work, for a person who waits. */
export const estimate = ({
  diskSize,
  diskType,
}: {
  /** GiB */
  readonly diskSize: number;
  readonly diskType: string;
}): string[] => [
  `the plugin waits ${allIdle} s for nothing, ${idleSeconds.gone} s of them after the server is gone`,
  ...(diskSize < largeDisk
    ? []
    : [
        `hygiene overwrites the free space of ${diskSize} GiB: on ext4 what was ever used of it, elsewhere all of it, about ${Math.ceil((diskSize * 1074) / (writes[diskType] ?? 100) / 60)} minutes; it says how much; targets.huaweicloud.diskSize makes it shorter, a node's disk may be larger than its image's`,
      ]),
];

const removal = "removes the server with its address and its key pair: about 4 minutes, most of them waiting";

/** What an interrupted bake still waits for, and how long. @param imageTimeout Minutes. */
export const waitsFor = ({ stage }: Made, imageTimeout: number): string => {
  switch (stage) {
    case "server":
      return `Packer's plugin ends what it has begun (a server takes up to 10 minutes), then ${removal}`;
    case "image":
      return `the cloud makes the image, and Packer's plugin cannot be stopped before it is there: up to ${imageTimeout} minutes. Its ID is kept in image.json. Then Packer ${removal}`;
    case "reach":
    case "provision":
    case "stop":
    case "clean-up":
      return `Packer ${removal}`;
    default:
      return stage;
  }
};
