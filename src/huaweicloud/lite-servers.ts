/** Lite Servers of ModelArts: hosts with eight 910B, bare metal mostly, which only ModelArts may change. */
import * as z from "zod";
import type { Cloud } from "./client.ts";

const OrNothing = z.string().nullish();

const Server = z.object({
  id: z.string(),
  name: z.string().default(""),
  status: z.string().default(""),
  server_image_response: z.object({ image_id: OrNothing }).nullish(),
});
const Servers = z.object({ data: z.array(Server), total: z.number().nullish() });

export interface LiteServer {
  readonly id: string;
  readonly name: string;
  readonly image: string | undefined;
  readonly power: "active" | "building" | "stopped" | "error" | "unknown";
  /** The service's own word, while it is doing something to it. */
  readonly task: string | undefined;
}

/** What a state means: it knows more words than its reference page. Pure. */
const powerOf = (status: string): LiteServer["power"] => {
  if (status === "RUNNING") return "active";
  if (status === "STOPPED") return "stopped";
  if (/FAIL|ERROR/.test(status)) return "error";
  return /ING(?:_|$)/.test(status) ? "building" : "unknown";
};

/** Pure. */
const serverOf = ({ id, name, status, server_image_response: image }: z.infer<typeof Server>): LiteServer => {
  const power = powerOf(status.toUpperCase());
  return {
    id,
    name,
    image: image?.image_id || undefined,
    power,
    task: power === "building" ? status.toLowerCase() : undefined,
  };
};

const pageSize = 1000;

/** Every Lite Server: one call a thousand. @throws CloudError */
export const listLiteServers = async (cloud: Cloud): Promise<LiteServer[]> => {
  const all: LiteServer[] = [];
  for (;;) {
    const query = { limit: pageSize, offset: all.length };
    const { data } = await cloud.call("listLiteServers", { query, answer: Servers });
    all.push(...data.map(serverOf));
    if (data.length < pageSize) return all;
  }
};

/** @throws CloudError */
export const showLiteServer = async (cloud: Cloud, id: string): Promise<LiteServer> =>
  serverOf(await cloud.call("showLiteServer", { parameters: { server_id: id }, answer: Server }));

/** @throws CloudError */
export const switchLiteServer = async (cloud: Cloud, id: string, on: boolean): Promise<void> => {
  const request = { parameters: { server_id: id }, answer: z.unknown() };
  await cloud.call(on ? "startLiteServer" : "stopLiteServer", request);
};

/** Sends the change of a stopped server's system, once. @throws CloudError */
export const changeLiteServer = async (
  cloud: Cloud,
  id: string,
  wanted: { readonly image: string; readonly keyPair: string; readonly userData: string | undefined },
): Promise<void> => {
  await cloud.call("changeLiteServerSystem", {
    parameters: { server_id: id },
    body: {
      image_id: wanted.image,
      key_pair_name: wanted.keyPair,
      ...(wanted.userData !== undefined && { user_data: wanted.userData }),
    },
    answer: z.unknown(),
  });
};
