/** What all questions about one organisation share: its API, whether GraphQL works, pages, queues. */
import * as z from "zod";
import type { Host } from "../host/host.ts";
import { type Api, type Answer, NoGraphql, readBody } from "./api.ts";

/** Agents, clusters or queues in one page of REST: its most. */
const restPage = 100;
/** A list that goes on and on is a mistake. */
const mostPages = 1000;

const clusterList = z.array(z.object({ id: z.string() }));
const queueList = z.array(
  z.object({ id: z.string(), graphql_id: z.string(), key: z.string(), dispatch_paused: z.boolean().nullish() }),
);

type Queue = z.infer<typeof queueList>[number];

export interface Reach {
  readonly api: Api;
  readonly organization: string;
  /** What GraphQL answers; undefined, from then on, when the token has no access to it. */
  readonly byGraphql: <T>(work: () => Promise<T>) => Promise<T | undefined>;
  /** All pages of a list by REST, and how many there were. */
  readonly pages: <T>(
    path: readonly string[],
    shape: z.ZodType<T[]>,
    scope: "read_agents" | "read_clusters",
    query?: Readonly<Record<string, string>>,
  ) => Promise<{ readonly all: readonly T[]; readonly count: number }>;
  /** Queues of all clusters. */
  readonly queues: () => Promise<readonly Queue[]>;
}

const hasNext = ({ headers }: Answer): boolean => /;\s*rel="?next"?/i.test(headers["link"] ?? "");

/** The two APIs as one: GraphQL where the token may use it, REST else; what is missing is said once. */
export const makeReach = (api: Api, progress: Host["progress"], organization: string): Reach => {
  let graphqlWorks = true;
  let clusters: readonly string[] | undefined;

  const pages: Reach["pages"] = async (path, shape, scope, query = {}) => {
    const all = [];
    let page = 1;
    for (; page <= mostPages; page++) {
      const answer = await api.rest(path, { scope, query: { ...query, per_page: restPage, page } });
      all.push(...readBody(shape, answer, path.join("/")));
      if (!hasNext(answer)) break;
    }
    return { all, count: page };
  };

  const queues: Reach["queues"] = async () => {
    clusters ??= (await pages(["clusters"], clusterList, "read_clusters")).all.map(({ id }) => id);
    const found: Queue[] = [];
    for (const cluster of clusters) {
      found.push(...(await pages(["clusters", cluster, "queues"], queueList, "read_clusters")).all);
    }
    return found;
  };

  return {
    api,
    organization,
    pages,
    queues,
    byGraphql: async (work) => {
      if (!graphqlWorks) return undefined;
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof NoGraphql)) throw error;
        graphqlWorks = false;
        progress.note(
          `Buildkite: the token has no GraphQL access (${error.message || "403"}): agents are stopped one by one, and whether one is paused is not seen`,
        );
        return undefined;
      }
    },
  };
};
