/** A token goes along where nobody on the way reads it, and is never told: by TLS, or to a server of this machine. */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Model } from "../../src/artifact.ts";
import type { Host } from "../../src/host/host.ts";
import { system } from "../../src/host/system.ts";
import { askSources } from "../../src/lock/ask.ts";
import { lastWordOf } from "../../src/lock/last-word.ts";
import type { Sources } from "../../src/node/requirement.ts";
import { makeRegistry } from "../../src/lock/sources/registry.ts";
import { headersAcross } from "../../src/store/redirects.ts";
import { Store } from "../../src/store/store.ts";
import { isConfidential, isLoopback } from "../../src/store/url.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bake-tokens-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const hostWith = (env: Host["env"] = {}): Host => ({
  ...system,
  run: () => Promise.reject(new Error("nothing is to be run")),
  env,
  cacheDir: folder,
  signal: new AbortController().signal,
  progress: { note: () => undefined, step: (_id, _title, work) => work(() => undefined) },
});

test.each([
  ["localhost", true],
  ["LOCALHOST:5000", true],
  ["127.0.0.1", true],
  ["127.3.2.1:5000", true],
  ["[::1]", true],
  ["[::1]:5000", true],
  ["localhost.example.com", false],
  ["127.0.0.1.example.com", false],
  ["1127.0.0.1", false],
  ["10.0.0.1:5000", false],
  ["[::2]:5000", false],
])("%s is this machine: %s", (host, wanted) => {
  expect(isLoopback(host)).toBe(wanted);
});

const ways: readonly (readonly [url: string, confidential: boolean])[] = [
  ["https://hub.example.com", true],
  ["http://localhost:8080", true],
  ["http://127.0.0.1", true],
  ["http://127.3.2.1:8080", true],
  ["http://[::1]:8080", true],
  ["http://hub.example.com", false],
  ["http://127.0.0.1.example.com", false],
  // Here localhost is a user's name.
  ["http://localhost:80@hub.example.com", false],
  ["http://10.0.0.1", false],
];

test.each([...ways, ["ftp://localhost", false], ["localhost", false]] as const)(
  "%s is confidential: %s",
  (url, wanted) => {
    expect(isConfidential(url)).toBe(wanted);
  },
);

describe("the token of a model hub", () => {
  const modelAt = (url: string): Model =>
    ({
      name: "model",
      kind: "model",
      hub: "huggingface",
      repository: "one/model",
      asked: "main",
      version: "0".repeat(40),
      trust: "hub",
      files: [{ path: "config.json", url: `${url}/one/model/config.json`, size: 1, sha256: "0".repeat(64) }],
    }) as unknown as Model;

  test.each(ways)("to %s: %s", async (huggingface, confidential) => {
    const sources = { huggingface, insecureRegistries: [] } as unknown as Sources;
    const { requests } = await askSources(hostWith({ HF_TOKEN: "hf-token" }), new Store(folder), {
      sources,
      crane: () => Promise.reject(new Error("no image is asked for")),
    });
    const [request] = await requests([modelAt(huggingface)]);
    const [url = ""] = request?.urls ?? [];
    expect(await request?.headers?.(url)).toEqual(confidential ? { authorization: "Bearer hf-token" } : {});
    expect(await request?.headers?.("https://elsewhere.example.com/one/model")).toEqual({});
  });
});

describe("the login of a registry", () => {
  /** A proxy that answers every question in http, for whatever host it is. */
  const answeringProxy = async (): Promise<{
    readonly url: string;
    readonly asked: string[];
    readonly end: () => void;
  }> => {
    const asked: string[] = [];
    const proxy = createServer(({ url = "" }, response) => {
      asked.push(url);
      response.writeHead(401).end();
    });
    await new Promise<void>((done) => proxy.listen(0, "127.0.0.1", done));
    const end = (): void => {
      proxy.close();
      proxy.closeAllConnections();
    };
    return { url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`, asked, end };
  };

  test("does not go without TLS to another machine, which is asked through the proxy as crane would", async () => {
    const { url, asked, end } = await answeringProxy();
    try {
      const registry = makeRegistry(hostWith({ HTTP_PROXY: url }), "crane");
      await expect(registry.base("10.1.2.3:5000")).rejects.toMatchObject({
        code: "BK253",
        message: "10.1.2.3:5000 speaks http without TLS",
      });
      expect(asked).toEqual(["http://10.1.2.3:5000/v2/"]);
    } finally {
      end();
    }
  });

  test("goes to this machine in http, by no proxy, as crane does", async () => {
    const own = await answeringProxy();
    try {
      const local = own.url.replace("http://", "");
      const registry = makeRegistry(hostWith({ HTTP_PROXY: "http://127.0.0.1:1" }), "crane");
      expect(await registry.base(local)).toBe(`http://${local}`);
      expect(own.asked).toEqual(["/v2/"]);
    } finally {
      own.end();
    }
  });

  test("goes by TLS to all others, unless the profile says else", async () => {
    const status = (): Promise<number> => Promise.resolve(401);
    const registry = makeRegistry(hostWith(), "crane", { insecure: ["plain.example.com"], plainStatus: status });
    expect(await registry.base("quay.io")).toBe("https://quay.io");
    expect(await registry.base("docker.io")).toBe("https://index.docker.io");
    expect(await registry.base("127.9.9.9:5000")).toBe("http://127.9.9.9:5000");
    expect(await registry.base("[::1]:5000")).toBe("http://[::1]:5000");
    expect(await registry.base("plain.example.com")).toBe("http://plain.example.com");
  });
});

test("to another origin no header goes that may hold a credential", () => {
  const headers = {
    Authorization: "Bearer x",
    cookie: "x",
    "private-token": "x",
    "User-Agent": "bake",
    range: "bytes=1-",
  };
  const kept = { "User-Agent": "bake", range: "bytes=1-" };
  expect(headersAcross(headers, "https://one.example.com/a", "https://one.example.com/b")).toEqual(headers);
  expect(headersAcross(headers, "https://one.example.com/a", "https://two.example.com/a")).toEqual(kept);
  expect(headersAcross(headers, "https://one.example.com/a", "https://one.example.com:444/a")).toEqual(kept);
});

test.each([
  ["", ""],
  ["Cloning into 'x'...\nfatal: could not read\nhint: try this\n", "could not read"],
  [
    "Error: GET https://user:pw@quay.io/v2/?scope=a:b: UNAUTHORIZED: no\n",
    "GET https://quay.io/v2/?…: UNAUTHORIZED: no",
  ],
  ['Get "/token?sig=abc": EOF', 'Get "/token?…": EOF'],
  ["what\u0007is it? nothing", "what is it? nothing"],
])("the last word of %j", (stderr, wanted) => {
  expect(lastWordOf(stderr)).toBe(wanted);
});
