/** What a bake in Huawei Cloud says when it failed or was stopped: the cloud's own reason, and what is left there with its ID. */
import * as z from "zod";
import { BakeError } from "../errors.ts";
import type { Host } from "../host/host.ts";
import { type Cloud, CloudError } from "../huaweicloud/client.ts";
import { describeJob, readJob, serversOf } from "../huaweicloud/job.ts";
import { findLeftovers, formatLeftovers, type Leftovers } from "../huaweicloud/leftovers.ts";
import { bakeCloud } from "./cloud-client.ts";
import type { Made } from "./cloud-lines.ts";

/** Milliseconds that looking may take after a bake that has failed already. */
const longestLook = 60_000;

/** What Packer's plugin prints in the place of a reason that it does not have. */
const noReason = /,? ?(?:last error: )?%!s\(<nil>\)/g;

export interface EndInput {
  readonly region: string;
  readonly projectId: string | undefined;
  readonly profile: string;
  readonly serverName: string;
  /** Servers of that name that were there before the bake began: not its own. */
  readonly before: readonly string[];
  readonly made: Made;
}

/** A client that an interrupt does not stop: it looks after one. */
const lateCloud = (host: Host, { region, projectId }: EndInput): Cloud =>
  bakeCloud({ ...host, signal: AbortSignal.timeout(longestLook) }, region, projectId);

const words = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** What became of the job that was to make the server. */
const jobLines = async (cloud: Cloud, id: string): Promise<{ lines: string[]; servers: string[] }> => {
  try {
    const job = await readJob(cloud, "ecs", id);
    return { lines: describeJob(id, job), servers: serversOf(job) };
  } catch (error) {
    return { lines: [`the cloud's job ${id} could not be read: ${words(error)}`], servers: [] };
  }
};

/**
 * Without what is another bake's of the same inputs, whose server has the same name: one that was there before, or any that is
 * not this bake's where that is known.
 */
const withoutOthers = (
  { found, notLookedAt }: Leftovers,
  { before, mine }: { readonly before: readonly string[]; readonly mine: readonly string[] },
): Leftovers => {
  const others = found
    .filter(({ kind, id }) => kind === "server" && (before.includes(id) || (mine.length > 0 && !mine.includes(id))))
    .map(({ id }) => id);
  return {
    found: found.filter(({ id, serverId }) => !others.includes(id) && !others.includes(serverId ?? "")),
    notLookedAt,
  };
};

/** What this bake has left, for a person. @returns nothing when nothing is left. */
const leftoverLines = async (
  cloud: Cloud,
  { serverName, before, made, profile }: EndInput,
  servers: readonly string[],
): Promise<string[]> => {
  let left: Leftovers;
  try {
    left = withoutOthers(
      await findLeftovers(cloud, {
        serverName,
        ...(made.keyPair !== undefined && { keyPairs: [made.keyPair] }),
        ...(made.address !== undefined && { addressIds: [made.address] }),
      }),
      { before, mine: [...(made.serverId === undefined ? [] : [made.serverId]), ...servers] },
    );
  } catch (error) {
    const known = [made.serverId, ...servers, made.address, made.keyPair].filter((id) => id !== undefined);
    return [
      `what is left in the cloud could not be looked for: ${words(error)}`,
      known.length === 0
        ? `Look for a server ${serverName} in the console.`
        : `Look in the console for: ${[...new Set(known)].join(", ")}.`,
    ];
  }
  if (left.found.length === 0 && left.notLookedAt.length === 0) return [];
  const [ours, perhaps] = [true, false].map((own) => left.found.some((each) => each.ours === own));
  return [
    ours === true ? "left in the cloud:" : "nothing is known to be left in the cloud:",
    formatLeftovers(left),
    ...(perhaps === true ? ["With ? it may be another build's: see who runs Packer in this project."] : []),
    ...(ours === true
      ? [
          `It costs money until it is removed: bake catalog leftovers --profile ${profile} shows it again, and with --yes removes it once it is some hours old.`,
          "Unless another bake of the profile runs, --older-than 0 removes it at once.",
        ]
      : []),
  ];
};

/** Looks at what the bake has left. It never throws. @returns lines for people. */
export const afterFailure = async (host: Host, input: EndInput): Promise<string[]> => {
  try {
    const cloud = lateCloud(host, input);
    const { serverJob } = input.made;
    const job = serverJob === undefined ? { lines: [], servers: [] } : await jobLines(cloud, serverJob);
    const left = await leftoverLines(cloud, input, job.servers);
    return [...job.lines, ...(left.length === 0 ? ["nothing is left in the cloud"] : left)];
  } catch (error) {
    return [`what is left in the cloud could not be looked for: ${words(error)}`];
  }
};

/** After a bake that went well: the plugin ends well too when the cloud did not let it remove what it made. It never throws. */
export const afterSuccess = async (host: Host, input: EndInput): Promise<string[]> => {
  try {
    return await leftoverLines(lateCloud(host, input), input, []);
  } catch {
    // The image is there; the next preflight looks again.
    return [];
  }
};

/** How the plugin prints the cloud's refusal of a call. */
const notAllowed = /"status_code": ?403\b/;

/** The failure with what was found out after it. Pure. */
export const failureWith = (error: unknown, lines: readonly string[]): unknown => {
  if (!(error instanceof BakeError)) return error;
  const clean = (text: string): string => text.replace(noReason, "");
  return new BakeError(
    error.code,
    clean(error.message),
    [
      ...(error.help === undefined ? [] : [clean(error.help)]),
      ...(notAllowed.test(error.help ?? "")
        ? ["403: a quota, where the cloud says so, else the user lacks a right: docs/huaweicloud-policy.md lists them."]
        : []),
      ...lines,
    ].join("\n"),
    { cause: error },
  );
};

const Anything = z.unknown();

/** Milliseconds that a server lives on after the last sign of life when nobody ends it. Pure. @param imageTimeout Minutes. */
export const serverLife = (imageTimeout: number): number => 6 * 3_600_000 + imageTimeout * 60_000;

/** Milliseconds between two of these. */
const betweenRenewals = 20 * 60_000;

/**
 * A dead man's switch: each call says anew when the server ends by itself, so that one that a killed bake leaves does not run
 * for ever.
 * @param imageTimeout Minutes.
 * @param note Told once, when the cloud does not take it.
 */
export const deadMansSwitch = (
  cloud: Cloud,
  { now }: Pick<Host, "now">,
  imageTimeout: number,
  note: (line: string) => void,
): ((serverId: string) => Promise<void>) => {
  let last: number | undefined;
  let told = false;
  return async (serverId) => {
    if (last !== undefined && now() - last < betweenRenewals) return;
    last = now();
    // Whole minutes: the service takes no seconds.
    const end = `${new Date(now() + serverLife(imageTimeout)).toISOString().slice(0, 16)}:00Z`;
    try {
      await cloud.call("endServerLater", {
        parameters: { server_id: serverId },
        body: { auto_terminate_time: end },
        answer: Anything,
      });
      if (!told) note(`      should this bake be killed, the server ends by itself at ${end}`);
      told = true;
    } catch (error) {
      if (!(error instanceof CloudError)) return;
      if (!told) note(`      the server ends by nothing but this bake: ${error.message}`);
      told = true;
    }
  };
};
