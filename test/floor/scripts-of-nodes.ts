/** Everything that a node runs or that systemd reads on it, of profiles that have all concerns between them. */
import { join } from "node:path";
import type { Check } from "../../src/node/check.ts";
import { readTemplates, root } from "../../src/host/root.ts";
import { planFor } from "../../src/commands/plan.ts";
import { readProfile, render, trialPlan } from "../plan-of.ts";

const csms = (): ReturnType<typeof planFor> =>
  planFor({ name: "2cards", profile: { ...readProfile(), secrets: { agentToken: { csms: "agent-token" } } } });

const plans = [
  trialPlan(),
  planFor({ name: "everything", profile: readProfile(join(root, "test/golden/everything/profile.yaml")) }),
  csms(),
];

interface NamedText {
  readonly name: string;
  readonly text: string;
}

const once = (texts: readonly NamedText[]): NamedText[] => [
  ...new Map(texts.map((each) => [each.text, each])).values(),
];

const files = once(
  plans.flatMap((plan) =>
    render(plan).files.map(({ path, content }) => ({ name: `${plan.profile}: ${path}`, text: content })),
  ),
);

/** By their first line. */
export const bashScripts: readonly NamedText[] = files.filter(({ text }) => /^#!\/bin\/(ba)?sh\b/.test(text));
export const pythonScripts: readonly NamedText[] = files.filter(({ text }) => /^#!\S*[ /]python3\b/.test(text));
export const units: readonly NamedText[] = files.filter(({ name }) =>
  /\/etc\/systemd\/system\/.*\.(service|socket|timer)$/.test(name),
);

/** What goss hands to a shell. */
const commandOf = ({ resource: [type, , attributes] }: Check): string =>
  type === "command" ? String(attributes["exec"]) : "";
export const checkCommands: readonly NamedText[] = once(
  plans.flatMap(({ checks }) => checks.map((check) => ({ name: `check ${check.id}`, text: commandOf(check) }))),
).filter(({ text }) => text !== "");

/** Runs on any host, also one that bake did not make. */
export const hostScript: NamedText = {
  name: "templates/check/on-host.sh",
  text: readTemplates(["templates/check/on-host.sh"])["templates/check/on-host.sh"] ?? "",
};

/** All ids of checks. */
export const checkIds: ReadonlySet<string> = new Set(plans.flatMap(({ checks }) => checks.map(({ id }) => id)));
