/** All servers of the project, as far as they say what they were made from and what hangs on them. */
import * as z from "zod";
import type { Cloud } from "./client.ts";

const OrNothing = z.string().nullish();

/** User-data, which the service answers too, is let go at once. */
const Servers = z.object({
  servers: z.array(
    z.object({
      id: z.string(),
      name: z.string(),
      status: OrNothing,
      created: OrNothing,
      key_name: OrNothing,
      auto_terminate_time: OrNothing,
      // A server of a disk has a text, empty, in its place.
      image: z.union([z.object({ id: OrNothing }), z.string()]).nullish(),
      metadata: z.record(z.string(), z.unknown()).nullish(),
      addresses: z
        .record(
          z.string(),
          z.array(z.object({ addr: OrNothing, "OS-EXT-IPS:type": OrNothing, "OS-EXT-IPS:port_id": OrNothing })),
        )
        .nullish(),
    }),
  ),
});

export interface SeenServer {
  readonly id: string;
  readonly name: string;
  readonly status: string | undefined;
  readonly created: string | undefined;
  readonly keyName: string | undefined;
  /** When the cloud ends it by itself, ISO 8601. */
  readonly endsAt: string | undefined;
  /** IDs of images that it says it was made from. */
  readonly images: readonly string[];
  readonly ports: readonly string[];
  readonly publicAddresses: readonly string[];
}

const texts = (values: readonly unknown[]): string[] =>
  values.filter((value): value is string => typeof value === "string" && value !== "");

const pageSize = 1000;

/** Every server, page by page. @throws CloudError */
export const listServers = async (cloud: Cloud): Promise<SeenServer[]> => {
  const all = new Map<string, SeenServer>();
  // Pages are counted from 1.
  for (let page = 1; ; page += 1) {
    const size = all.size;
    const { servers } = await cloud.call("listServers", {
      query: { limit: pageSize, offset: page },
      answer: Servers,
    });
    for (const server of servers) {
      const { id, name, status, created, key_name: keyName, auto_terminate_time: endsAt } = server;
      const { image, metadata, addresses } = server;
      const interfaces = Object.values(addresses ?? {}).flat();
      all.set(id, {
        id,
        name,
        status: status ?? undefined,
        created: created ?? undefined,
        keyName: keyName ?? undefined,
        endsAt: endsAt ?? undefined,
        images: texts([typeof image === "object" ? image?.id : image, metadata?.["metering.image_id"]]),
        ports: texts(interfaces.map((each) => each["OS-EXT-IPS:port_id"])),
        publicAddresses: texts(
          interfaces.filter((each) => each["OS-EXT-IPS:type"] === "floating").map(({ addr }) => addr),
        ),
      });
    }
    if (servers.length < pageSize || all.size === size) return [...all.values()];
  }
};
