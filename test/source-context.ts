/** What a resolver is asked with, over a loopback server. */
import { createHash } from "node:crypto";
import { system } from "../src/host/system.ts";
import type { Context } from "../src/lock/sources/resolver.ts";
import { webOverHttp } from "../src/lock/web-http.ts";
import { type ReleaseServer, type Routes, startReleaseServer } from "./release-server.ts";

const servers: ReleaseServer[] = [];

/** Ends every server that `serveSources` started. */
export const endSources = async (): Promise<void> => {
  for (const server of servers.splice(0)) await server.close();
};

/** A context over a server; `stored` are the files that were got to be hashed. */
export const serveSources = async (routes: Routes) => {
  const server = await startReleaseServer(routes);
  servers.push(server);
  const stored: string[] = [];
  const web = webOverHttp({
    ...system,
    signal: new AbortController().signal,
    env: {},
    pause: 1,
    store: async ({ name, url }) => {
      stored.push(name);
      const bytes = await web.bytes(url);
      return { sha256: createHash("sha256").update(bytes).digest("hex"), size: bytes.length };
    },
  });
  const context: Context = { web, sources: server.sources, localFile: () => Promise.reject(new Error("none")) };
  return { server, context, stored };
};
