/** Releases, plain files and bases: exact artifacts from servers of the real shapes, and what is said when they cannot be trusted. */
import { createHash } from "node:crypto";
import { afterEach, describe, expect, test } from "vitest";
import { BakeError } from "../../src/errors.ts";
import { Lock } from "../../src/lock/lock.ts";
import { resolverOf } from "../../src/lock/sources/index.ts";
import type { Context } from "../../src/lock/sources/resolver.ts";
import type { BaseRequirement, FileRequirement, ReleaseRequirement } from "../../src/node/requirement.ts";
import {
  agentRoutes,
  buildxRoutes,
  dockerStaticRoutes,
  gitHubReleasesRoutes,
  gossRoutes,
  openEulerRoutes,
  type Routes,
} from "../release-server.ts";
import { endSources, serveSources } from "../source-context.ts";

afterEach(endSources);

const sha256 = (bytes: string): string => createHash("sha256").update(bytes).digest("hex");

const release = (
  kind: ReleaseRequirement["kind"],
  asked: string,
  more: Partial<ReleaseRequirement> = {},
): ReleaseRequirement => ({
  kind,
  name: kind,
  asked,
  architecture: "x86_64",
  path: [kind, "version"],
  ...more,
});

const resolve = async (requirement: ReleaseRequirement | FileRequirement | BaseRequirement, context: Context) => {
  const artifact = await resolverOf(requirement).resolve(requirement, context);
  // What a resolver gives has to be a lock.
  expect(Lock.parse({ lockVersion: 1, profile: "x", artifacts: [artifact] }).artifacts).toEqual([artifact]);
  return artifact;
};

const failure = async (promise: Promise<unknown>) => {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(BakeError);
  const { code, message, help } = error as BakeError;
  return { code, message, help };
};

describe("Docker's static binaries", () => {
  const archives = { "26.1.3": "26.1.3", "26.1.4": "newest of 26.1", "27.5.1": "27", "26.1.10": "tenth" };

  test("the first download counts, as nobody publishes checksums", async () => {
    const { server, context, stored } = await serveSources(dockerStaticRoutes(archives));
    expect(await resolve(release("docker-static", "26.1.4"), context)).toEqual({
      kind: "docker-static",
      name: "docker-static",
      architecture: "x86_64",
      version: "26.1.4",
      asked: "26.1.4",
      url: `${server.origin}/docker/x86_64/docker-26.1.4.tgz`,
      size: 14,
      sha256: sha256("newest of 26.1"),
      trust: "first-use",
    });
    expect(stored).toEqual(["docker-static 26.1.4"]);
  });

  test("the profile's digest counts, and nothing is downloaded for it", async () => {
    const { server, context, stored } = await serveSources(dockerStaticRoutes(archives));
    const pin = { reason: "as on the other hosts", link: "https://example.com/1", reviewAt: "2027-01-31" };
    const requirement = release("docker-static", "27.5.1", { sha256: "ab".repeat(32), pin });
    expect(await resolve(requirement, context)).toEqual({
      kind: "docker-static",
      name: "docker-static",
      architecture: "x86_64",
      version: "27.5.1",
      asked: "27.5.1",
      ...pin,
      url: `${server.origin}/docker/x86_64/docker-27.5.1.tgz`,
      size: 2,
      sha256: "ab".repeat(32),
      trust: "profile",
    });
    expect(stored).toEqual([]);
    expect(server.requests).toEqual(["HEAD /docker/x86_64/docker-27.5.1.tgz"]);
  });

  test("26.1.x is the newest of that line by number, and stays asked", async () => {
    const { context } = await serveSources(dockerStaticRoutes(archives, "aarch64"));
    const requirement = release("docker-static", "26.1.x", { architecture: "aarch64" });
    expect(await resolve(requirement, context)).toMatchObject({
      version: "26.1.10",
      asked: "26.1.x",
      sha256: sha256("tenth"),
    });
    expect(await resolverOf(requirement).versions(requirement, context)).toEqual([
      "27.5.1",
      "26.1.10",
      "26.1.4",
      "26.1.3",
    ]);
  });

  test("a server that does not tell a size is asked for the file", async () => {
    const { context, stored } = await serveSources({
      "/docker/x86_64/docker-27.5.1.tgz": { body: "bytes", headers: { "content-encoding": "x-own" } },
    });
    const requirement = release("docker-static", "27.5.1", { sha256: sha256("bytes") });
    expect(await resolve(requirement, context)).toMatchObject({ size: 5, trust: "profile" });
    expect(stored).toEqual(["docker-static 27.5.1"]);
  });

  test("a line without releases", async () => {
    const { server, context } = await serveSources(dockerStaticRoutes(archives));
    expect(await failure(resolve(release("docker-static", "28.0.x"), context))).toEqual({
      code: "BK236",
      message: `docker-static 28.0.x: no such release at ${server.origin}/docker/x86_64/`,
      help: "The newest there: 27.5.1, 26.1.10, 26.1.4, 26.1.3.",
    });
  });

  test("a release that is not there", async () => {
    const { server, context } = await serveSources(dockerStaticRoutes(archives));
    expect(await failure(resolve(release("docker-static", "27.9.9"), context))).toEqual({
      code: "BK230",
      message: `${server.origin}/docker/x86_64/docker-27.9.9.tgz answers 404 Not Found`,
      help: "Look at the version or name in the profile, and at its `sources`.",
    });
  });

  test("a page in place of the index", async () => {
    const { server, context } = await serveSources({ "/docker/x86_64/": "<html>Log in</html>" });
    expect(await failure(resolve(release("docker-static", "27.5.x"), context))).toEqual({
      code: "BK235",
      message: `${server.origin}/docker/x86_64/ is no index of Docker's archives`,
      help: "Name an exact version, or set `sources.docker` to a folder whose index the server shows.",
    });
  });

  test.each(["latest", "27", "27.x", "27.5", "v27.5.1", "26.1.x.1", "../27.5.1", "27.5.1\n"])(
    "%j is no version",
    async (asked) => {
      const { server, context } = await serveSources(dockerStaticRoutes(archives));
      expect(await failure(resolve(release("docker-static", asked), context))).toEqual({
        code: "BK244",
        message: `docker-static: ${asked} is not a version`,
        help: "Write all of it, such as 26.1.3, or 26.1.x for the newest patch release.",
      });
      expect(server.requests).toEqual([]);
    },
  );
});

describe("releases on GitHub", () => {
  test.each([
    [
      "buildx",
      "0.20.0",
      buildxRoutes("0.20.0", { x86_64: "amd64", aarch64: "arm" }),
      "/docker/buildx/releases/download/v0.20.0/buildx-v0.20.0.linux-arm64",
      "/docker/buildx/releases/download/v0.20.0/checksums.txt",
    ],
    [
      "buildkite-agent",
      "3.137.0",
      agentRoutes("3.137.0", { x86_64: "amd64", aarch64: "arm" }),
      "/buildkite/agent/releases/download/v3.137.0/buildkite-agent-linux-arm64-3.137.0.tar.gz",
      "/buildkite/agent/releases/download/v3.137.0/buildkite-agent-3.137.0.SHA256SUMS",
    ],
    [
      "goss",
      "0.4.9",
      gossRoutes("0.4.9", { x86_64: "amd64", aarch64: "arm" }),
      "/goss-org/goss/releases/download/v0.4.9/goss-linux-arm64",
      "/goss-org/goss/releases/download/v0.4.9/goss-linux-arm64.sha256",
    ],
  ] as const)(
    "%s by its checksum file, without a download or the API",
    async (kind, version, routes, file, checksums) => {
      const { server, context, stored } = await serveSources(routes);
      expect(await resolve(release(kind, version, { architecture: "aarch64" }), context)).toEqual({
        kind,
        name: kind,
        architecture: "aarch64",
        version,
        asked: version,
        url: server.origin + file,
        size: 3,
        sha256: sha256("arm"),
        trust: "checksums",
        checksums: server.origin + checksums,
      });
      expect(stored).toEqual([]);
      expect(server.requests).toEqual([`GET ${checksums}`, `HEAD ${file}`]);
    },
  );

  test("0.20.x reads the list as far as that line goes, and takes no release for testing", async () => {
    const pages = [
      ["v0.21.0-rc1", "v0.20.3-rc1", "v0.19.4", "v0.20.2"],
      ["buildx-tools-1.0.0", "v0.20.1", "v0.20.0"],
      ["v0.1.0"],
    ];
    const { server, context } = await serveSources({
      ...gitHubReleasesRoutes("docker/buildx", pages),
      ...buildxRoutes("0.20.2", { x86_64: "binary" }),
    });
    expect(await resolve(release("buildx", "0.20.x"), context)).toMatchObject({ version: "0.20.2", asked: "0.20.x" });
    expect(server.requests.slice(0, 2)).toEqual([
      "GET /api/repos/docker/buildx/releases?per_page=100",
      "GET /api/repos/docker/buildx/releases?per_page=100&page=2",
    ]);
    expect(server.requests[2]).toBe("GET /docker/buildx/releases/download/v0.20.2/checksums.txt");
  });

  test("a draft is no release", async () => {
    const { context } = await serveSources({
      "/api/repos/goss-org/goss/releases": JSON.stringify([
        { tag_name: "v0.4.10", draft: true, prerelease: false },
        { tag_name: "v0.4.9", draft: false, prerelease: false },
        { tag_name: "v0.5.0", draft: false, prerelease: true },
      ]),
    });
    const requirement = release("goss", "0.4.9");
    expect(await resolverOf(requirement).versions(requirement, context)).toEqual(["0.4.9"]);
  });

  test("version 4 of the agent is offered to who asked for it alone", async () => {
    const { context } = await serveSources(
      gitHubReleasesRoutes("buildkite/agent", [["v4.1.0", "v3.138.0", "v4.0.0", "v3.137.0"]]),
    );
    const three = release("buildkite-agent", "3.137.0");
    const four = release("buildkite-agent", "4.0.x");
    expect(await resolverOf(three).versions(three, context)).toEqual(["3.138.0", "3.137.0"]);
    expect(await resolverOf(four).versions(four, context)).toEqual(["4.1.0", "4.0.0"]);
  });

  test("an agent for testing, when the profile names it", async () => {
    const { context } = await serveSources(agentRoutes("4.0.0-beta.15", { x86_64: "beta" }));
    expect(await resolve(release("buildkite-agent", "4.0.0-beta.15"), context)).toMatchObject({
      version: "4.0.0-beta.15",
    });
  });

  test.each([
    ["a web page", "<!DOCTYPE html><title>Log in</title>", "a web page came in place of JSON"],
    ["no JSON", "gateway", "the answer is no JSON"],
    [
      "another shape",
      '{"message":"moved"}',
      "the answer is not as expected (Invalid input: expected array, received object)",
    ],
    [
      "an entry of another shape",
      '[{"tag_name":1,"draft":false,"prerelease":false}]',
      "0.tag_name is not as expected (Invalid input: expected string, received number)",
    ],
  ])("the API answers with %s", async (_, body, why) => {
    const { server, context } = await serveSources({ "/api/repos/docker/buildx/releases": body });
    expect(await failure(resolve(release("buildx", "0.20.x"), context))).toEqual({
      code: "BK235",
      message: `${server.origin}/api/repos/docker/buildx/releases?…: ${why}`,
      help: "Does a proxy or a mirror answer in its place? Open the URL in a browser on this machine.",
    });
  });
});

describe("checksum files", () => {
  const folder = "/docker/buildx/releases/download/v0.20.0";
  const file = "buildx-v0.20.0.linux-amd64";
  const [one, two] = ["11".repeat(32), "22".repeat(32)];

  const locked = async (checksums: string) => {
    const { server, context } = await serveSources({
      [`${folder}/checksums.txt`]: checksums,
      [`${folder}/${file}`]: "binary",
    });
    const shown = `${server.origin}${folder}/checksums.txt`;
    return { shown, artifact: resolve(release("buildx", "0.20.0"), context) };
  };

  test.each([
    ["binary", `${two} *other\n${one} *${file}\n`],
    ["text, Windows line ends", `${one}  ${file}\r\n${two}  other\r\n`],
    ["upper case", `${one.toUpperCase()}  ${file}\n`],
    ["below a folder", `${one}  ./dist/${file}\n${two}  ${file}.sbom.json\n`],
    ["BSD", `SHA256 (${file}) = ${one}\nSHA512 (${file}) = ${two}${two}\n`],
    ["the digest alone", `${one}\n`],
    ["signed", `-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n${one}  ${file}\n`],
    ["named twice alike", `${one}  ${file}\n${one} *${file}\n`],
    ["exactly before below a folder", `${two}  old/${file}\n${one}  ${file}\n`],
    ["no end of line", `${one}  ${file}`],
  ])("%s", async (_, text) => {
    expect(await (await locked(text)).artifact).toMatchObject({ sha256: one, trust: "checksums" });
  });

  test.each([
    ["an empty file", "\n \n", "the checksum file is empty", "Try again, or set a mirror in `sources`."],
    [
      "a login page",
      `\n<!DOCTYPE html><p>${one}  ${file}</p>`,
      "a web page came in place of the checksum file",
      "A login or error page of a proxy, or of the server: open the URL in a browser on this machine.",
    ],
    ["md5", `${"1".repeat(32)}  ${file}\n`, "holds no sha256", "Is this the checksum file, and is it sha256?"],
    ["sha512", `${one}${two}  ${file}\n`, "holds no sha256", "Is this the checksum file, and is it sha256?"],
  ])("%s", async (_, text, why, help) => {
    const { shown, artifact } = await locked(text);
    expect(await failure(artifact)).toEqual({ code: "BK232", message: `${shown}: ${why}`, help });
  });

  test("does not name the file", async () => {
    const names = ["a", "b", "c", "d", "e", `${file}.sbom.json`, `x${file}`];
    const { shown, artifact } = await locked(names.map((name) => `${one}  ${name}\n`).join(""));
    expect(await failure(artifact)).toEqual({
      code: "BK233",
      message: `${shown} does not name ${file}`,
      help: "It names a, b, c, d, e and 2 more.",
    });
  });

  test("names it twice", async () => {
    const { shown, artifact } = await locked(`${one}  ${file}\n${two}  ${file}\n`);
    expect(await failure(artifact)).toEqual({
      code: "BK234",
      message: `${shown} gives 2 digests for ${file}:\n  ${one}\n  ${two}`,
      help: "Give the right one in the profile, as sha256.",
    });
  });
});

describe("plain files", () => {
  const requirement = (origin: string, more: Partial<FileRequirement> = {}): FileRequirement => ({
    kind: "file",
    name: "driver",
    asked: "25.2.0",
    architecture: "aarch64",
    path: ["files", 0],
    url: `${origin}/files/Ascend%20driver.run`,
    ...more,
  });
  const routes: Routes = {
    "/files/Ascend%20driver.run": "driver",
    "/files/SUMS": `${sha256("driver")}  Ascend driver.run\n`,
  };

  test("by the first download", async () => {
    const { server, context, stored } = await serveSources(routes);
    expect(await resolve(requirement(server.origin), context)).toEqual({
      kind: "file",
      name: "driver",
      architecture: "aarch64",
      version: "25.2.0",
      asked: "25.2.0",
      url: `${server.origin}/files/Ascend%20driver.run`,
      size: 6,
      sha256: sha256("driver"),
      trust: "first-use",
    });
    expect(stored).toEqual(["driver"]);
  });

  test("by a checksum file, which names the URL's last part", async () => {
    const { server, context, stored } = await serveSources(routes);
    expect(
      await resolve(requirement(server.origin, { checksums: `${server.origin}/files/SUMS` }), context),
    ).toMatchObject({
      size: 6,
      sha256: sha256("driver"),
      trust: "checksums",
      checksums: `${server.origin}/files/SUMS`,
    });
    expect(stored).toEqual([]);
  });

  test("by the profile's digest; without a version the digest is one", async () => {
    const { server, context } = await serveSources(routes);
    const asked = `${server.origin}/files/Ascend%20driver.run`;
    expect(await resolve(requirement(server.origin, { sha256: "cd".repeat(32), asked }), context)).toMatchObject({
      version: "cdcdcdcdcdcd",
      asked,
      sha256: "cd".repeat(32),
      trust: "profile",
    });
  });
});

describe("bases", () => {
  const requirement = (
    named: BaseRequirement["base"],
    architecture: BaseRequirement["architecture"] = "x86_64",
  ): BaseRequirement => ({
    kind: "base",
    name: "base",
    asked: typeof named === "string" ? named : named.file,
    architecture,
    path: ["targets", "qemu", "base"],
    base: named,
  });

  test("openEuler's image by its checksum file", async () => {
    const { server, context } = await serveSources(openEulerRoutes("22.03-LTS-SP4", "image"));
    const url = `${server.origin}/openeuler/openEuler-22.03-LTS-SP4/virtual_machine_img/x86_64/openEuler-22.03-LTS-SP4-x86_64.qcow2.xz`;
    expect(await resolve(requirement("openeuler-22.03-lts-sp4"), context)).toEqual({
      kind: "base",
      name: "base",
      architecture: "x86_64",
      version: "22.03-LTS-SP4",
      asked: "openeuler-22.03-lts-sp4",
      url,
      size: 5,
      sha256: sha256("image"),
      trust: "checksums",
      checksums: `${url}.sha256sum`,
      format: "qcow2.xz",
    });
  });

  test("20.03 is found under either of its names", async () => {
    const { context } = await serveSources(
      openEulerRoutes("20.03-LTS-SP4", "old", { architecture: "aarch64", separator: "." }),
    );
    expect(await resolve(requirement("openeuler-20.03-lts-sp4", "aarch64"), context)).toMatchObject({
      version: "20.03-LTS-SP4",
      sha256: sha256("old"),
    });
  });

  test("a release that the mirror lacks", async () => {
    const { server, context } = await serveSources({});
    expect(await failure(resolve(requirement("openeuler-24.03-lts"), context))).toEqual({
      code: "BK230",
      message: `${server.origin}/openeuler/openEuler-24.03-LTS/virtual_machine_img/x86_64/openEuler-24.03-LTS-x86_64.qcow2.xz.sha256sum answers 404 Not Found`,
      help: "Look at the version or name in the profile, and at its `sources`.",
    });
    expect(server.requests).toHaveLength(1);
  });

  test("newer ones of its line", async () => {
    const { context } = await serveSources({});
    const sp2 = requirement("openeuler-22.03-lts-sp2");
    expect(await resolverOf(sp2).versions(sp2, context)).toEqual([
      "22.03-LTS-SP4",
      "22.03-LTS-SP3",
      "22.03-LTS-SP2",
      "22.03-LTS-SP1",
    ]);
  });

  test("a name that bake does not know", async () => {
    const { context } = await serveSources({});
    const { code, message, help } = await failure(resolve(requirement("openeuler-22.03"), context));
    expect([code, message]).toEqual(["BK242", "targets.qemu.base: openeuler-22.03 is no base that bake knows"]);
    expect(help).toContain("openeuler-22.03-lts-sp4");
  });

  test("a file of this machine, without the network", async () => {
    const { server, context } = await serveSources({});
    const seen: string[] = [];
    const localFile = (path: string) => {
      seen.push(path);
      return Promise.resolve({ sha256: "ef".repeat(32), size: 42 });
    };
    expect(await resolve(requirement({ file: "images/own.qcow2" }), { ...context, localFile })).toEqual({
      kind: "base",
      name: "base",
      architecture: "x86_64",
      version: "efefefefefef",
      asked: "images/own.qcow2",
      url: "file:images/own.qcow2",
      size: 42,
      sha256: "ef".repeat(32),
      trust: "first-use",
      format: "qcow2",
    });
    expect(await resolve(requirement({ file: "own.qcow2.xz" }), { ...context, localFile })).toMatchObject({
      format: "qcow2.xz",
    });
    expect(seen).toEqual(["images/own.qcow2", "own.qcow2.xz"]);
    expect(server.requests).toEqual([]);
  });

  test.each([
    [{ code: "ENOENT" }, "is not there"],
    [{ code: "EACCES", message: "permission denied" }, "cannot be read: permission denied"],
  ])("a file that cannot be read: %j", async (reason, why) => {
    const { context } = await serveSources({});
    const localFile = () => Promise.reject(Object.assign(new Error(), reason));
    expect(await failure(resolve(requirement({ file: "own.qcow2" }), { ...context, localFile }))).toEqual({
      code: "BK245",
      message: `targets.qemu.base: own.qcow2 ${why}`,
      help: "It is a file of the machine that bakes.",
    });
  });
});
