/** One AS group: what it is, and what a rollout changes of it. */
import * as z from "zod";
import { BakeError } from "../errors.ts";
import type { Host } from "../host/host.ts";
import { type Cloud, CloudError } from "./client.ts";
import { scalingPages } from "./scaling.ts";

const OrNothing = z.string().nullish();

const Group = z.object({
  scaling_group: z.object({
    scaling_group_id: z.string(),
    scaling_group_name: OrNothing,
    scaling_group_status: OrNothing,
    scaling_configuration_id: z.string(),
    min_instance_number: z.number(),
    max_instance_number: z.number(),
    desire_instance_number: z.number(),
    is_scaling: z.boolean().nullish(),
  }),
});
export type ListedGroup = z.infer<typeof Group>["scaling_group"];

const Configuration = z.object({
  scaling_configuration: z.object({ instance_config: z.record(z.string(), z.unknown()) }),
});
const Configurations = z.object({
  scaling_configurations: z.array(
    z.object({ scaling_configuration_id: z.string(), scaling_configuration_name: OrNothing }),
  ),
});
const Made = z.object({ scaling_configuration_id: z.string() });
const Policies = z.object({
  scaling_policies: z.array(
    z.object({ scaling_policy_id: z.string(), scaling_policy_name: OrNothing, policy_status: OrNothing }),
  ),
});
export type ListedPolicy = z.infer<typeof Policies>["scaling_policies"][number];

type Waiting = Pick<Host, "now" | "sleep" | "signal">;

/** The group has an activity of its own, or is locked: it takes no change now (facts: Huawei Cloud, AS). */
const busyCodes = ["AS.2033", "AS.0003"];

/** Whether a call failed because a member is not there any more. Pure. */
export const isGone = (error: unknown): boolean => error instanceof CloudError && error.reason.code === "AS.2007";

/** Milliseconds between two tries, and until a busy group counts as stuck. */
const [pause, longest] = [10_000, 20 * 60_000];

/** Milliseconds: that a member runs no job was seen before its removal, and has to be looked at anew. */
const longestOfRemoval = 60_000;

/** @throws BakeError BK457 when it is busy for `most` milliseconds. */
const whenFree = async <T>(host: Waiting, group: string, work: () => Promise<T>, most = longest): Promise<T> => {
  for (const until = host.now() + most; ; ) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof CloudError) || !busyCodes.includes(error.reason.code ?? "")) throw error;
      if (host.now() + pause > until) {
        throw new BakeError(
          "BK457",
          `the AS group ${group} has been busy for ${most / 60_000} min: ${error.message}`,
          "Look into its scaling actions in the console; a policy may fire again and again.",
        );
      }
    }
    await host.sleep(pause, host.signal);
  }
};

/** @throws CloudError */
export const showGroup = async (cloud: Cloud, id: string): Promise<ListedGroup> => {
  const parameters = { scaling_group_id: id };
  return (await cloud.call("showScalingGroup", { parameters, answer: Group })).scaling_group;
};

/** @throws CloudError; BakeError BK457 */
export const updateGroup = async (
  cloud: Cloud,
  host: Waiting,
  id: string,
  change: Readonly<Record<string, string | number>>,
): Promise<void> => {
  await whenFree(host, id, () =>
    cloud.call("updateScalingGroup", { parameters: { scaling_group_id: id }, body: change, answer: z.unknown() }),
  );
};

/** Members that AS changes at once. */
export const mostAtOnce = 10;

/**
 * Acts on members, ten at a time.
 * @throws CloudError; BakeError BK457
 */
export const actOnMembers = async (
  cloud: Cloud,
  host: Waiting,
  id: string,
  { action, members }: { readonly action: "PROTECT" | "UNPROTECT" | "REMOVE"; readonly members: readonly string[] },
): Promise<void> => {
  for (let at = 0; at < members.length; at += mostAtOnce) {
    const body = {
      instances_id: members.slice(at, at + mostAtOnce),
      action,
      ...(action === "REMOVE" && { instance_delete: "yes" }),
    };
    await whenFree(
      host,
      id,
      () => cloud.call("actOnScalingMembers", { parameters: { scaling_group_id: id }, body, answer: z.unknown() }),
      action === "REMOVE" ? longestOfRemoval : longest,
    );
  }
};

/** What a configuration shows of itself, and no new one is given: what the cloud made of it, and a password's place. */
const notGiven = ["instance_id", "key_fingerprint", "adminPass", "user_data", "imageRef"];

/** What members of another system are made from: as before, but for the image and the user-data. Pure. */
const withSystem = (
  before: Readonly<Record<string, unknown>>,
  { image, userData }: { readonly image: string; readonly userData: string | undefined },
): object => ({
  ...Object.fromEntries(
    Object.entries(before).filter(([name, value]) => !notGiven.includes(name) && value !== null && value !== undefined),
  ),
  imageRef: image,
  ...((userData ?? before["user_data"]) ? { user_data: userData ?? before["user_data"] } : {}),
});

/** What members are made from. `imageRef` is empty for one that was made after a server. @throws CloudError */
export const showConfiguration = async (
  cloud: Cloud,
  id: string,
): Promise<Readonly<Record<string, unknown>> & { readonly imageRef: string }> => {
  const parameters = { scaling_configuration_id: id };
  const { scaling_configuration: found } = await cloud.call("showScalingConfiguration", {
    parameters,
    answer: Configuration,
  });
  const { imageRef } = found.instance_config;
  return { ...found.instance_config, imageRef: typeof imageRef === "string" ? imageRef : "" };
};

/**
 * Makes a configuration as another one, with another system; or finds the one of this name.
 * @param system `userData` in base64; undefined to leave it as it is.
 * @throws CloudError
 */
export const configureLike = async (
  cloud: Cloud,
  like: string,
  { name, ...system }: { readonly name: string; readonly image: string; readonly userData: string | undefined },
): Promise<string> => {
  const { scaling_configurations: found } = await cloud.call("listScalingConfigurations", {
    query: { scaling_configuration_name: name, limit: 100 },
    answer: Configurations,
  });
  // The name that is asked for may stand anywhere in another's.
  const there = found.find((each) => each.scaling_configuration_name === name);
  if (there !== undefined) {
    const { imageRef } = await showConfiguration(cloud, there.scaling_configuration_id);
    if (imageRef === system.image) return there.scaling_configuration_id;
    throw new BakeError(
      "BK713",
      `the AS configuration ${name} is there already, with the image ${imageRef}`,
      "Take another ID for the rollout, or remove that configuration.",
    );
  }
  const before = await showConfiguration(cloud, like);
  const made = await cloud.call("createScalingConfiguration", {
    body: { scaling_configuration_name: name, instance_config: withSystem(before, system) },
    answer: Made,
  });
  return made.scaling_configuration_id;
};

/** @throws CloudError */
export const listPolicies = (cloud: Cloud, id: string): Promise<ListedPolicy[]> =>
  scalingPages(async (query) => {
    const parameters = { scaling_group_id: id };
    return (await cloud.call("listScalingPolicies", { parameters, query, answer: Policies })).scaling_policies;
  });

/** Policies that AS switches at once. */
const mostPolicies = 20;

/** @throws CloudError; BakeError BK457 */
export const switchPolicies = async (
  cloud: Cloud,
  host: Waiting,
  group: string,
  { policies, on }: { readonly policies: readonly string[]; readonly on: boolean },
): Promise<void> => {
  for (let at = 0; at < policies.length; at += mostPolicies) {
    const body = { scaling_policy_id: policies.slice(at, at + mostPolicies), action: on ? "resume" : "pause" };
    await whenFree(host, group, () => cloud.call("actOnScalingPolicies", { body, answer: z.unknown() }));
  }
};
