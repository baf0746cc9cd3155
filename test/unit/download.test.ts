/** Downloads from bad sources: each with its message, none with a wrong file in the store. */
import { spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import {
  appendFileSync,
  chmodSync,
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { open } from "node:fs/promises";
import type { Readable } from "node:stream";
import { setImmediate } from "node:timers/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { BakeError } from "../../src/errors.ts";
import { pidNamespace } from "../../src/host/process-identity.ts";
import { downloadAll } from "../../src/store/download.ts";
import { type Http, type HttpResponse, makeHttp, withFiles } from "../../src/store/http.ts";
import { HttpError, reasonOf } from "../../src/store/http-error.ts";
import { Part } from "../../src/store/part.ts";
import { Store } from "../../src/store/store.ts";
import type {
  DownloadEdges,
  Downloaded,
  DownloadOptions,
  DownloadRequest,
  TransferEvent,
} from "../../src/store/transfer.ts";
import { type Fault, type FaultServer, startFaultServer } from "../fault-server.ts";

let folder = "";
let store: Store;
let server: FaultServer;
let events: TransferEvent[] = [];
let slept: number[] = [];
/** Bytes that the client has read of the last answer for a path. */
let read = new Map<string, number>();
let bodies = new Map<string, Readable>();

/** Until something is so: no time is meant, only turns of this process. */
const until = async (isSo: () => boolean): Promise<void> => {
  while (!isSo()) await setImmediate();
};

/** A fault that holds an answer after so many bytes, until it is released. */
const held = (holdAfter: number): { readonly fault: Fault; readonly release: () => void } => {
  let release = (): void => undefined;
  const released = new Promise<void>((done) => {
    release = done;
  });
  return { fault: { holdAfter, released }, release };
};

const hasRead = (path: string, bytes: number): Promise<void> => until(() => (read.get(path) ?? 0) >= bytes);

/** The real client, which says what was read of a body once whoever reads it comes back for more. */
const watched =
  (http: Http): Http =>
  async (url, options) => {
    // Before it is asked for: the server may look at once.
    read.set(new URL(url).pathname, 0);
    const response = await http(url, options);
    const { body } = response;
    const path = new URL(response.url).pathname;
    bodies.set(path, body);
    const chunks = body[Symbol.asyncIterator].bind(body);
    body[Symbol.asyncIterator] = async function* () {
      for await (const chunk of { [Symbol.asyncIterator]: chunks }) {
        yield chunk;
        read.set(path, (read.get(path) ?? 0) + (chunk as Buffer).length);
      }
    };
    return response;
  };

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "bake-download-"));
  store = new Store(join(folder, "store"));
  server = await startFaultServer();
  server.hasRead = hasRead;
  // What undici does after its time: that it does so is seen below.
  server.onStall = (path, bytes) =>
    void hasRead(path, bytes).then(() =>
      bodies.get(path)?.destroy(Object.assign(new Error("Body Timeout Error"), { code: "UND_ERR_BODY_TIMEOUT" })),
    );
  events = [];
  slept = [];
  read = new Map();
  bodies = new Map();
});
afterEach(async () => {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

const digest = (content: Buffer): string => createHash("sha256").update(content).digest("hex");

/** Serves random bytes at a path. @returns what asks for them. */
const serve = (path: string, size = 100_000): DownloadRequest & { readonly sha256: string; readonly size: number } => {
  const content = randomBytes(size);
  server.files.set(path, content);
  return { name: path.slice(1), urls: [server.url(path)], sha256: digest(content), size };
};

/** Milliseconds since the epoch. */
const clock = Date.UTC(2026, 0, 1);

const download = (
  requests: readonly DownloadRequest[],
  {
    signal = new AbortController().signal,
    onEvent = () => undefined,
    ...options
  }: DownloadOptions & { limit?: number; signal?: AbortSignal; onEvent?: (event: TransferEvent) => void } = {},
  into = store,
): Promise<Downloaded[]> => {
  const edges: DownloadEdges = {
    store: into,
    http: withFiles(watched(makeHttp())),
    now: () => clock,
    // Waiting is not what is tested; how long it would last is.
    sleep: async (milliseconds) => {
      slept.push(Math.round(milliseconds));
      await setImmediate();
    },
    random: () => 0.5,
    signal,
    onEvent: (event) => {
      events.push(event);
      onEvent(event);
    },
  };
  return downloadAll(requests, edges, { attempts: 3, ...options });
};

const failure = async (
  requests: readonly DownloadRequest[],
  options: DownloadOptions & { limit?: number } = {},
): Promise<{ code: string; message: string }> => {
  try {
    await download(requests, options);
  } catch (error) {
    if (error instanceof BakeError)
      return { code: error.code, message: error.message.replaceAll(String(server.port), "PORT") };
    throw error;
  }
  throw new Error("nothing failed");
};

const inStore = (root = store.root): string[] =>
  existsSync(join(root, "sha256"))
    ? readdirSync(join(root, "sha256"), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name))
    : [];
const tmp = (): string => join(store.root, "tmp");
/** A process of another machine. */
const stranger = "0123abcd-7-1";
const silent = (path: string): void => utimesSync(path, new Date(Date.now() - 120_000), new Date(Date.now() - 120_000));
const parts = (): string[] => readdirSync(join(store.root, "tmp")).toSorted();

describe("what arrives", () => {
  test("is in the store under its digest, read-only, and is asked for once", async () => {
    const [one, two] = [serve("/one"), serve("/two", 10)];
    expect(await download([one, two])).toEqual([
      { name: "one", sha256: one.sha256, size: 100_000, fetched: true },
      { name: "two", sha256: two.sha256, size: 10, fetched: true },
    ]);
    expect(readFileSync(store.path(one.sha256))).toEqual(server.files.get("/one"));
    expect(await download([one, two])).toEqual([
      { name: "one", sha256: one.sha256, size: 100_000, fetched: false },
      { name: "two", sha256: two.sha256, size: 10, fetched: false },
    ]);
    expect(server.requests).toHaveLength(2);
    expect(parts()).toEqual([]);
  });

  test("without a digest is hashed, and is what it is", async () => {
    const { sha256, size, ...request } = serve("/unknown");
    expect(await download([{ name: request.name, urls: request.urls }])).toEqual([
      { name: "unknown", sha256, size, fetched: true },
    ]);
  });

  test("may be empty", async () => {
    const empty = serve("/empty", 0);
    expect(await download([empty])).toMatchObject([{ size: 0, fetched: true }]);
  });

  test("comes from the first place that has it", async () => {
    const file = serve("/file");
    const [done] = await download([
      { ...file, urls: [server.url("/nowhere"), "http://127.0.0.1:1/refused", ...file.urls] },
    ]);
    expect(done).toMatchObject({ fetched: true });
  });

  test("when a stored file has another size than it should: it goes aside, and comes anew", async () => {
    const file = serve("/file");
    await download([file]);
    rmSync(store.path(file.sha256));
    writeFileSync(store.path(file.sha256), "cut off by somebody");
    expect(await download([file])).toMatchObject([{ fetched: true }]);
    expect(readFileSync(store.path(file.sha256))).toEqual(server.files.get("/file"));
    expect(readdirSync(join(store.root, "refused"))).toEqual([`${file.sha256}-changed`]);
  });
});

describe("a server that", () => {
  test("cuts the connection is asked for the rest alone", async () => {
    const file = serve("/file");
    server.faults.set("/file", [{ cutAfter: 30_000 }, { cutAfter: 30_000 }]);
    expect(await download([file])).toMatchObject([{ fetched: true }]);
    expect(server.requests.map(({ range }) => range)).toEqual([undefined, "bytes=30000-", "bytes=60000-"]);
    expect(events.filter(({ type }) => type === "retry")).toMatchObject([
      { name: "file", reason: "after 30.0 kB: the connection was cut", seconds: 1 },
      { name: "file", reason: "after 60.0 kB: the connection was cut", seconds: 1 },
    ]);
  });

  test("cuts it again and again gets there as long as bytes come", async () => {
    const file = serve("/file");
    server.faults.set(
      "/file",
      Array.from({ length: 9 }, () => ({ cutAfter: 10_000 })),
    );
    expect(await download([file])).toMatchObject([{ fetched: true }]);
    expect(server.requests).toHaveLength(10);
  });

  test("stalls is cut off and asked for the rest", async () => {
    const file = serve("/file");
    server.faults.set("/file", [{ stallAfter: 40_000 }]);
    expect(await download([file])).toMatchObject([{ fetched: true }]);
    expect(events.find(({ type }) => type === "retry")).toMatchObject({
      reason: "after 40.0 kB: it sends nothing any more",
    });
  });

  test("ignores Range gives the whole file again", async () => {
    const file = serve("/file");
    server.faults.set("/file", [{ cutAfter: 30_000 }, { ignoresRange: true }]);
    expect(await download([file])).toMatchObject([{ fetched: true }]);
    expect(server.requests.map(({ range }) => range)).toEqual([undefined, "bytes=30000-"]);
  });

  test("changes the file between two ranges gives the new one whole", async () => {
    const file = serve("/file");
    const now = server.files.get("/file") ?? Buffer.alloc(0);
    server.faults.set("/file", [{ cutAfter: 30_000, content: randomBytes(100_000) }]);
    expect(await download([file])).toMatchObject([{ fetched: true }]);
    expect(readFileSync(store.path(file.sha256))).toEqual(now);
  });

  test("changes it and does not say so is asked once more from the beginning", async () => {
    const file = serve("/file");
    server.faults.set("/file", [
      { cutAfter: 30_000, content: randomBytes(100_000), anonymous: true },
      { anonymous: true },
    ]);
    expect(await download([file])).toMatchObject([{ fetched: true }]);
    expect(server.requests.map(({ range }) => range)).toEqual([undefined, "bytes=30000-", undefined]);
  });

  test("is busy is waited for as long as it asks, or longer each time", async () => {
    const file = serve("/file");
    const soon = new Date(clock + 30_000).toUTCString();
    server.faults.set("/file", [
      { status: 429, retryAfter: "7" },
      { status: 503, retryAfter: soon },
    ]);
    expect(await download([file])).toMatchObject([{ fetched: true }]);
    expect(slept[0]).toBe(7000);
    expect(slept[1]).toBe(30_000);
    const other = serve("/other");
    slept = [];
    server.faults.set("/other", [{ status: 500 }, { status: 503 }]);
    await download([other]);
    expect(slept).toEqual([1000, 2000]);
  });

  test.each([
    ["says less than it sends", { length: 50_000 }, "it has 50000 bytes, 100000 are expected"],
    ["says more than it sends", { length: 150_000 }, "it has 150000 bytes, 100000 are expected"],
    ["does not have it", { status: 404 }, "it answers 404"],
    ["does not let us", { status: 403 }, "it answers 403"],
    ["wants too much patience", { status: 503, retryAfter: "9999" }, "it answers 503 and wants 9999 s of patience"],
    ["redirects to no URL", { redirect: "http://[" }, "it redirects to no URL"],
    ["redirects to a file", { redirect: "file:///etc/passwd" }, "it redirects to file:"],
  ])("%s is given up", async (_, fault, reason) => {
    const file = serve("/file");
    server.faults.set("/file", [fault]);
    const { code, message } = await failure([file]);
    expect(code).toBe("BK214");
    expect(message).toBe(`file cannot be fetched:\n  http://127.0.0.1:PORT/file: ${reason}`);
    expect(inStore()).toEqual([]);
  });

  test("redirects in a circle is given up", async () => {
    const file = serve("/file");
    server.faults.set(
      "/file",
      Array.from({ length: 20 }, () => ({ redirect: "/file" })),
    );
    expect((await failure([file])).message).toBe(
      "file cannot be fetched:\n  http://127.0.0.1:PORT/file: more than 8 redirects",
    );
  });

  test("answers 500 for ever is given up after some attempts, and said without what the query holds", async () => {
    const file = serve("/file");
    server.faults.set(
      "/file",
      Array.from({ length: 20 }, () => ({ status: 500 })),
    );
    const urls = [`${server.url("/file")}?signature=secret`.replace("http://", "http://user:password@")];
    const { message } = await failure([{ ...file, urls }]);
    expect(message).toBe("file cannot be fetched:\n  http://127.0.0.1:PORT/file?…: it answers 500, 3 times");
  });

  test("gives other bytes: they are kept aside, and no other place is tried with them", async () => {
    const file = serve("/file");
    const other = randomBytes(100_000);
    server.faults.set("/file", [{ content: other }]);
    const { code, message } = await failure([file]);
    expect(code).toBe("BK210");
    expect(message).toBe(
      `file is not what the lock names: http://127.0.0.1:PORT/file\n  expected sha256 ${file.sha256}\n  found    sha256 ${digest(other)}, 100000 bytes`,
    );
    expect(inStore()).toEqual([]);
    expect(readFileSync(join(store.root, "refused", `${file.sha256}-${digest(other)}`))).toEqual(other);
    expect(parts()).toEqual([]);
  });
});

describe("a file that nobody gives a digest of", () => {
  const unknown = (path: string, size?: number): { request: DownloadRequest; sha256: string } => {
    const { name, urls, sha256 } = serve(path, size);
    return { request: { name, urls }, sha256 };
  };

  test("is gone on with where the server says that it is the same still", async () => {
    const { request, sha256 } = unknown("/file");
    server.faults.set("/file", [{ cutAfter: 30_000 }]);
    expect(await download([request])).toMatchObject([{ sha256 }]);
    expect(server.requests.map(({ range }) => range)).toEqual([undefined, "bytes=30000-"]);
  });

  test("is never put together from two files", async () => {
    for (const faults of [
      // No ETag at all.
      [{ cutAfter: 30_000, content: randomBytes(100_000), anonymous: true }, { anonymous: true }],
      // Another one, and the condition is not looked at.
      [{ cutAfter: 30_000, content: randomBytes(100_000) }, { ignoresIfRange: true }],
      // The same for other bytes.
      [{ cutAfter: 30_000, content: randomBytes(100_000), etag: 'W/"weak"' }, { etag: 'W/"weak"' }],
      // A part of the rest, of what length it does not say.
      [{ cutAfter: 30_000 }, { shortRange: 20_000 }],
      // Another length.
      [{ cutAfter: 30_000, content: randomBytes(90_000), etag: '"same"' }, { etag: '"same"' }],
    ] as const) {
      const { request, sha256 } = unknown("/file");
      server.faults.set("/file", [...faults]);
      expect(await download([request])).toMatchObject([{ sha256, size: 100_000 }]);
      expect(parts()).toEqual([]);
    }
  });

  test("is asked for from the beginning after another machine began it", async () => {
    const { request, sha256 } = unknown("/file");
    server.faults.set("/file", [{ cutAfter: 30_000 }, { status: 403 }]);
    await failure([request]);
    const [record = ""] = parts().filter((name) => name.endsWith(".json"));
    const path = join(tmp(), record);
    writeFileSync(path, readFileSync(path, "utf8").replace(pidNamespace(), "0123abcd"));
    expect(await download([request])).toMatchObject([{ sha256 }]);
    expect(server.requests.at(-1)?.range).toBeUndefined();
  });

  test("is given up when it only ever comes in part", async () => {
    const { request } = unknown("/file");
    const cuts = Array.from({ length: 40 }, (_, index) => ({
      cutAfter: index % 2 === 0 ? 30_000 : 10_000,
      anonymous: true as const,
    }));
    server.faults.set("/file", cuts);
    const { code } = await failure([request]);
    expect(code).toBe("BK214");
    expect(server.requests.length).toBeLessThan(6);
  });
});

describe("a place that", () => {
  test("is silent is given up once, not for every file", async () => {
    const files = ["/a", "/b", "/c"].map((path) => ({ ...serve(path), urls: [`http://127.0.0.1:1${path}`] }));
    const { message } = await failure(files, { limit: 1 });
    expect(message.replaceAll("BK214 ", "")).toBe(
      ["3 of 3 downloads failed:", "  http://127.0.0.1:1: nothing listens there (a, b, c)"].join("\n"),
    );
    expect(slept).toHaveLength(2);
  });

  test("wants a login that is not to be had is passed over for the next", async () => {
    const file = serve("/file");
    const headers = (url: string) =>
      url.includes("?mirror")
        ? Promise.reject(new BakeError("BK252", "mirror.example.com does not let this machine read it"))
        : Promise.resolve({});
    const request = { ...file, urls: [`${server.url("/file")}?mirror`, ...file.urls], headers };
    expect(await download([request])).toMatchObject([{ fetched: true }]);
    rmSync(store.path(file.sha256));
    expect((await failure([{ ...request, urls: request.urls.slice(0, 1) }])).message).toBe(
      "file cannot be fetched:\n  http://127.0.0.1:PORT/file?…: mirror.example.com does not let this machine read it",
    );
  });

  test("gave a part is gone on from at another place", async () => {
    const file = serve("/file");
    server.files.set("/mirror", server.files.get("/file") ?? Buffer.alloc(0));
    server.faults.set("/mirror", [{ cutAfter: 70_000 }, { status: 404 }]);
    expect(await download([{ ...file, urls: [server.url("/mirror"), ...file.urls] }])).toMatchObject([
      { fetched: true },
    ]);
    expect(server.requests.map(({ path, range }) => `${path} ${range}`)).toEqual([
      "/mirror undefined",
      "/mirror bytes=70000-",
      "/file bytes=70000-",
    ]);
  });
});

test("what is told of a download holds no signature of its URL, and what is kept of it neither", async () => {
  const file = serve("/file");
  server.faults.set("/file", [{ cutAfter: 30_000 }, { status: 403 }]);
  await failure([{ ...file, urls: [`${server.url("/file")}?signature=hunter2`] }]);
  expect(JSON.stringify(events)).not.toContain("hunter2");
  expect(parts().map((name) => readFileSync(join(tmp(), name), "latin1"))).not.toContainEqual(
    expect.stringContaining("hunter2"),
  );
});

describe("settings that cannot be used", () => {
  test.each([
    [{ https_proxy: "socks5://127.0.0.1:1" }, "HTTPS_PROXY names no proxy that bake can use"],
    [{ HTTP_PROXY: "http://:::" }, "HTTP_PROXY names no proxy that bake can use"],
    [
      { SSL_CERT_FILE: "/nowhere.pem" },
      "SSL_CERT_FILE cannot be read: ENOENT: no such file or directory, open '/nowhere.pem'",
    ],
  ])("%j", (env, message) => {
    expect(() => makeHttp({ env })).toThrow(expect.objectContaining({ code: "BK219", message }));
  });
});

describe("credentials", () => {
  const headers = () => Promise.resolve({ authorization: "Bearer of-this-host", cookie: "a=b", "x-token": "another" });

  test("go no further than to the host that they are for", async () => {
    const file = serve("/file");
    const elsewhere = await startFaultServer();
    try {
      elsewhere.files.set("/there", server.files.get("/file") ?? Buffer.alloc(0));
      server.faults.set("/file", [{ redirect: elsewhere.url("/there") }]);
      expect(await download([{ ...file, headers }])).toMatchObject([{ fetched: true }]);
      expect(server.requests[0]?.headers).toMatchObject({ authorization: "Bearer of-this-host", cookie: "a=b" });
      expect(elsewhere.requests[0]?.headers["authorization"]).toBeUndefined();
      expect(elsewhere.requests[0]?.headers["cookie"]).toBeUndefined();
      // Whatever its name, it may be one.
      expect(elsewhere.requests[0]?.headers["x-token"]).toBeUndefined();
      expect(server.requests[0]?.headers["x-token"]).toBe("another");
    } finally {
      await elsewhere.close();
    }
  });

  test("stay for a redirect within the host, and are asked for again once they have run out", async () => {
    const file = serve("/file");
    server.files.set("/moved", server.files.get("/file") ?? Buffer.alloc(0));
    server.faults.set("/file", [{ status: 401 }, { redirect: "/moved" }]);
    let asked = 0;
    await download([{ ...file, headers: () => Promise.resolve({ authorization: `token-${++asked}` }) }]);
    expect(server.requests.map((request) => request.headers["authorization"])).toEqual([
      "token-1",
      "token-2",
      "token-2",
    ]);
  });
});

describe("TLS", () => {
  let tls: FaultServer;
  let certificate = "";
  const scratch = mkdtempSync(join(tmpdir(), "bake-tls-"));
  beforeAll(async () => {
    certificate = join(scratch, "cert.pem");
    const made = spawnSync("openssl", [
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"],
      ...["-keyout", join(scratch, "key.pem"), "-out", certificate, "-subj", "/CN=127.0.0.1"],
      ...["-addext", "subjectAltName=IP:127.0.0.1"],
    ]);
    expect(made.status, made.stderr.toString()).toBe(0);
    tls = await startFaultServer({
      key: readFileSync(join(scratch, "key.pem"), "utf8"),
      cert: readFileSync(certificate, "utf8"),
    });
  });
  afterAll(async () => {
    await tls.close();
    rmSync(scratch, { recursive: true, force: true });
  });
  const through = (request: DownloadRequest, certificates?: string): Promise<Downloaded[]> =>
    downloadAll(
      [request],
      {
        store,
        http: makeHttp(certificates === undefined ? {} : { env: { SSL_CERT_FILE: certificates } }),
        now: Date.now,
        sleep: () => Promise.resolve(),
        random: () => 0,
        signal: new AbortController().signal,
      },
      { attempts: 4 },
    );

  test("a private authority is taken from its file, and nothing else is trusted", async () => {
    const file = serve("/file");
    tls.files.set("/file", server.files.get("/file") ?? Buffer.alloc(0));
    const request = { ...file, urls: [tls.url("/file")] };
    await expect(through(request)).rejects.toThrow(
      /its certificate is not trusted \(DEPTH_ZERO_SELF_SIGNED_CERT\); a private authority goes into SSL_CERT_FILE$/,
    );
    expect(await through(request, certificate)).toMatchObject([{ fetched: true }]);
  });

  test("a redirect from https to http is not followed", async () => {
    const file = serve("/file");
    tls.faults.set("/file", [{ redirect: server.url("/file") }]);
    await expect(through({ ...file, urls: [tls.url("/file")] }, certificate)).rejects.toThrow(
      `it redirects from https down to http://127.0.0.1:${server.port}`,
    );
    expect(server.requests).toEqual([]);
  });
});

describe("a proxy", () => {
  const through = async (request: DownloadRequest, handle: (proxy: Server) => void): Promise<Downloaded[]> => {
    const proxy = createServer();
    handle(proxy);
    await new Promise<void>((done) => proxy.listen(0, "127.0.0.1", done));
    const address = proxy.address();
    const url = `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
    try {
      return await downloadAll(
        [request],
        {
          store,
          // One without a scheme, as curl takes it too.
          http: makeHttp({ env: { http_proxy: url.replace("http://", ""), HTTPS_PROXY: url } }),
          now: Date.now,
          sleep: () => Promise.resolve(),
          random: () => 0,
          signal: new AbortController().signal,
        },
        { attempts: 2 },
      );
    } finally {
      proxy.close();
      proxy.closeAllConnections();
    }
  };

  test("is asked for plain http as it is, without a tunnel", async () => {
    const file = serve("/file");
    const asked: string[] = [];
    await through(file, (proxy) =>
      proxy.on("request", (request: IncomingMessage, response: ServerResponse) => {
        asked.push(`${request.method} ${request.url}`);
        response.end(server.files.get("/file"));
      }),
    );
    expect(asked).toEqual([`GET ${server.url("/file")}`]);
    expect(server.requests).toEqual([]);
  });

  test("that answers nothing ends in an error, not in a circle", async () => {
    const file = serve("/file");
    let connections = 0;
    const failed = through({ ...file, urls: ["https://host.invalid/file"] }, (proxy) =>
      proxy.on("connect", (_request, socket) => {
        connections++;
        socket.destroy();
      }),
    );
    await expect(failed).rejects.toThrow(/^file cannot be fetched:\n {2}https:\/\/host\.invalid\/file: .*, 2 times$/);
    expect(connections).toBeLessThan(10);
  });
});

describe("the disk", () => {
  test("that has no room for what is missing: nothing is started", async () => {
    const file = serve("/file");
    const { code, message } = await failure([{ ...file, size: 1e15 }]);
    expect(code).toBe("BK212");
    expect(message).toMatch(/^1000000\.00 GB are to be fetched, and .* has .* free$/);
    expect(server.requests).toEqual([]);
  });

  test("that runs full: what arrived stays, and is gone on with", async () => {
    const small = join(folder, "small");
    mkdirSync(small);
    const mount = spawnSync("mount", ["-t", "tmpfs", "-o", "size=4m", "tmpfs", small]);
    expect(mount.status, mount.stderr.toString()).toBe(0);
    try {
      const full = new Store(join(small, "store"));
      // Nobody says how large it is, so that the room cannot be counted before.
      const { sha256, urls, name } = serve("/large", 8_000_000);
      await expect(download([{ name, urls, sha256 }], {}, full)).rejects.toMatchObject({
        code: "BK212",
        message: `the disk of ${full.root} is full`,
      });
      const [part = ""] = readdirSync(join(full.root, "tmp")).filter((each) => each.endsWith(".part"));
      expect(readFileSync(join(full.root, "tmp", part)).length).toBeGreaterThan(2_000_000);
      const said = { code: "BK212", message: `the disk of ${full.root} is full` };
      const local = join(folder, "local");
      writeFileSync(local, randomBytes(8_000_000));
      await expect(full.addContent(readFileSync(local))).rejects.toMatchObject(said);
      await expect(full.add(local)).rejects.toMatchObject(said);
      expect(readdirSync(join(full.root, "tmp")).filter((each) => each.endsWith(".part"))).toEqual([part]);
      // What cannot be read is no fault of the store's.
      await expect(full.add(join(folder, "none"))).rejects.toMatchObject({ code: "ENOENT" });
      expect(spawnSync("mount", ["-o", "remount,size=16m", small]).status).toBe(0);
      expect(await download([{ name, urls, sha256 }], {}, full)).toMatchObject([{ fetched: true }]);
      expect(server.requests[1]?.range).toMatch(/^bytes=\d{7}-$/);
    } finally {
      spawnSync("umount", [small]);
    }
  });

  test("that cannot be written to", async () => {
    const small = join(folder, "read-only");
    mkdirSync(small);
    expect(spawnSync("mount", ["-t", "tmpfs", "-o", "ro", "tmpfs", small]).status).toBe(0);
    try {
      const readOnly = new Store(join(small, "store"));
      await expect(download([serve("/file")], {}, readOnly)).rejects.toMatchObject({
        code: "BK213",
        message: `the store cannot be written: ${readOnly.root} is read-only`,
      });
      const said = { code: "BK213", message: `the store cannot be written: ${readOnly.root} is read-only` };
      await expect(readOnly.addContent(Buffer.from("manifest"))).rejects.toMatchObject(said);
      await expect(readOnly.add("/etc/hostname")).rejects.toMatchObject(said);
    } finally {
      spawnSync("umount", [small]);
    }
  });
});

describe("a part", () => {
  const key = "a".repeat(64);
  const bytes = (text: string): Buffer => Buffer.from(text.repeat(256 << 10));

  test("has no hole after the disk failed once", async () => {
    const part = await Part.open(tmp(), key);
    const handle = await open(join(tmp(), "any"), "w");
    await handle.close();
    rmSync(join(tmp(), "any"));
    const prototype = Object.getPrototypeOf(handle) as { writev: (...parameters: unknown[]) => unknown };
    const { writev } = prototype;
    prototype.writev = () => Promise.reject(Object.assign(new Error("no room"), { code: "ENOSPC" }));
    try {
      void part.write(bytes("1"));
      void part.write(bytes("2"))?.catch(() => undefined);
      await expect(Promise.resolve(part.write(bytes("3")))).rejects.toThrow("no room");
    } finally {
      prototype.writev = writev;
    }
    await expect(Promise.resolve(part.write(bytes("4")))).rejects.toThrow("no room");
    await part.release();
    for (const name of parts()) expect(readFileSync(join(tmp(), name), "latin1")).toBe("");
  });

  test("that may not be written to is left, and one that is complete enters as of now", async () => {
    const file = serve("/file");
    mkdirSync(tmp(), { recursive: true });
    const left = join(tmp(), `${file.sha256}.free.00000001.part`);
    writeFileSync(left, server.files.get("/file") ?? "");
    chmodSync(left, 0o444);
    utimesSync(left, new Date(0), new Date(0));
    expect(await download([file])).toMatchObject([{ fetched: true }]);
    expect(server.requests).toEqual([]);
    expect(Date.now() - statSync(store.path(file.sha256)).mtimeMs).toBeLessThan(60_000);
  });
});

test("an interrupt while a folder is copied from ends in the interrupt", async () => {
  const path = join(folder, "mirrored");
  const content = randomBytes(40_000_000);
  writeFileSync(path, content);
  const file = { name: "file", sha256: digest(content), size: content.length, mirror: true };
  for (const moment of [undefined, "start", "progress"]) {
    const controller = new AbortController();
    const interrupt = (): void => controller.abort(new Error("interrupted"));
    const running = download([{ ...file, urls: [pathToFileURL(path).href] }], {
      signal: controller.signal,
      onEvent: ({ type }) => {
        if (type === moment) interrupt();
      },
    });
    if (moment === undefined) interrupt();
    await expect(running).rejects.toThrow("interrupted");
  }
  expect(await download([{ ...file, urls: [pathToFileURL(path).href] }])).toMatchObject([{ fetched: true }]);
});

test("many that find a stored file changed: it goes aside once, and comes once", async () => {
  const file = serve("/file");
  await download([file]);
  rmSync(store.path(file.sha256));
  writeFileSync(store.path(file.sha256), "cut off by somebody");
  const done = await Promise.all(Array.from({ length: 6 }, () => download([file])));
  expect(done.flat().filter(({ fetched }) => fetched)).toHaveLength(1);
  expect(readFileSync(store.path(file.sha256))).toEqual(server.files.get("/file"));
  expect(readdirSync(join(store.root, "refused"))).toEqual([`${file.sha256}-changed`]);
});

describe("several", () => {
  test("at once for the same file: one fetches, the other waits and has it", async () => {
    const file = serve("/file");
    const { fault, release } = held(30_000);
    server.faults.set("/file", [fault]);
    const running = Promise.all([download([file]), download([file])]);
    await until(() => events.some(({ type }) => type === "wait") && server.requests.length > 0);
    release();
    const both = await running;
    expect(both.flat().filter(({ fetched }) => fetched)).toHaveLength(1);
    expect(server.requests).toHaveLength(1);
    expect(events).toContainEqual({ type: "wait", name: "file", owner: process.pid });
  });

  test("a lock whose process is gone is taken over, and so is what it left", async () => {
    const file = serve("/file");
    const left = `${pidNamespace()}-999999999-1`;
    mkdirSync(tmp(), { recursive: true });
    writeFileSync(join(tmp(), `${file.sha256}.lock`), `${left} a`);
    const half = (server.files.get("/file") ?? Buffer.alloc(0)).subarray(0, 60_000);
    writeFileSync(join(tmp(), `${file.sha256}.${left}.00000001.part`), half);
    writeFileSync(join(tmp(), `${file.sha256}.${left}.00000002.part`), half.subarray(0, 10));
    expect(await download([file])).toMatchObject([{ fetched: true }]);
    expect(server.requests.map(({ range }) => range)).toEqual(["bytes=60000-"]);
    expect(parts()).toEqual([]);
  });

  test("a lock of another machine is waited for until it is silent; its part is copied, and it may write on", async () => {
    const file = serve("/file");
    const content = server.files.get("/file") ?? Buffer.alloc(0);
    mkdirSync(tmp(), { recursive: true });
    const lock = join(tmp(), `${file.sha256}.lock`);
    const part = join(tmp(), `${file.sha256}.${stranger}.00000001.part`);
    writeFileSync(lock, `${stranger} a`);
    const theirs = openSync(part, "w");
    try {
      writeSync(theirs, content.subarray(0, 60_000));
      const running = download([file]);
      await until(() => events.some(({ type }) => type === "wait"));
      expect(events).toEqual([{ type: "wait", name: "file", owner: 7 }]);
      silent(lock);
      silent(part);
      await until(() => events.some(({ type }) => type === "start"));
      // It was stopped, and comes back.
      ftruncateSync(theirs, 0);
      writeSync(theirs, randomBytes(100_000), 0, 100_000, 0);
      expect(await running).toMatchObject([{ fetched: true }]);
    } finally {
      closeSync(theirs);
    }
    expect(server.requests.map(({ range }) => range)).toEqual(["bytes=60000-"]);
    expect(readFileSync(store.path(file.sha256))).toEqual(content);
    expect(parts()).toEqual([]);
  });

  test("a part that another process takes away or adds to is fetched anew", async () => {
    for (const [path, meddle] of [
      ["/removed", (part: string) => rmSync(part)],
      ["/longer", (part: string) => appendFileSync(part, "not of this file")],
    ] as const) {
      const file = serve(path);
      const { fault, release } = held(50_000);
      server.faults.set(path, [fault]);
      const running = download([file]);
      await hasRead(path, 50_000);
      meddle(join(tmp(), parts().find((name) => name.endsWith(".part")) ?? ""));
      release();
      expect(await running).toMatchObject([{ fetched: true }]);
      expect(readFileSync(store.path(file.sha256))).toEqual(server.files.get(path));
      expect(parts()).toEqual([]);
    }
  });

  test("one that fails does not keep the others from arriving; all failures are told, sorted", async () => {
    const good = ["/a", "/b", "/c"].map((path) => serve(path));
    const { code, message } = await failure(
      [
        ...good,
        { name: "zebra", urls: [server.url("/zebra")], sha256: "0".repeat(64) },
        { name: "ape", urls: [server.url("/ape")], sha256: "1".repeat(64) },
      ],
      { limit: 2 },
    );
    expect(code).toBe("BK215");
    expect(message).toBe(
      [
        "2 of 5 downloads failed:",
        "  BK214 ape cannot be fetched:",
        "    http://127.0.0.1:PORT/ape: it answers 404",
        "  BK214 zebra cannot be fetched:",
        "    http://127.0.0.1:PORT/zebra: it answers 404",
      ].join("\n"),
    );
    expect(inStore()).toHaveLength(3);
  });

  test("no more than the limit at a time", async () => {
    const files = Array.from({ length: 6 }, (_, index) => serve(`/${index}`, 20_000));
    const { fault, release } = held(10_000);
    for (const path of ["/0", "/1"]) server.faults.set(path, [fault]);
    let [running, most] = [0, 0];
    const all = downloadAll(
      files,
      {
        store,
        http: makeHttp(),
        now: Date.now,
        sleep: () => Promise.resolve(),
        random: () => 0,
        signal: new AbortController().signal,
        onEvent: ({ type }) => {
          if (type === "start") most = Math.max(most, ++running);
          if (type === "done") running--;
        },
      },
      { limit: 2 },
    );
    await until(() => running === 2);
    expect(server.requests).toHaveLength(2);
    release();
    await all;
    expect(most).toBe(2);
  });

  test("an interrupt leaves what can be gone on with", async () => {
    const file = serve("/file", 400_000);
    server.faults.set("/file", [held(200_000).fault]);
    const controller = new AbortController();
    const running = download([file], { signal: controller.signal });
    await hasRead("/file", 200_000);
    controller.abort(new Error("interrupted"));
    await expect(running).rejects.toThrow();
    expect(inStore()).toEqual([]);
    expect(await download([file])).toMatchObject([{ fetched: true }]);
    expect(server.requests.at(-1)?.range).toBe("bytes=200000-");
  });
});

describe("a client that waits in vain", () => {
  /** However slow this machine is: asked until the question itself is answered in time. */
  const answered = async (path: string): Promise<HttpResponse> => {
    for (;;) {
      try {
        return await makeHttp({ stall: 50 })(server.url(path));
      } catch (error) {
        if (!(error instanceof HttpError && error.timedOut)) throw error;
      }
    }
  };

  test("for the rest of an answer says so", async () => {
    serve("/file");
    server.faults.set(
      "/file",
      Array.from({ length: 1000 }, () => ({ stallAfter: 40_000 })),
    );
    server.onStall = () => undefined;
    const failed = await (await answered("/file")).body.toArray().catch(reasonOf);
    expect(failed).toBe("it sends nothing any more");
  });

  test("for an answer says so", async () => {
    const mute = createServer(() => undefined);
    await new Promise<void>((done) => mute.listen(0, "127.0.0.1", done));
    const address = mute.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    try {
      await expect(makeHttp({ stall: 50 })(`http://127.0.0.1:${port}/`)).rejects.toMatchObject({
        message: "no answer in time",
        transient: true,
        timedOut: true,
      });
    } finally {
      mute.close();
      mute.closeAllConnections();
    }
  });
});
