/** A server of files with faults that are switched on for a path, each for so many requests. Counts what it sends. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";

export interface Fault {
  /** Sends so many bytes of the body, then cuts the connection. */
  readonly cutAfter?: number;
  /** Sends so many bytes, then nothing for ever. */
  readonly stallAfter?: number;
  /** Sends so many bytes, and the rest once `released` is settled. */
  readonly holdAfter?: number;
  readonly released?: Promise<void>;
  /** Says another length than the body has. */
  readonly length?: number;
  readonly status?: number;
  readonly retryAfter?: string;
  /** Answers a Range with the whole file. */
  readonly ignoresRange?: true;
  readonly redirect?: string;
  /** Serves this in the place of the file. */
  readonly content?: Buffer;
  /** Says nothing of what it is: no ETag. */
  readonly anonymous?: true;
  /** Sends so many bytes of a range, and does not say how many the whole has. */
  readonly shortRange?: number;
  /** In the place of its own. */
  readonly etag?: string;
  /** Goes on with what it has, whatever the condition is. */
  readonly ignoresIfRange?: true;
}

export interface FaultServer {
  readonly url: (path: string) => string;
  readonly port: number;
  readonly files: Map<string, Buffer>;
  /** For a path: one fault a request, in this order; then none. */
  readonly faults: Map<string, Fault[]>;
  readonly requests: {
    readonly path: string;
    readonly range: string | undefined;
    readonly headers: IncomingMessage["headers"];
  }[];
  /** Bytes of bodies. */
  sent: number;
  /** Bytes a second, for all connections; 0: as fast as it goes. */
  rate: number;
  /**
   * Waits until the client has read what was sent: whoever has not loses it when it is cut off. A client in this process can
   * say so; one in another gets 100 ms.
   */
  hasRead: (path: string, bytes: number) => Promise<void>;
  /** Called when it sends nothing any more. */
  onStall: (path: string, bytes: number) => void;
  readonly close: () => Promise<void>;
}

const etagOf = (content: Buffer): string => `"${content.length}-${content.subarray(0, 8).toString("hex")}"`;

const pause = (milliseconds: number): Promise<void> => new Promise((done) => setTimeout(done, milliseconds));

export const startFaultServer = async (tls?: { readonly key: string; readonly cert: string }): Promise<FaultServer> => {
  const state = {
    files: new Map<string, Buffer>(),
    faults: new Map<string, Fault[]>(),
    requests: [] as FaultServer["requests"],
    sent: 0,
    rate: 0,
    hasRead: (): Promise<void> => pause(100),
    onStall: (): void => undefined,
  } as Pick<FaultServer, "files" | "faults" | "requests" | "sent" | "rate" | "hasRead" | "onStall">;
  const send = async (
    path: string,
    response: ServerResponse,
    body: Buffer,
    { cutAfter, stallAfter, holdAfter = body.length, released }: Fault,
  ): Promise<void> => {
    const stop = cutAfter ?? stallAfter ?? body.length;
    const step = state.rate === 0 ? body.length : Math.max(1, Math.floor(state.rate / 50));
    for (let at = 0, end = 0; at < stop; at = end) {
      if (at === holdAfter) await released;
      end = Math.min(stop, at + step, at < holdAfter ? holdAfter : stop);
      const chunk = body.subarray(at, end);
      if (response.destroyed) return;
      state.sent += chunk.length;
      if (!response.write(chunk)) await new Promise((done) => response.once("drain", done).once("close", done));
      if (state.rate > 0) await pause(20);
    }
    if (stallAfter !== undefined) state.onStall(path, stallAfter);
    else if (cutAfter === undefined) response.end();
    else await state.hasRead(path, cutAfter).then(() => response.destroy());
  };
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    const path = new URL(request.url ?? "/", "http://x").pathname;
    const { range } = request.headers;
    state.requests.push({ path, range, headers: request.headers });
    const fault = state.faults.get(path)?.shift() ?? {};
    const file = fault.content ?? state.files.get(path);
    if (fault.redirect !== undefined) {
      response.writeHead(302, { location: fault.redirect }).end();
      return;
    }
    if (fault.status !== undefined || file === undefined) {
      response
        .writeHead(fault.status ?? 404, fault.retryAfter === undefined ? {} : { "retry-after": fault.retryAfter })
        .end("no");
      return;
    }
    const etag = fault.etag ?? etagOf(file);
    const ifRange = request.headers["if-range"];
    const start =
      fault.ignoresRange === true || (ifRange !== undefined && ifRange !== etag && fault.ignoresIfRange !== true)
        ? 0
        : Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1] ?? 0);
    if (start > 0 && start >= file.length) {
      response.writeHead(416).end();
      return;
    }
    const body = file.subarray(start, fault.shortRange === undefined ? undefined : start + fault.shortRange);
    response.writeHead(start > 0 ? 206 : 200, {
      "content-length": fault.length ?? body.length,
      ...(fault.anonymous !== true && { etag }),
      ...(start > 0 && {
        "content-range": `bytes ${start}-${start + body.length - 1}/${fault.shortRange === undefined ? file.length : "*"}`,
      }),
    });
    if (request.method === "HEAD") response.end();
    else void send(path, response, body, fault);
  };
  const server: Server = tls === undefined ? createServer(handle) : createTlsServer(tls, handle);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return Object.assign(state, {
    port,
    url: (path: string) => `${tls === undefined ? "http" : "https"}://127.0.0.1:${port}${path}`,
    close: () =>
      new Promise<void>((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  });
};
