/** From nodes, agents and images to the waves of a rollout, or to why there is none. Nothing was changed until then. Pure. */
import { BakeError, listed } from "../errors.ts";
import { hostLabel } from "../huaweicloud/nodes.ts";
import type { Rollout } from "../profile/schema.ts";
import type { Begun, FrozenImage, PlannedNode, RolloutSettings } from "./journal-events.ts";
import { agentsOf, isRight, isUsable, type Look } from "./look.ts";
import { groupRefusals, planGroup, type WantedGroup } from "./plan-group.ts";
import type { SeenNode } from "./ports.ts";
import type { KnownImage } from "./run.ts";

/** Of `BUILDKITE_AGENT_ID`, `BUILDKITE_AGENT_NAME` and the host's name: where this process runs. */
export interface Self {
  readonly agentId: string | undefined;
  readonly agentName: string | undefined;
  readonly hostname: string;
}

/** One node, and the image that it is to have. */
export interface WantedNode {
  readonly seen: SeenNode;
  readonly to: string;
  /** Agents that it has to have; undefined for as many as it has, or `spawn`. */
  readonly agents?: number;
}

export interface Bystander {
  readonly id: string;
  readonly name: string;
  readonly hostname: string;
  readonly agents: number;
  readonly to: string;
}

export interface PlanRequest {
  readonly rollout: string;
  readonly profile: string;
  /** The rollout whose way back this is. */
  readonly back?: string;
  readonly queue: string;
  readonly settings: Rollout;
  /** Seconds that a stop of the agents may take. */
  readonly stopTimeout: number;
  /** Nodes of each wave, where the command line says it. */
  readonly wave?: Rollout["wave"];
  readonly maxFailed?: number;
  readonly killJobs?: boolean;
  /** Of a rollout whose way back this is: its nodes that take jobs. */
  readonly minHealthy?: number;
  readonly nodes: readonly WantedNode[];
  /** The AS group whose members the nodes are. */
  readonly group?: WantedGroup;
  /** Nodes of the fleet that are not touched, and count as those that take jobs. */
  readonly bystanders?: readonly Bystander[];
  /** Agents of a node that has none now. */
  readonly spawn: number;
  readonly look: Look;
  readonly images: readonly KnownImage[];
  readonly self: Self;
  /** What journals say of other rollouts: when they began, in milliseconds. */
  readonly begunAt?: (rollout: string) => number | undefined;
}

export interface RolloutPlan {
  readonly begun: Begun;
  /** Seconds: its soaks alone; and all limits together. */
  readonly least: number;
  readonly most: number;
  /** Nodes that take jobs now. */
  readonly usable: number;
  /** Whether there is nothing to do. */
  readonly nothing: boolean;
}

/** A share of nodes as a number. @param all Nodes. @param least Of the result. */
const shareOf = (share: number | string, all: number, least: number): number =>
  typeof share === "number" ? share : Math.max(least, Math.floor((all * Number.parseInt(share, 10)) / 100));

const most = 5;

const age = (milliseconds: number): string => {
  const minutes = Math.max(0, Math.round(milliseconds / 60_000));
  return minutes < 120 ? `${minutes} minutes` : `${Math.round(minutes / 60)} hours`;
};

const ofNodes = (nodes: readonly WantedNode[], say: (node: SeenNode) => string): string =>
  listed(
    nodes.map(({ seen }) => say(seen)),
    most,
  );

const natural = new Intl.Collator("en", { numeric: true });

/** What forbids it for single nodes. */
const nodeRefusals = ({ nodes, rollout, back, look, self, begunAt, group }: PlanRequest): BakeError[] => {
  const refusals: BakeError[] = [];
  const refuse = (
    code: ConstructorParameters<typeof BakeError>[0],
    which: (node: WantedNode) => boolean,
    what: string,
    say: (node: SeenNode) => string,
    help: string,
  ): void => {
    const found = nodes.filter(which);
    if (found.length > 0) refusals.push(new BakeError(code, `${what}:\n${ofNodes(found, say)}`, help));
  };
  refuse(
    "BK702",
    ({ seen }) => group === undefined && (seen.group !== undefined || seen.kind === "as"),
    "members of AS groups never get another system: AS takes a stopped member for a broken one, and deletes it",
    ({ name, group: of }) => `${name}: ${of?.name ?? "its group is not known"}`,
    "Roll out the group, by its name or ID alone: --to GROUP. Its members are replaced by new ones.",
  );
  // What a group was before, its journal alone knows: without it even the same rollout cannot begin again.
  const passed = new Set([undefined, back, ...(group === undefined ? [rollout] : [])]);
  const holders = nodes.flatMap(({ seen: { heldBy } }) => (heldBy === undefined || passed.has(heldBy) ? [] : [heldBy]));
  const others = new Map(holders.map((holder) => [holder, begunAt?.(holder)]));
  refuse(
    "BK703",
    ({ seen }) => seen.heldBy !== undefined && others.has(seen.heldBy),
    "nodes are held by another rollout",
    ({ name, heldBy }) => {
      const begun = others.get(heldBy ?? "");
      return `${name}: ${heldBy ?? ""}${begun === undefined ? "" : `, begun ${age(look.at - begun)} ago`}`;
    },
    [
      ...[...others.keys()]
        .slice(0, most)
        .map((id) => `Go on with it, or end it: bake rollout run --resume ${id}, bake rollout stop ${id}.`),
      "Where its journal is lost and nothing runs it: take the tag bake-rollout off these servers.",
    ].join("\n"),
  );
  const hosts = new Map<string, number>();
  for (const { seen } of nodes) hosts.set(seen.hostname, (hosts.get(seen.hostname) ?? 0) + 1);
  refuse(
    "BK707",
    ({ seen }) => seen.hostname === "" || (hosts.get(seen.hostname) ?? 0) > 1,
    "nodes have one host name: nobody could tell their agents apart",
    ({ name, id, hostname }) => `${name} (${id}): ${hostname === "" ? "none" : hostname}`,
    "Name the servers differently, or leave all but one out.",
  );
  refuse(
    "BK707",
    ({ seen }) => seen.image === undefined,
    "the cloud does not say which image nodes have: there would be no way back",
    ({ name, kind }) => `${name} (${kind})`,
    "Leave them out.",
  );
  if (look.agents.size === 0) {
    refusals.push(
      new BakeError(
        "BK712",
        "Buildkite shows no agent at all: nobody would see jobs that run on these nodes",
        "Look at BUILDKITE_ORGANIZATION_SLUG, and at what the token may read.",
      ),
    );
  }
  const own = hostLabel(self.hostname);
  const agentHost = [...look.agents.values()]
    .flat()
    .find(({ id, name }) => id === self.agentId || (self.agentName !== undefined && name === self.agentName));
  const ownHosts = new Set([own, ...(agentHost === undefined ? [] : [hostLabel(agentHost.hostname)])]);
  refuse(
    "BK706",
    ({ seen, to }) => ownHosts.has(seen.hostname) && seen.image !== to,
    "this process runs on a node that would be replaced under it",
    ({ name }) => name,
    "Run it from a machine, or on a queue, that is not rolled out.",
  );
  return refusals;
};

/** Images that are named, each frozen; what cannot be one is refused. */
const freeze = ({ nodes, bystanders = [], images, group }: PlanRequest, refusals: BakeError[]): FrozenImage[] => {
  const known = new Map(images.map((image) => [image.id, image]));
  const wanted = new Set([...nodes.map(({ to }) => to), ...(group === undefined ? [] : [group.to])]);
  const had = [...nodes.map(({ seen }) => seen.image), group?.before.image];
  const old = new Set(had.filter((id): id is string => id !== undefined && id !== ""));
  const frozen: FrozenImage[] = [];
  for (const id of new Set([...wanted, ...old])) {
    const image = known.get(id);
    const isNew = wanted.has(id);
    if (image?.usable !== true) {
      refusals.push(
        new BakeError(
          "BK704",
          isNew
            ? `the image ${id} is not there, or cannot be used`
            : `the image ${id}, which nodes have, is there no more: there would be no way back`,
          isNew
            ? "bake catalog ls shows what there is."
            : `Leave its nodes out, or make them anew: ${group?.before.image === id ? "the AS group's configuration has it; " : ""}${nodes
                .filter(({ seen }) => seen.image === id)
                .slice(0, most)
                .map(({ seen }) => seen.name)
                .join(", ")}.`,
        ),
      );
    } else if (image.bakeId === "") {
      refusals.push(
        new BakeError(
          "BK704",
          `the image ${id}${isNew ? "" : ", which nodes have,"} has no bake id: nothing would show whether an agent runs from it`,
          "Only images that bake made are rolled out, and nodes made from them; bake ecs create makes such a node.",
        ),
      );
    } else frozen.push({ id, bakeId: image.bakeId });
  }
  for (const { to } of bystanders) {
    const bakeId = known.get(to)?.bakeId ?? "";
    if (bakeId !== "" && !frozen.some(({ id }) => id === to)) frozen.push({ id: to, bakeId });
  }
  const architectures = new Set([...wanted, ...old].flatMap((id) => known.get(id)?.architecture ?? []));
  if (architectures.size > 1) {
    refusals.push(
      new BakeError(
        "BK704",
        `old and new images are for different processors: ${[...architectures].toSorted().join(", ")}`,
        "Name an image of the nodes' own architecture.",
      ),
    );
  }
  return frozen;
};

const resolveSettings = (request: PlanRequest, all: number): RolloutSettings & { readonly wave: number } => {
  const { settings, stopTimeout } = request;
  return {
    maxFailed: request.maxFailed ?? settings.maxFailed,
    minHealthy: request.minHealthy ?? shareOf(settings.minHealthy, all, 0),
    killJobs: request.killJobs === true,
    canarySoak: settings.canarySoak,
    soak: settings.soak,
    drainTimeout: settings.drainTimeout ?? stopTimeout + 300,
    changeTimeout: settings.changeTimeout,
    readyTimeout: settings.readyTimeout,
    interval: settings.interval,
    wave: shareOf(request.wave ?? settings.wave, all, 1),
  };
};

/** Whether a group is not as it is to be, whatever its members are. */
const isToBePutBack = (group: WantedGroup | undefined): boolean =>
  group !== undefined && (group.configuration !== undefined || group.before.image !== group.to);

/** Seconds, by all limits of each wave. */
const longest = (settings: RolloutSettings, waves: number): number =>
  waves * (settings.drainTimeout + settings.changeTimeout + settings.readyTimeout);

/**
 * Plans a rollout.
 * @returns the plan; or the reasons against it, of which none needs anything undone.
 */
export const planRollout = (request: PlanRequest): RolloutPlan | readonly BakeError[] => {
  const { nodes, look, bystanders = [] } = request;
  if (nodes.length === 0 && request.group === undefined) {
    return [
      new BakeError(
        "BK701",
        "no node is selected",
        "Name nodes, or a tag that they have: --to NAME,NAME or --to TAG=VALUE.",
      ),
    ];
  }
  const refusals = [...(request.group === undefined ? [] : groupRefusals(request.group)), ...nodeRefusals(request)];
  const images = freeze(request, refusals);
  const bakeIds = new Map(images.map(({ id, bakeId }) => [id, bakeId]));
  const all = nodes.length + bystanders.length;
  const { wave, ...settings } = resolveSettings(request, all);
  if (refusals.length > 0) return refusals;

  const expected = ({ seen, agents }: WantedNode): number => {
    const now = agentsOf(look, seen.hostname).length;
    return agents ?? (now === 0 ? request.spawn : now);
  };
  const shaped = nodes.map((node) => {
    const { seen, to } = node;
    const { id, name, hostname, kind, heldBy, image } = seen;
    const plan = { id, name, hostname, kind, agents: expected(node), from: image ?? to, to };
    // The same rollout, from another machine, was there before.
    const booting = heldBy === request.rollout && image === to;
    return {
      plan: { ...plan, ...(booting && { booting }) },
      right: isRight(look, plan, { id: to, bakeId: bakeIds.get(to) ?? "" }),
    };
  });
  const isIdle = new Set(bakeIds.values());
  const right = shaped
    .filter((each) => each.right)
    .map(({ plan: { id, name, hostname, agents, to } }) => ({ id, name, hostname, agents, to }));
  const todo = shaped
    .filter((each) => !each.right)
    .map(({ plan }) => plan)
    .toSorted((a, b) => natural.compare(a.name, b.name));
  // The canary takes jobs now: of one that does not nobody could say what the image did to it.
  const firsts = [...todo.filter((plan) => isUsable(look, plan, isIdle)), ...todo].slice(0, request.settings.canary);
  const canary = new Set(firsts);
  const rest = todo.filter((plan) => !canary.has(plan));
  const planned: PlannedNode[] = [
    ...[...canary].map((plan) => ({ ...plan, wave: 0 })),
    ...rest.map((plan, at) => ({ ...plan, wave: 1 + Math.floor(at / wave) })),
  ];
  const waves = Math.max(0, ...planned.map((plan) => plan.wave + 1));
  // New members of a group take jobs before old ones go.
  const largest =
    request.group === undefined ? Math.max(0, Math.min(canary.size, todo.length), Math.min(wave, rest.length)) : 0;
  if (all - largest < settings.minHealthy) {
    return [
      new BakeError(
        "BK705",
        `a wave of ${largest} of ${all} nodes leaves ${all - largest}, and ${settings.minHealthy} have to take jobs`,
        "Make waves smaller (--wave, rollout.wave, rollout.canary), or rollout.minHealthy.",
      ),
    ];
  }
  const already = [...right, ...bystanders];
  const begun: Begun = {
    event: "begun",
    at: look.at,
    rollout: request.rollout,
    profile: request.profile,
    ...(request.back !== undefined && { back: request.back }),
    queue: request.queue,
    images,
    settings,
    waves,
    nodes: planned,
    already,
    ...(request.group !== undefined && {
      group: planGroup(request.group, planned, {
        spawn: request.spawn,
        isRight: (id) =>
          already.some(
            (node) => node.id === id && isRight(look, node, { id: node.to, bakeId: bakeIds.get(node.to) ?? "" }),
          ),
      }),
    }),
  };
  const soaks = waves === 0 ? 0 : settings.canarySoak + (waves - 1) * settings.soak;
  return {
    begun,
    least: soaks,
    most: soaks + longest(settings, waves),
    nothing: planned.length === 0 && !isToBePutBack(request.group),
    usable: [...planned, ...already].filter((node) => isUsable(look, node, isIdle)).length,
  };
};
