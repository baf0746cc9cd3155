/** A trial's local source: serves a folder on loopback as release hosts and a registry would. */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { join, normalize } from "node:path";
import { pipeline } from "node:stream/promises";

export interface SourceServer {
  readonly port: number;
  readonly close: () => Promise<void>;
}

/** `bytes=5-`: all that downloads ask for. */
const startOf = (request: IncomingMessage): number =>
  Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);

const answer = async (folder: string, request: IncomingMessage, response: ServerResponse): Promise<void> => {
  const { pathname, searchParams } = new URL(request.url ?? "/", "http://source");
  // ModelScope names a file of a model in the query.
  const asked = searchParams.get("FilePath");
  const path = decodeURIComponent(pathname) + (asked === null ? "" : `/file/${asked}`);
  if (path === "/v2/") {
    response.writeHead(200, { "content-type": "application/json" }).end("{}");
    return;
  }
  const file = join(folder, normalize(path));
  const found = await stat(file).catch(() => undefined);
  if (found?.isFile() !== true) {
    response.writeHead(404, { "content-type": "text/plain" }).end("not here\n");
    return;
  }
  const start = startOf(request);
  response.writeHead(start > 0 ? 206 : 200, {
    "content-length": found.size - start,
    "content-type": path.includes("/manifests/")
      ? "application/vnd.oci.image.manifest.v1+json"
      : "application/octet-stream",
    ...(start > 0 && { "content-range": `bytes ${start}-${found.size - 1}/${found.size}` }),
  });
  if (request.method === "HEAD") response.end();
  else await pipeline(createReadStream(file, { start }), response);
};

/**
 * Serves a folder on 127.0.0.1 until it is closed. The port is the system's to choose.
 * @throws NodeJS.ErrnoException when it cannot listen.
 */
export const serveSource = async (folder: string): Promise<SourceServer> => {
  const server = createServer((request, response) => {
    answer(folder, request, response).catch(() => response.destroy());
  });
  await new Promise<void>((done, failed) => {
    server.once("error", failed);
    server.listen(0, "127.0.0.1", done);
  });
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    close: () =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
};
