/** Where the tools and packages of the host come from: PATH, the cache, a release behind a proxy, Go; and nothing of it offline. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer as createHttpServer } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { type AddressInfo, connect, type Server } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Architecture } from "../../src/artifact.ts";
import { type Host, runProcess } from "../../src/host/host.ts";
import { root } from "../../src/host/root.ts";
import { system } from "../../src/host/system.ts";
import { bakeNeeds, installPackages, missingPackages } from "../../src/toolchain/packages.ts";
import { ensureCrane, ensureTool, ensureTools } from "../../src/toolchain/ensure.ts";
import { toolDigest } from "../../src/toolchain/go.ts";
import { ensurePacker } from "../../src/toolchain/packer.ts";

const { signal } = new AbortController();

let folder: string;
let ends: (() => Promise<unknown>)[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tools-"));
});
afterEach(async () => {
  await Promise.all(ends.map((end) => end()));
  ends = [];
  await rm(folder, { recursive: true, force: true });
});

/** @returns its port. */
const listen = async (server: Server): Promise<number> => {
  const sockets = new Set<{ destroy: () => void }>();
  server.on("connection", (socket) => sockets.add(socket));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  ends.push(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((done) => server.close(done));
  });
  return (server.address() as AddressInfo).port;
};

interface FakeHost extends Host {
  /** What was run, as lines. */
  readonly ran: string[];
  readonly notes: string[];
}

/** A host whose commands answer from a table; what is not in it is not installed. Its tar is a real one. */
const hostWith = (answers: Record<string, string>, env: Host["env"] = {}): FakeHost => {
  const [ran, notes]: [string[], string[]] = [[], []];
  return {
    ...system,
    sleep: () => Promise.resolve(),
    run: (file, args, options) => {
      const line = [file, ...args].join(" ");
      ran.push(line);
      if (file === "tar") return runProcess(signal)(file, args, options);
      const stdout = answers[line];
      return stdout === undefined
        ? Promise.reject(new Error(`${file}: command not found`))
        : Promise.resolve({ exitCode: 0, stdout, stderr: "" });
    },
    now: () => 0,
    env,
    cacheDir: folder,
    signal,
    progress: { note: (line) => notes.push(line), step: (_id, _title, work) => work(() => undefined) },
    ran,
    notes,
  };
};

/** A proxy that lets nobody through. */
const closedProxy = async (): Promise<{ env: Record<string, string>; asked: string[] }> => {
  const asked: string[] = [];
  const proxy = createHttpServer();
  proxy.on("connect", ({ url = "" }, socket) => {
    asked.push(url);
    socket.end("HTTP/1.1 403 Forbidden\r\n\r\n");
  });
  return { env: { HTTPS_PROXY: `http://127.0.0.1:${await listen(proxy)}` }, asked };
};

/** Hosts of releases that are reached through a proxy alone, under a certificate of a private authority. */
const releasesBehindProxy = async (files: Readonly<Record<string, Buffer | string>>) => {
  const [certificate, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  execFileSync(
    "openssl",
    // biome-ignore format: an option and its value a line
    [
      "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
      "-subj", "/CN=releases", "-addext", "subjectAltName=DNS:github.com,DNS:releases.hashicorp.com",
      "-keyout", key, "-out", certificate,
    ],
    { stdio: "ignore" },
  );
  const asked: string[] = [];
  const releases = createHttpsServer(
    { cert: await readFile(certificate), key: await readFile(key) },
    ({ method, url = "" }, response) => {
      asked.push(`${method} ${url.slice(url.lastIndexOf("/") + 1)}`);
      const body = files[url.slice(url.lastIndexOf("/") + 1)];
      response.writeHead(body === undefined ? 404 : 200).end(body);
    },
  );
  const port = await listen(releases);
  const proxy = createHttpServer();
  proxy.on("connect", ({ url = "" }, socket) => {
    asked.push(`CONNECT ${url}`);
    const upstream = connect(port, "127.0.0.1", () => {
      socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
      socket.pipe(upstream).pipe(socket);
    });
    for (const [one, other] of [[socket, upstream] as const, [upstream, socket] as const]) {
      one.on("error", () => other.destroy());
    }
  });
  const env = { HTTPS_PROXY: `http://127.0.0.1:${await listen(proxy)}`, SSL_CERT_FILE: certificate };
  return { env, asked };
};

const craneArchives = ["x86_64", "arm64"].map((name) => `go-containerregistry_Linux_${name}.tar.gz`);

/** crane's release, with checksums that are right or not. */
const craneRelease = async (right: boolean): Promise<Record<string, Buffer | string>> => {
  const content = join(folder, "content");
  await mkdir(content);
  for (const name of ["crane", "README.md"]) await writeFile(join(content, name), "#!/bin/sh\n");
  await runProcess(signal)("tar", ["-czf", join(folder, "archive"), "-C", content, "README.md", "crane"]);
  const archive = await readFile(join(folder, "archive"));
  const sum = createHash("sha256")
    .update(right ? archive : "another archive")
    .digest("hex");
  return {
    ...Object.fromEntries(craneArchives.map((name) => [name, archive])),
    "checksums.txt": craneArchives.map((name) => `${sum}  ${name}\n`).join(""),
  };
};

const lay = async (...paths: string[]): Promise<void> => {
  for (const path of paths) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), "");
  }
};

describe("on PATH", () => {
  it.each(["v0.20.7\n", "0.20.0\n", "0.22.1"])("crane is taken: %j", async (version) => {
    expect(await ensureCrane(hostWith({ "crane version": version }))).toBe("crane");
  });

  it.each(["0.19.2\n", "(devel)\n", ""])("a crane that says %j is left, and Go is wanted", async (version) => {
    const { env } = await closedProxy();
    await expect(ensureCrane(hostWith({ "crane version": version }, env))).rejects.toMatchObject({
      code: "BK303",
      help: expect.stringContaining("Install Go 1.24.0 or newer") as string,
    });
  });

  it("Packer is taken when it is new enough", async () => {
    const tool = await ensureTool(hostWith({ "packer version": "Packer v1.12.0\n" }), "packer");
    expect(tool).toEqual({ path: "packer", version: "1.12.0", origin: "PATH", seconds: 0 });
  });
});

describe("a release", () => {
  it("comes through a proxy, from a host whose authority SSL_CERT_FILE names, and is found again", async () => {
    const { env, asked } = await releasesBehindProxy(await craneRelease(true));
    const path = join(folder, "tools", "crane-release-0.20.7", "crane");
    expect(await ensureCrane(hostWith({}, env))).toBe(path);
    expect(await readFile(path, "utf8")).toBe("#!/bin/sh\n");
    expect(asked).toContain("CONNECT github.com:443");
    expect(asked.filter((line) => /^GET .*\.tar\.gz$/.test(line))).toHaveLength(1);
    expect(asked.filter((line) => !/^(CONNECT|GET) /.test(line))).toEqual([]);
    const before = asked.length;
    expect(await ensureCrane(hostWith({}, env))).toBe(path);
    expect(asked).toHaveLength(before);
  });

  it("is refused when it is not what its checksums say", async () => {
    const { env } = await releasesBehindProxy(await craneRelease(false));
    await expect(ensureCrane(hostWith({}, env))).rejects.toMatchObject({ code: "BK308" });
  });

  it("of Packer too", async () => {
    const wrong = createHash("sha256").update("another archive").digest("hex");
    const archives = ["amd64", "arm64"].map((name) => `packer_1.11.2_linux_${name}.zip`);
    const { env } = await releasesBehindProxy({
      ...Object.fromEntries(archives.map((name) => [name, "an archive"])),
      "packer_1.11.2_SHA256SUMS": archives.map((name) => `${wrong}  ${name}`).join("\n"),
    });
    await expect(ensureTool(hostWith({}, env), "packer")).rejects.toMatchObject({ code: "BK308" });
  });

  it("whose host is not trusted is said so", async () => {
    const { env } = await releasesBehindProxy({});
    const host = hostWith({}, { HTTPS_PROXY: env.HTTPS_PROXY });
    await expect(ensureCrane(host)).rejects.toMatchObject({ code: "BK303" });
    expect(host.notes).toEqual([
      "  github.com does not answer (its certificate is not trusted (DEPTH_ZERO_SELF_SIGNED_CERT); a private authority goes into SSL_CERT_FILE): no releases",
    ]);
  });

  it("is asked for once where its host is silent; the Go that is missing is named", async () => {
    const { env, asked } = await closedProxy();
    const host = hostWith({ "packer version": "Packer v1.10.3\n" }, env);
    for (let run = 0; run < 2; run++) {
      await expect(ensureTool(host, "packer")).rejects.toMatchObject({ code: "BK303" });
    }
    expect(asked).toEqual(["releases.hashicorp.com:443"]);
  });
});

it("says which Go is too old", async () => {
  const host = hostWith({ "go env GOVERSION": "go1.22.1\n" });
  await expect(ensureTools(host, ["goss", "buildctl"])).rejects.toMatchObject({
    code: "BK303",
    message: expect.stringContaining("1.22.1") as string,
    help: expect.stringContaining("1.24.3") as string,
  });
});

it("finds packages that are missing, on PATH or by their path", async () => {
  const host = hostWith({}, { PATH: join(root, "bin-of-nothing") });
  const need = (provides: string) => ({ package: provides, provides, why: "test" });
  const missing = await missingPackages(host, [need("no-such-command"), need(join(root, "package.json"))]);
  expect(missing.map(({ provides }) => provides)).toEqual(["no-such-command"]);
});

describe("offline", () => {
  const offline = { offline: true };

  it("missing packages are named, all of them, and apt is not asked", async () => {
    const host = hostWith({}, { PATH: join(root, "bin-of-nothing") });
    const there = { package: "there", provides: join(root, "package.json"), why: "test" };
    const needs = [
      { package: "qemu-utils", provides: "no-such-qemu-img", why: "makes and flattens disk images" },
      there,
      { package: "grub-pc-bin", provides: "/no/such/boot.img", why: "makes the base's boot loader" },
    ];
    await expect(installPackages(host, needs, offline)).rejects.toMatchObject({
      code: "BK211",
      message: [
        "2 of 3 packages are not installed, and --offline installs none:",
        "  qemu-utils (no-such-qemu-img): makes and flattens disk images",
        "  grub-pc-bin (/no/such/boot.img): makes the base's boot loader",
      ].join("\n"),
      help: "Where there is a network, run the same command once without --offline.",
    });
    expect(host.ran).toEqual([]);
  });

  it("missing tools are named with their versions, and nobody is asked", async () => {
    const { env, asked } = await closedProxy();
    const host = hostWith({ "packer version": "Packer v1.10.3\n", "go env GOVERSION": "go1.26.0\n" }, env);
    await expect(ensurePacker(host, offline)).rejects.toMatchObject({
      code: "BK211",
      message:
        "not on this host, and --offline neither fetches nor builds tools: packer 1.11.2, packer-plugin-qemu 1.0.9",
      help: "Where there is a network, run the same command once without --offline.",
    });
    await expect(ensureTool(host, "crane", offline)).rejects.toMatchObject({
      code: "BK211",
      message: "not on this host, and --offline neither fetches nor builds tools: crane 0.20.7",
    });
    expect(asked).toEqual([]);
    expect(host.ran).toEqual(["packer version", "crane version"]);
  });

  it.each([
    ["a release of before", "packer-release-1.11.2/packer"],
    ["a build of before", ""],
  ])("%s works, with packages that are there, and nobody is asked", async (_name, release) => {
    const packer = join("tools", release || `packer-${(await toolDigest("packer")).slice(0, 12)}/packer`);
    const plugin = join(
      "tools",
      `packer-plugin-qemu-${(await toolDigest("packer-plugin-qemu")).slice(0, 12)}/packer-plugin-qemu`,
    );
    const needed = bakeNeeds("x86_64", { architecture: "x64" });
    const provided = needed.map(({ provides }) => provides).filter((name) => !name.startsWith("/"));
    await lay(packer, plugin, ...provided.map((name) => `bin/${name}`));
    const { env, asked } = await closedProxy();
    const path = join(folder, packer);
    const install = `${path} plugins install --path ${join(folder, plugin)} github.com/hashicorp/qemu`;
    const host = hostWith({ [install]: "" }, { ...env, PATH: join(folder, "bin") });
    await installPackages(
      host,
      needed.filter(({ provides }) => !provides.startsWith("/")),
      offline,
    );
    expect(await ensurePacker(host, offline)).toBe(path);
    expect(asked).toEqual([]);
    expect(host.ran).toEqual(["packer version", install]);
  });

  it("QEMU and the firmware of a second architecture are asked for when nodes of it are baked", async () => {
    const host = hostWith({}, { PATH: join(folder, "bin") });
    const names = (architecture: Architecture): string[] =>
      bakeNeeds(architecture, { architecture: "x64" }).map((need) => need.package);
    expect(names("x86_64")).toEqual(expect.arrayContaining(["qemu-system-x86", "grub-pc-bin"]));
    expect(names("x86_64").filter((name) => /arm|aarch64/.test(name))).toEqual([]);
    expect(names("aarch64")).toEqual(
      expect.arrayContaining(["qemu-system-arm", "qemu-efi-aarch64", "mtools", "qemu-user-static"]),
    );
    const native = bakeNeeds("aarch64", { architecture: "arm64" }).map((need) => need.package);
    expect(native).not.toContain("qemu-user-static");
    expect(names("aarch64").filter((name) => /x86|grub-pc/.test(name))).toEqual([]);
    // Wherever a distribution lays the firmware.
    const need = { package: "qemu-efi-aarch64", provides: "/no/such/code.fd", why: "is the firmware" };
    await lay("code.fd");
    expect(await missingPackages(host, [need])).toEqual([need]);
    expect(await missingPackages(host, [{ ...need, or: ["/nor/this", join(folder, "code.fd")] }])).toEqual([]);
  });

  it("a plugin that Packer has already is enough", async () => {
    const installed = "packer/plugins/github.com/hashicorp/qemu/packer-plugin-qemu_v1.0.9_x5.0_linux_amd64";
    await lay(installed, `${installed}_SHA256SUM`);
    const host = hostWith({ "packer version": "Packer v1.11.2\n" });
    expect(await ensurePacker(host, offline)).toBe("packer");
    expect(host.ran).toEqual(["packer version"]);
  });
});
