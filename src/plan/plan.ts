/** Profile (and lock, when there is one) → NodePlan: the merge of what concerns contribute. Everything else renders or checks it. */
import { compareArtifacts, type Locked } from "../artifact.ts";
import type { Concern, Consequence, Contribution, Package, Page } from "../node/concern.ts";
import { factsOf } from "../node/facts.ts";
import { concerns } from "../node/index.ts";
import type { TargetPlan } from "../node/target.ts";
import type { Profile } from "../profile/schema.ts";
import { planDestinations } from "./destinations.ts";
import { withLockedVersions } from "./locked-versions.ts";
import type { NodePlan } from "./node-plan.ts";
import { inOrder } from "./order.ts";

export interface PlanInput {
  /** Name of the profile: `2cards`. */
  readonly name: string;
  readonly profile: Profile;
  /** Where the image is baked, and what that place adds to a node. */
  readonly target: { readonly plan: TargetPlan; readonly concern: Concern };
  /** Of the target's architecture. */
  readonly locked?: Locked;
  readonly trial?: boolean;
}

/** So that nobody edits a rendered file, or takes a trial for the real thing. */
const headerOf = (profile: string, trial: boolean): string =>
  `Made by bake from profile ${profile}; edit that.${trial ? " TRIAL: stand-in sources, not for production." : ""}`;

type Lists = Omit<Contribution, "page">;

/** What all of them contribute of one kind, in the order of the concerns. */
const collected = <K extends keyof Lists>(
  contributions: readonly Contribution[],
  kind: K,
): NonNullable<Lists[K]>[number][] => contributions.flatMap((each) => [...((each[kind] as never[] | undefined) ?? [])]);

const pageOf = (contributions: readonly Contribution[]): Required<Page> => {
  const parts = <K extends keyof Page>(kind: K): NonNullable<Page[K]>[number][] =>
    inOrder(contributions.flatMap(({ page }) => [...((page?.[kind] as never[] | undefined) ?? [])]));
  return {
    summary: parts("summary"),
    chain: parts("chain"),
    boot: parts("boot"),
    sections: parts("sections"),
    paths: parts("paths"),
  };
};

/** What the concerns are given: the profile with the exact versions of the lock, and what is shared. */
const inputOf = (all: readonly Concern[], { name, profile: asked, target, locked, trial = false }: PlanInput) => {
  const { architecture } = target.plan;
  const requirements = all.flatMap((concern) => concern.requirements?.(asked, architecture) ?? []);
  const profile = locked === undefined ? asked : withLockedVersions(asked, requirements, locked.artifacts);
  return {
    name,
    profile,
    facts: factsOf(profile, locked),
    target: target.plan,
    trial,
    header: headerOf(name, trial),
    ...(locked !== undefined && { locked }),
  };
};

/** By the names of EulerOS and openEuler. */
const packageConsequence = (packages: readonly Package[], action: Package["action"], what: string): Consequence => {
  const named = packages.flatMap((each) => (each.action === action && each.dnf !== undefined ? [each] : []));
  return {
    what,
    value: named.map(({ dnf }) => dnf).join(" "),
    because: [...new Set(named.flatMap(({ because = [] }) => because))],
  };
};

/** What each concern, and then the target, is given and contributes. Pure. @throws RangeError as `planNode`. */
export const contributionsOf = (asked: PlanInput) => {
  const all = [...concerns, asked.target.concern];
  const input = inputOf(all, asked);
  return { input, contributed: all.map((concern) => ({ concern, contribution: concern.contribute(input) })) };
};

/**
 * Pure.
 * @throws RangeError when the lock does not name what the profile asks for, or for a value that its format cannot hold.
 */
export const planNode = (asked: PlanInput): NodePlan => {
  const { name, target, locked, trial = false } = asked;
  const { input, contributed } = contributionsOf(asked);
  const { facts, header } = input;
  const contributions = contributed.map(({ contribution }) => contribution);
  const destinations = planDestinations(collected(contributions, "destinations"), facts.httpProxy);
  const packages = inOrder(collected(contributions, "packages"));
  return {
    profile: name,
    trial,
    header,
    target: target.plan,
    facts,
    files: inOrder(collected(contributions, "files")),
    provision: collected(contributions, "provision"),
    directories: inOrder(collected(contributions, "directories")),
    units: inOrder(collected(contributions, "units")),
    scripts: inOrder(collected(contributions, "scripts")),
    packages,
    kernelSettings: collected(contributions, "kernelSettings"),
    checks: contributed.flatMap(({ concern, contribution }) => [
      ...(contribution.checks ?? []),
      ...(concern.checkDestinations?.(destinations) ?? []),
    ]),
    destinations,
    installs: collected(contributions, "installs").toSorted((a, b) => compareArtifacts(a.artifact, b.artifact)),
    userData: inOrder(collected(contributions, "userData")),
    loginKeys: collected(contributions, "loginKeys"),
    explain: [
      ...inOrder(collected(contributions, "explain")),
      packageConsequence(packages, "install", "packages installed"),
      packageConsequence(packages, "remove", "packages removed"),
    ],
    page: pageOf(contributions),
    needsLock: inOrder(collected(contributions, "needsLock")),
    ...(locked !== undefined && {
      ...(locked.base !== undefined && { base: locked.base }),
      artifacts: locked.artifacts.toSorted(compareArtifacts),
      lockDigest: locked.digest,
    }),
  };
};
