/** `Web` over HTTP: what it repeats, what it follows, and what it says when something cannot be had. */
import { MockAgent } from "undici";
import { afterEach, describe, expect, test } from "vitest";
import { statusOf, type Web } from "../../src/lock/web.ts";
import { webOverHttp, type WebOptions } from "../../src/lock/web-http.ts";
import { type ReleaseServer, type Routes, startReleaseServer } from "../release-server.ts";

const servers: ReleaseServer[] = [];
let slept: number[] = [];
afterEach(async () => {
  slept = [];
  for (const server of servers.splice(0)) await server.close();
});

const web = (changes: Partial<WebOptions> = {}): Web =>
  webOverHttp({
    now: Date.now,
    random: () => 0.5,
    // Waiting is not what is tested; how long it would last is.
    sleep: (milliseconds) => Promise.resolve(void slept.push(milliseconds)),
    store: () => Promise.reject(new Error("not asked for")),
    signal: new AbortController().signal,
    env: {},
    pause: 1,
    timeout: 2000,
    longestPause: 50,
    ...changes,
  });

const serve = async (routes: Routes): Promise<ReleaseServer> => {
  const server = await startReleaseServer(routes);
  servers.push(server);
  return server;
};

const failure = async (promise: Promise<unknown>) => {
  const error = (await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )) as { code: string; message: string; help: string };
  return { code: error.code, message: error.message, help: error.help, status: statusOf(error) };
};

const trouble = "The server has trouble: try again later, or name a mirror in `sources` of the profile.";

describe("busy servers", () => {
  test("three times 500, then the file", async () => {
    const server = await serve({ "/a": [{ status: 500 }, { status: 500 }, { status: 500 }, { body: "the file" }] });
    expect(await web({ longestPause: 3 }).text(`${server.origin}/a`)).toBe("the file");
    expect(server.requests).toHaveLength(4);
    expect(slept).toEqual([1, 2, 3]);
  });

  test("always 503: asked five times, then an error without the query", async () => {
    const server = await serve({ "/a": { status: 503 } });
    expect(await failure(web().text(`${server.origin}/a?token=geheim`))).toEqual({
      code: "BK230",
      message: `${server.origin}/a?… answers 503 Service Unavailable`,
      help: trouble,
      status: 503,
    });
    expect(server.requests).toHaveLength(5);
  });

  test("Retry-After is waited for", async () => {
    const server = await serve({ "/a": [{ status: 429, headers: { "retry-after": "1" } }, { body: "now" }] });
    expect(await web({ longestPause: 5000 }).text(`${server.origin}/a`)).toBe("now");
    expect(slept).toEqual([1000]);
  });

  test("a used-up limit of requests is told from missing rights", async () => {
    const server = await serve({
      "/limit": { status: 403, headers: { "x-ratelimit-remaining": "0" } },
      "/closed": { status: 403 },
    });
    expect((await failure(web().text(`${server.origin}/limit`))).help).toBe(
      "The server answers only so many requests: try again later, or name a mirror in `sources` of the profile.",
    );
    expect((await failure(web().text(`${server.origin}/closed`))).help).toBe(
      "Does it need credentials, or does a proxy refuse it?",
    );
  });

  test("404 is not asked for again", async () => {
    const server = await serve({});
    expect(await failure(web().text(`${server.origin}/a`))).toEqual({
      code: "BK230",
      message: `${server.origin}/a answers 404 Not Found`,
      help: "Look at the version or name in the profile, and at its `sources`.",
      status: 404,
    });
    expect(server.requests).toEqual(["GET /a"]);
  });
});

test("a connection that breaks: the rest is asked for", async () => {
  const body = "0123456789";
  const server = await serve({ "/a": [{ body, cutAfter: 4 }, { body }] });
  expect(await web().text(`${server.origin}/a`)).toBe(body);
  expect(server.headers.map(({ range }) => range)).toEqual([undefined, "bytes=4-9"]);
});

test("a connection that breaks, of a server that has no ranges: no half a text", async () => {
  const body = "0123456789";
  const server = await serve({
    "/a": [
      { body, cutAfter: 4 },
      { body, whole: true },
    ],
  });
  expect(await web().text(`${server.origin}/a`)).toBe(body);
  expect(server.headers.map(({ range }) => range)).toEqual([undefined, "bytes=4-9"]);
});

test("a connection that always breaks", async () => {
  const server = await serve({ "/a": { body: "0123456789", cutAfter: 4 } });
  const { code, message } = await failure(web({ retries: 1 }).text(`${server.origin}/a`));
  expect([code, message]).toEqual(["BK230", `${server.origin}/a cannot be had: the connection was cut`]);
});

test("a server that is not there", async () => {
  const server = await serve({});
  await server.close();
  expect(await failure(web({ retries: 1 }).text(`${server.origin}/a`))).toEqual({
    code: "BK230",
    message: `${server.origin}/a cannot be had: nothing listens there`,
    help: "Is the network there? Behind a proxy, set HTTPS_PROXY; `sources` of the profile names mirrors.",
    status: undefined,
  });
});

test("a server that does not answer in time", async () => {
  const server = await serve({ "/a": { body: "late", delay: 5000 } });
  expect((await failure(web({ timeout: 50, retries: 0 }).text(`${server.origin}/a`))).message).toBe(
    `${server.origin}/a cannot be had: no answer in time`,
  );
});

test("a proxy of the environment is used, but for what NO_PROXY names", async () => {
  const server = await serve({ "/a": "direct" });
  const env = { https_proxy: "", HTTP_PROXY: "http://127.0.0.1:1" };
  expect((await failure(web({ env, retries: 0 }).text(`${server.origin}/a`))).code).toBe("BK230");
  expect(server.requests).toEqual([]);
  expect(await web({ env: { ...env, NO_PROXY: "127.0.0.1" } }).text(`${server.origin}/a`)).toBe("direct");
});

test("what was aborted rejects with the signal's reason", async () => {
  const server = await serve({ "/a": { body: "late", delay: 5000 } });
  const controller = new AbortController();
  const reason = new Error("Ctrl-C");
  setTimeout(() => controller.abort(reason), 30);
  await expect(web({ signal: controller.signal }).text(`${server.origin}/a`)).rejects.toBe(reason);
});

describe("what is not accepted", () => {
  test("an answer above the limit, also without a length", async () => {
    const server = await serve({ "/a": "x".repeat(2000) });
    expect(await failure(web({ limit: 1000 }).text(`${server.origin}/a`))).toEqual({
      code: "BK230",
      message: `${server.origin}/a sends more than 1000 bytes`,
      help: "That is no checksum file or list: is this the right URL?",
      status: undefined,
    });
    expect(await web({ limit: 2000 }).text(`${server.origin}/a`)).toHaveLength(2000);
  });

  test("bytes that are no text", async () => {
    const server = await serve({ "/a": Uint8Array.of(0xff, 0xfe, 0) });
    expect((await failure(web().text(`${server.origin}/a`))).message).toBe(`${server.origin}/a is no text`);
    expect([...(await web().bytes(`${server.origin}/a`))]).toEqual([0xff, 0xfe, 0]);
  });

  test("what is no URL", async () => {
    expect((await failure(web().text("releases/a"))).message).toBe("<not a URL> cannot be asked for");
    expect((await failure(web().text("file:///etc/passwd"))).code).toBe("BK230");
  });

  test("user information is not shown", async () => {
    const server = await serve({});
    const url = server.origin.replace("http://", "http://me:geheim@");
    expect((await failure(web().text(`${url}/a`))).message).toBe(`${server.origin}/a answers 404 Not Found`);
  });
});

describe("redirects", () => {
  test("headers stay with the origin they are for", async () => {
    const other = await serve({ "/b": "moved" });
    const server = await serve({
      "/a": { status: 302, headers: { location: `${other.origin}/b?X-Signature=geheim` } },
    });
    const headers = { authorization: "Bearer geheim" };
    expect(await web().text(`${server.origin}/a`, { headers })).toBe("moved");
    expect(server.headers[0]?.authorization).toBe("Bearer geheim");
    expect(other.headers[0]?.authorization).toBeUndefined();
  });

  test("where it failed is told, without the signature", async () => {
    const other = await serve({});
    const server = await serve({
      "/a": { status: 302, headers: { location: `${other.origin}/b?X-Signature=geheim` } },
    });
    expect((await failure(web().text(`${server.origin}/a`))).message).toBe(
      `${server.origin}/a (redirected to ${other.origin}/b?…) answers 404 Not Found`,
    );
  });

  test("in a circle", async () => {
    const server = await serve({ "/a": { status: 302, headers: { location: "/a" } } });
    expect(await failure(web().text(`${server.origin}/a`))).toEqual({
      code: "BK231",
      message: `${server.origin}/a redirects more than 5 times`,
      help: "Name another mirror in `sources` of the profile.",
      status: undefined,
    });
    expect(server.requests).toHaveLength(6);
  });

  test("from https to plain http", async () => {
    const dispatcher = new MockAgent();
    dispatcher.disableNetConnect();
    dispatcher
      .get("https://releases.example.com")
      .intercept({ path: "/checksums.txt" })
      .reply(302, "", { headers: { location: "http://mirror.example.com/checksums.txt?sig=geheim" } });
    expect(await failure(web({ dispatcher }).text("https://releases.example.com/checksums.txt"))).toEqual({
      code: "BK231",
      message:
        "https://releases.example.com/checksums.txt redirects to plain http: http://mirror.example.com/checksums.txt?…",
      help: "Name another mirror in `sources` of the profile.",
      status: undefined,
    });
  });

  test("to what is no web address", async () => {
    const server = await serve({ "/a": { status: 302, headers: { location: "file:///etc/passwd" } } });
    expect((await failure(web().text(`${server.origin}/a`))).message).toBe(
      `${server.origin}/a redirects to what is no http or https URL`,
    );
  });
});

describe("size", () => {
  test("as the server tells it, after redirects, without the file", async () => {
    const server = await serve({ "/a": { status: 302, headers: { location: "/b" } }, "/b": "12345" });
    expect(await web().size(`${server.origin}/a`)).toBe(5);
    expect(server.requests).toEqual(["HEAD /a", "HEAD /b"]);
  });

  test.each([
    ["a server that allows GET alone", { status: 405 }],
    ["a URL signed for GET alone", { status: 403 }],
    ["the size of what is compressed on the way", { headers: { "content-encoding": "gzip" } }],
  ])("unknown: %s", async (_, reply) => {
    const server = await serve({ "/a": reply });
    expect(await web().size(`${server.origin}/a`)).toBeUndefined();
  });

  test("a file that is not there is an error", async () => {
    const server = await serve({});
    expect(await failure(web().size(`${server.origin}/a`))).toMatchObject({ code: "BK230", status: 404 });
  });
});

describe("pages", () => {
  const read = async (pages: AsyncIterable<string>) => {
    const found: string[] = [];
    for await (const page of pages) found.push(page);
    return found;
  };

  test("to the end, each by the link of the one before", async () => {
    const server = await serve({
      "/list": {
        headers: { link: '<{origin}/list?page=9>; rel="last", <{origin}/list?page=2>; rel="next"' },
        body: "1",
      },
      "/list?page=2": { headers: { link: '<{origin}/list>; rel="first"' }, body: "2" },
    });
    expect(await read(web().pages(`${server.origin}/list`))).toEqual(["1", "2"]);
  });

  test("a second page that fails is an error, not a short list", async () => {
    const server = await serve({ "/list": { headers: { link: '<{origin}/gone>; rel="next"' }, body: "1" } });
    expect((await failure(read(web().pages(`${server.origin}/list`)))).message).toBe(
      `${server.origin}/gone answers 404 Not Found`,
    );
  });

  test("without end", async () => {
    const server = await serve({ "/list": { headers: { link: '<{origin}/list>; rel="next"' }, body: "1" } });
    expect((await failure(read(web().pages(`${server.origin}/list`)))).message).toBe(
      `${server.origin}/list has more than 100 pages`,
    );
    expect(server.requests).toHaveLength(100);
  });
});
