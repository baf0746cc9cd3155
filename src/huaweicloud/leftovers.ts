/**
 * What a bake that failed or was cut off has left in the cloud: its server with address, key pair and disks. Only what names
 * itself as one bake's, or hangs on such a server, counts as ours; what may be anybody's is told and never removed.
 * Long because what is ours, and what may be anybody's, is decided in one place.
 */
import * as z from "zod";
import type { Host } from "../host/host.ts";
import { type Cloud, CloudError } from "./client.ts";
import { waitForJob } from "./job-wait.ts";
import { listServers, type SeenServer } from "./servers.ts";

export interface LeftoverQuery {
  /** Exact name of a bake's server, `bake-<profile>-<10 letters of the bake id>`; or, with `anyBake`, all before these letters. */
  readonly serverName: string;
  /** Of every bake of the profile. */
  readonly anyBake?: boolean;
  /** Milliseconds that a bake gives its server to live after each sign of life: from its end that sign is known. */
  readonly serverLife?: number;
  /** Key pairs that Packer's own lines name: the bake's, also when no server was made. */
  readonly keyPairs?: readonly string[];
  /** IDs of public addresses that Packer's own lines name. */
  readonly addressIds?: readonly string[];
}

type Kind = "server" | "address" | "key pair" | "disk" | "object" | "upload";

export interface Leftover {
  readonly kind: Kind;
  /** A key pair's is its name. */
  readonly id: string;
  readonly name: string;
  /** As the service calls it; absent for key pairs. */
  readonly status?: string;
  /** ISO 8601, where it is known. */
  readonly created?: string;
  /** ISO 8601: a sign of life after that. Its age counts from there. */
  readonly lastSign?: string;
  /** It is this bake's for certain; else it looks like some Packer's, and nothing says whose. */
  readonly ours: boolean;
  /** Why it counts as one bake's, or does not. */
  readonly why: string;
  /** The server that it hangs on: it cannot be removed before. */
  readonly serverId?: string;
}

export interface Leftovers {
  readonly found: readonly Leftover[];
  /** Kinds that could not be looked at, each with the cloud's reason. */
  readonly notLookedAt: readonly { readonly kind: Kind; readonly message: string }[];
}

const OrNothing = z.string().nullish();

const Addresses = z.object({
  publicips: z.array(
    z.object({
      id: z.string(),
      status: OrNothing,
      public_ip_address: OrNothing,
      bandwidth_name: OrNothing,
      port_id: OrNothing,
      create_time: OrNothing,
    }),
  ),
});
const KeyPairs = z.object({ keypairs: z.array(z.object({ keypair: z.object({ name: z.string() }) })) });
const Volumes = z.object({
  volumes: z.array(
    z.object({
      id: z.string(),
      name: OrNothing,
      status: OrNothing,
      created_at: OrNothing,
      attachments: z.array(z.object({ server_id: OrNothing })).default([]),
    }),
  ),
});

/** Milliseconds since the epoch; services write moments of UTC with and without a zone. Pure. */
const momentOf = (text: string): number =>
  Date.parse(/(?:Z|[+-]\d\d:?\d\d)$/.test(text) ? text : `${text.replace(" ", "T")}Z`);

/** Ten letters of a bake id, and nothing behind them. */
const bakeLetters = /^[A-Za-z0-9_-]{10}$/;

/** Whether a name is a server's of this bake. Pure. */
const isServer = (name: string, { serverName, anyBake = false }: LeftoverQuery): boolean =>
  anyBake ? name.startsWith(serverName) && bakeLetters.test(name.slice(serverName.length)) : name === serverName;

/** Whether a name is one that the service gives a disk of such a server: the server's own, or with a number behind it. Pure. */
const isDisk = (name: string, query: LeftoverQuery): boolean =>
  isServer(name.replace(/(?:-volume)?-\d{4}$/, ""), query) || isServer(name, query);

const keyPrefix = "packer_";
const bandwidthPrefix = "packer_eip_bandwidth_";

/** An empty text of the service is none. */
const known = (text: string | null | undefined): string | undefined =>
  text === "" || text === null ? undefined : text;

const stated = (status: string | null | undefined, created: string | null | undefined) => ({
  ...(known(status) !== undefined && { status: known(status) as string }),
  ...(known(created) !== undefined && { created: known(created) as string }),
});

const pageSize = 1000;

/** All that a service lists page by page, until a page is not full or brings nothing new. */
const pages = async <T extends { readonly id: string }>(ask: (before: readonly T[]) => Promise<T[]>): Promise<T[]> => {
  const all = new Map<string, T>();
  for (;;) {
    const size = all.size;
    const page = await ask([...all.values()]);
    for (const each of page) all.set(each.id, each);
    if (page.length < pageSize || all.size === size) return [...all.values()];
  }
};

/** When a bake's server gave its last sign of life, by when it is to end. Pure. @returns ISO 8601; undefined where nothing says it. */
const lastSignOf = ({ created, endsAt }: SeenServer, { serverLife }: LeftoverQuery): string | undefined => {
  const sign = Date.parse(endsAt ?? "") - (serverLife ?? Number.NaN);
  return Number.isNaN(sign) || sign < momentOf(created ?? "") ? undefined : new Date(sign).toISOString();
};

const ownServers = (servers: readonly SeenServer[], query: LeftoverQuery): Leftover[] =>
  servers
    .filter(({ name }) => isServer(name, query))
    .map((server) => {
      const { id, name, status, created } = server;
      const lastSign = lastSignOf(server, query);
      return {
        kind: "server",
        id,
        name,
        ...stated(status, created),
        ...(lastSign !== undefined && { lastSign }),
        ours: true,
        why: `its name is a bake's of this profile${lastSign === undefined ? "" : `, whose last sign of life was at ${lastSign}`}`,
      };
    });

const addressesOf = async (cloud: Cloud, query: LeftoverQuery, own: readonly SeenServer[]): Promise<Leftover[]> => {
  const all = await pages(async (before: readonly z.infer<typeof Addresses>["publicips"][number][]) => {
    const marker = before.at(-1)?.id;
    const asked = { limit: pageSize, ...(marker !== undefined && { marker }) };
    return (await cloud.call("listAddresses", { query: asked, answer: Addresses })).publicips;
  });
  return all.flatMap(
    ({ id, status, public_ip_address: address, bandwidth_name: name, port_id: port, create_time: time }) => {
      if (name?.startsWith(bandwidthPrefix) !== true) return [];
      const on = own.find(({ ports, publicAddresses }) =>
        known(port) === undefined ? false : ports.includes(port ?? "") || publicAddresses.includes(address ?? ""),
      );
      const named = query.addressIds?.includes(id) === true;
      const bound = known(port) !== undefined;
      // Somebody's server has it: a build that runs.
      if (bound && on === undefined && !named) return [];
      return [
        {
          kind: "address" as const,
          id,
          name: `${address ?? "?"} (${name})`,
          ...stated(status, time),
          ours: on !== undefined || (named && !bound),
          why:
            on !== undefined
              ? `it hangs on the server ${on.id}`
              : named
                ? "Packer took it for this bake"
                : "some Packer's, bound to nothing: nothing says whose",
          ...(on !== undefined && { serverId: on.id }),
        },
      ];
    },
  );
};

const keyPairsOf = async (
  cloud: Cloud,
  query: LeftoverQuery,
  own: readonly SeenServer[],
  servers: readonly SeenServer[],
): Promise<Leftover[]> => {
  const { keypairs } = await cloud.call("listKeyPairs", { answer: KeyPairs });
  return keypairs.flatMap(({ keypair: { name } }) => {
    if (!name.startsWith(keyPrefix)) return [];
    const users = servers.filter(({ keyName }) => keyName === name);
    const on = own.find(({ keyName }) => keyName === name);
    // A build of another's runs with it.
    if (users.some((user) => !own.includes(user))) return [];
    const named = query.keyPairs?.includes(name) === true;
    return [
      {
        kind: "key pair" as const,
        id: name,
        name,
        ours: on !== undefined || named,
        why:
          on !== undefined
            ? `the server ${on.id} was made with it`
            : named
              ? "Packer made it for this bake"
              : "some Packer's, of no server: nothing says whose",
        ...(on !== undefined && { serverId: on.id }),
      },
    ];
  });
};

const disksOf = async (cloud: Cloud, query: LeftoverQuery, own: readonly SeenServer[]): Promise<Leftover[]> => {
  const list = (wanted: Readonly<Record<string, string>>) =>
    pages(async (before: readonly z.infer<typeof Volumes>["volumes"][number][]) => {
      const asked = { ...wanted, limit: pageSize, offset: before.length };
      return (await cloud.call("listVolumes", { query: asked, answer: Volumes })).volumes;
    });
  const named = await list({ name: query.serverName });
  // Further disks have no name of a bake's: Packer's plugin gives them none.
  const further: typeof named = [];
  for (const { id } of own) further.push(...(await list({ server_id: id })));
  const all = new Map([...named, ...further].map((disk) => [disk.id, disk]));
  return [...all.values()].flatMap(({ id, name, status, created_at: created, attachments }) => {
    const servers = attachments.map(({ server_id: server }) => server ?? "");
    const on = own.find((server) => servers.includes(server.id));
    // By its name ours, and on a server of another name: somebody uses it.
    if (on === undefined && (!isDisk(name ?? "", query) || servers.length > 0)) return [];
    return [
      {
        kind: "disk" as const,
        id,
        // One without a name is told by its ID.
        name: known(name) ?? id,
        ...stated(status, created),
        ours: true,
        why: on === undefined ? "its name is a disk's of a bake of this profile" : `it goes with the server ${on.id}`,
        ...(on !== undefined && { serverId: on.id }),
      },
    ];
  });
};

/**
 * Looks for what a bake left. It only looks; a kind that the user may not list, or that does not answer, is told as such.
 * @param uploads Those of imports, where there is a bucket.
 * @throws CloudError BK420 for credentials that are refused; the signal's reason.
 */
export const findLeftovers = async (
  cloud: Cloud,
  query: LeftoverQuery,
  uploads: () => Promise<readonly Leftover[]> = () => Promise.resolve([]),
): Promise<Leftovers> => {
  const notLookedAt: { kind: Kind; message: string }[] = [];
  const tried = async <T>(kind: Kind, ask: () => Promise<readonly T[]>): Promise<readonly T[]> => {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof CloudError) || error.code === "BK420") throw error;
      notLookedAt.push({ kind, message: error.message });
      return [];
    }
  };
  // Servers first: by them the rest is known.
  const servers = await tried("server", () => listServers(cloud));
  const own = servers.filter(({ name }) => isServer(name, query));
  const blind = notLookedAt.length > 0;
  const rest = [
    await tried("address", () => addressesOf(cloud, query, own)),
    await tried("key pair", () => keyPairsOf(cloud, query, own, servers)),
    await tried("disk", () => disksOf(cloud, query, own)),
  ].flat();
  return {
    found: [
      ...ownServers(own, query),
      // Without the servers nobody knows what is in use.
      ...rest.map((each) => (blind && each.ours ? { ...each, ours: false, why: "servers could not be listed" } : each)),
      ...(await tried("object", uploads)),
    ],
    notLookedAt,
  };
};

/**
 * Takes as nobody's leftover what was made lately, or nobody knows when: the bake may run. What hangs on a server is as old as it. Pure.
 * @param before Milliseconds since the epoch.
 */
export const onlyOlder = ({ found, notLookedAt }: Leftovers, before: number): Leftovers => {
  const isOld = ({ created, lastSign = created }: Leftover): boolean =>
    lastSign !== undefined && momentOf(lastSign) < before;
  const servers = new Map(found.filter(({ kind }) => kind === "server").map((server) => [server.id, server]));
  return {
    found: found.map((each) =>
      each.ours && !isOld(servers.get(each.serverId ?? "") ?? each)
        ? { ...each, ours: false, why: `${each.why}; too young: the bake may still run` }
        : each,
    ),
    notLookedAt,
  };
};

/** What became of one of them. */
export interface Removal {
  readonly leftover: Leftover;
  readonly outcome: "removed" | "gone already" | "left";
  /** Why it was left. */
  readonly reason?: string;
}

const Started = z.object({ job_id: z.string() });
const Anything = z.unknown();

/** Milliseconds that a server may take to go. */
const deletionTime = 10 * 60_000;

/**
 * Removes what is ours for certain: servers first, with their disks, then what hung on them. One that the cloud keeps is told,
 * and with it what hangs on it; the others go.
 * @param removeUpload Of a bucket.
 * @throws CloudError BK420; the signal's reason.
 */
export const removeLeftovers = async (
  cloud: Cloud,
  host: Pick<Host, "now" | "sleep" | "signal">,
  { found }: Leftovers,
  removeUpload?: (leftover: Leftover) => Promise<void>,
): Promise<Removal[]> => {
  const order: readonly Kind[] = ["server", "address", "key pair", "disk", "object", "upload"];
  const going = found.filter(({ ours }) => ours).toSorted((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind));
  const kept = new Set<string>();
  const removed = new Set<string>();
  const remove = async (leftover: Leftover): Promise<void> => {
    const { kind, id } = leftover;
    switch (kind) {
      case "server": {
        const body = { servers: [{ id }], delete_publicip: false, delete_volume: true };
        const { job_id: job } = await cloud.call("deleteServers", { body, answer: Started });
        await waitForJob(cloud, host, "showJob", job, { most: deletionTime });
        return;
      }
      case "address":
        await cloud.call("deleteAddress", { parameters: { publicip_id: id }, answer: Anything });
        return;
      case "key pair":
        await cloud.call("deleteKeyPair", { parameters: { keypair_name: id }, answer: Anything });
        return;
      case "disk":
        await cloud.call("deleteVolume", { parameters: { volume_id: id }, answer: Anything });
        return;
      case "object":
      case "upload":
        if (removeUpload === undefined) throw new Error("an upload is removed from its bucket");
        await removeUpload(leftover);
        return;
      default:
        return kind;
    }
  };
  const results: Removal[] = [];
  for (const leftover of going) {
    host.signal.throwIfAborted();
    const { kind, id, serverId } = leftover;
    if (serverId !== undefined && kept.has(serverId)) {
      results.push({ leftover, outcome: "left", reason: `its server ${serverId} is still there` });
      continue;
    }
    if (kind === "disk" && serverId !== undefined && removed.has(serverId)) {
      results.push({ leftover, outcome: "removed" });
      continue;
    }
    try {
      await remove(leftover);
      removed.add(id);
      results.push({ leftover, outcome: "removed" });
    } catch (error) {
      if (!(error instanceof CloudError) || error.code === "BK420") throw error;
      if (error.status === 404) {
        removed.add(id);
        results.push({ leftover, outcome: "gone already" });
        continue;
      }
      kept.add(id);
      results.push({ leftover, outcome: "left", reason: error.message });
    }
  }
  return results;
};

/** Lines for people: what is there, by kind, with IDs, and what could not be looked at. Pure. */
export const formatLeftovers = ({ found, notLookedAt }: Leftovers): string =>
  [
    ...found.map(
      ({ kind, id, name, status, created, ours, why }) =>
        `  ${(ours ? kind : `${kind}?`).padEnd(9)}  ${id}${name === id ? "" : `  ${name}`}${
          status === undefined ? "" : `, ${status}`
        }${created === undefined ? "" : `, since ${created}`}: ${why}`,
    ),
    ...notLookedAt.map(({ kind, message }) => `  not looked at: ${kind}s: ${message}`),
  ].join("\n");
