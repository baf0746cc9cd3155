/**
 * Where a job of the check checks out from: a proxy on loopback behind which one repository stands, at the URL that the
 * node's git rule makes of the one that the job names. What comes through has gone through that rule.
 */
import { createServer, type RequestListener } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import type { NodePlan } from "../../plan/node-plan.ts";
import { selfSigned } from "./certificate.ts";
import { advertisement, uploadPack } from "./repository.ts";

export interface CheckoutSource {
  readonly port: number;
  /** URLs that were asked for and are not of the repository, none twice. */
  readonly elsewhere: () => string[];
  readonly close: () => Promise<void>;
}

/** What a job names, and what the node's git makes of it. */
export interface CheckoutUrls {
  readonly named: string;
  readonly rewritten: string;
}

/** Pure. Without a rule both are the same. */
export const checkoutUrls = ({ facts: { gitProxy } }: NodePlan): CheckoutUrls => {
  const path = "bake/check.git";
  return gitProxy === undefined
    ? { named: `https://github.com/${path}`, rewritten: `https://github.com/${path}` }
    : { named: gitProxy.for + path, rewritten: gitProxy.via + path };
};

/**
 * Variables of a job that checks out through this source. Pure.
 * They are git's alone, so that the rest of the job has the network that the node gives it.
 * @param host What the node calls this host.
 */
export const checkoutEnvironment = ({ port }: Pick<CheckoutSource, "port">, host: string): Record<string, string> => ({
  // Of git before 2.31 too, which has no GIT_CONFIG_COUNT.
  GIT_CONFIG_PARAMETERS: `'http.proxy=http://${host}:${port}'`,
  GIT_SSL_NO_VERIFY: "true",
  // A site may except its git proxy from its HTTP proxy, and the agent API is reached directly.
  NO_PROXY: host,
  no_proxy: host,
});

/** What a clone or a fetch sends has some hundred bytes. */
const maxRequest = 64 * 1024;

const readRequest: (request: Parameters<RequestListener>[0]) => Promise<Buffer> = async (request) => {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > maxRequest) throw new RangeError("too large");
    parts.push(part);
  }
  const body = Buffer.concat(parts);
  return request.headers["content-encoding"] === "gzip"
    ? promisify(gunzip)(body, { maxOutputLength: maxRequest })
    : body;
};

/**
 * Listens on 127.0.0.1, at any free port.
 * @param repository URL of the repository, after the rewriting.
 */
export const startCheckoutSource = async (repository: string): Promise<CheckoutSource> => {
  const others = new Set<string>();
  const sockets = new Set<Socket>();

  /** @param scheme Of a request that names a path alone: it came through a tunnel. */
  const listener =
    (scheme: string): RequestListener =>
    (request, response) => {
      const answer = async (): Promise<void> => {
        const asked = request.url ?? "";
        const url = asked.startsWith("/") ? `${scheme}://${request.headers.host ?? ""}${asked}` : asked;
        const service = url.startsWith(`${repository}/`) ? url.slice(repository.length + 1) : undefined;
        if (service === "info/refs?service=git-upload-pack") {
          response.writeHead(200, { "content-type": "application/x-git-upload-pack-advertisement" });
          response.end(advertisement);
          return;
        }
        if (service === "git-upload-pack" && request.method === "POST") {
          const body = await readRequest(request);
          response.writeHead(200, { "content-type": "application/x-git-upload-pack-result" });
          response.end(uploadPack(body.toString("latin1")));
          return;
        }
        others.add(url);
        response.writeHead(404, { "content-type": "text/plain" });
        response.end("not the repository of this check\n");
      };
      answer().catch(() => response.destroy());
    };

  const tunnel = createSecureServer(selfSigned("bake check"), listener("https"));
  const server = createServer(listener("http"));
  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    // A client that goes away in the middle.
    socket.on("error", () => socket.destroy());
  };
  server.on("connection", keep);
  server.on("connect", (_request, socket: Socket, head) => {
    socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
    if (head.length > 0) socket.unshift(head);
    tunnel.emit("connection", socket);
  });
  tunnel.on("tlsClientError", (_error, socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    elsewhere: () => [...others],
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    },
  };
};
