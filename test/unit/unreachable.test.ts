/** Dead hosts are told once, and before anything is built that only they would need. */
import { describe, expect, test } from "vitest";
import { BakeError } from "../../src/errors.ts";
import { bySilentHost, requireAnyHost, UnreachableError } from "../../src/lock/unreachable.ts";
import { startReleaseServer } from "../release-server.ts";

const { signal } = new AbortController();
const dead = "http://127.0.0.1:1";

describe("hosts that do not answer", () => {
  test("are a line each, with what was asked there", async () => {
    const places = ["a", "b", "c", "d", "e", "f"].map((name) => ({ url: `${dead}/${name}?signed`, name }));
    const found = requireAnyHost([...places, { url: "http://127.0.0.1:2/x", name: "x" }], { env: {}, signal });
    await expect(found).rejects.toMatchObject({
      code: "BK230",
      message:
        "2 hosts do not answer:\n  127.0.0.1:1: nothing listens there (a, b, c, d and 2 more)\n  127.0.0.1:2: nothing listens there (x)",
      help: expect.stringContaining("HTTPS_PROXY") as string,
    });
  });

  test("are no matter when another one does, whatever it says", async () => {
    const server = await startReleaseServer({});
    try {
      const places = [
        { url: `${dead}/a`, name: "a" },
        { url: `${server.origin}/missing`, name: "b" },
      ];
      await expect(requireAnyHost(places, { env: {}, signal })).resolves.toBeUndefined();
    } finally {
      await server.close();
    }
  });

  test("without anything to ask there is nothing to miss", async () => {
    await expect(requireAnyHost([], { env: {}, signal })).resolves.toBeUndefined();
  });
});

describe("failures by what is behind them", () => {
  const web = (name: string, host: string) => ({
    name,
    error: new BakeError("BK230", `https://${host}/${name}/sums?… cannot be had: the host is not known`),
  });
  const crane = (name: string, registry: string, said: string) => ({
    name,
    error: new BakeError(
      "BK253",
      `${registry} does not answer for ${registry}/${name}`,
      `${said}\nA proxy is taken from HTTPS_PROXY.`,
    ),
  });
  const missing = { name: "goss", error: new BakeError("BK230", "https://github.com/goss answers 404 Not Found") };

  test("thirteen of one dead network are a line a host", () => {
    const failures = [
      {
        name: "docker",
        error: new BakeError(
          "BK214",
          "docker cannot be fetched:\n  https://download.docker.com/x.tgz: the host is not known, 3 times",
        ),
      },
      ...["buildx", "agent", "goss"].map((name) => web(name, "github.com")),
      ...["a:1", "b:1", "c:1", "d:1", "e:1"].map((name) =>
        crane(name, "quay.io", 'Get "https://quay.io/v2/": dial tcp: lookup quay.io on 10.0.0.2:53: no such host'),
      ),
      ...["f:1", "g:1", "h:1"].map((name) => crane(name, "docker.io", "dial tcp 10.0.0.1:443: i/o timeout")),
      web("openeuler", "repo.openeuler.org"),
    ];
    expect(failures).toHaveLength(13);
    const { unreachable, others } = bySilentHost(failures);
    expect(others).toEqual([]);
    expect(unreachable?.message.split("\n")).toEqual([
      "5 hosts do not answer:",
      "  download.docker.com: the host is not known (docker)",
      "  github.com: the host is not known (buildx, agent, goss)",
      "  quay.io: the host is not known (a:1, b:1, c:1, d:1 and 1 more)",
      "  docker.io: no answer in time (f:1, g:1, h:1)",
      "  repo.openeuler.org: the host is not known (openeuler)",
    ]);
  });

  test("a registry that was looked at before is not told once for each image", () => {
    const error = new UnreachableError([{ host: "quay.io", reason: "no way leads there", names: ["a:1", "b:1"] }]);
    const { unreachable } = bySilentHost(["a:1", "b:1"].map((name) => ({ name, error })));
    expect(unreachable?.message).toBe("a host does not answer:\n  quay.io: no way leads there (a:1, b:1)");
  });

  test("what was answered stays by itself, and one silent host alone too", () => {
    const { unreachable, others } = bySilentHost([web("a", "x.example"), missing, web("b", "x.example")]);
    expect(unreachable?.hosts).toHaveLength(1);
    expect(others).toEqual([missing]);
    expect(bySilentHost([web("a", "x.example"), missing])).toEqual({ others: [web("a", "x.example"), missing] });
  });
});
