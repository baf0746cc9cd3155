/** A real registry on a loopback port, in memory: Debian's docker-registry. */
import { execFile, execFileSync, spawn } from "node:child_process";
import { createHash, createSign } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { toolPath } from "./needs.ts";

export interface TestRegistry {
  /** `127.0.0.1:41234`. */
  readonly host: string;
  readonly stop: () => Promise<void>;
}

/** Who may log in, as `docker login` writes it. */
export const login = { user: "bob", password: "s3cret" };

// bcrypt of that password: the one form that the registry takes.
const htpasswd = "bob:$2b$05$abcdefghijklmnopqrstuuLK7U1u6pVRmL7L1BBM2aS35PSZnDXlK\n";

const freePort = async (): Promise<number> => {
  const server = createTcpServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
};

/** A certificate of its own for 127.0.0.1. */
const makeCertificate = (folder: string): { certificate: string; key: string } => {
  const [certificate, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  execFileSync(
    "openssl",
    // biome-ignore format: an option and its value a line
    [
      "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
      "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate,
    ],
    { stdio: "ignore" },
  );
  return { certificate, key };
};

/** Gives tokens as Docker Hub does: for pulling to everybody who is `login`, for nothing to others. */
const startTokenServer = async (
  service: string,
  certificate: string,
  key: string,
): Promise<{ server: Server; realm: string }> => {
  const base64url = (text: string): string => Buffer.from(text).toString("base64url");
  const body = readFileSync(certificate, "utf8").replace(/-----[^-]+-----|\s/g, "");
  const privateKey = readFileSync(key, "utf8");
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const expected = `Basic ${Buffer.from(`${login.user}:${login.password}`).toString("base64")}`;
    const known = request.headers.authorization === expected;
    const scopes = new URL(request.url ?? "", "http://127.0.0.1").searchParams.getAll("scope");
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      iss: "test",
      sub: "",
      aud: service,
      exp: now + 300,
      nbf: now - 10,
      iat: now,
      jti: String(now),
      access: known
        ? scopes.map((scope) => {
            const [type, name, actions = ""] = scope.split(/:(?=[a-z,*]+$)|(?<=^repository):/);
            return { type, name, actions: actions.split(",") };
          })
        : [],
    };
    const signed = [{ typ: "JWT", alg: "ES256", x5c: [body] }, claims]
      .map((part) => base64url(JSON.stringify(part)))
      .join(".");
    const signature = createSign("sha256").update(signed).sign({ key: privateKey, dsaEncoding: "ieee-p1363" });
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ token: `${signed}.${signature.toString("base64url")}`, expires_in: 300 }));
  };
  const server = createServer(answer).listen(0, "127.0.0.1");
  await once(server, "listening");
  return { server, realm: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token` };
};

/** Starts a registry and waits until it answers. `folder` takes its settings. */
export const startRegistry = async (
  folder: string,
  kind: "open" | "basic" | "token" | "tls",
): Promise<TestRegistry & { readonly certificate?: string }> => {
  mkdirSync(folder, { recursive: true });
  const host = `127.0.0.1:${await freePort()}`;
  const pair = kind === "tls" || kind === "token" ? makeCertificate(folder) : undefined;
  const tokens =
    kind === "token" && pair !== undefined ? await startTokenServer(host, pair.certificate, pair.key) : undefined;
  writeFileSync(join(folder, "htpasswd"), htpasswd);
  const settings = {
    version: "0.1",
    log: { level: "error", accesslog: { disabled: true } },
    storage: { inmemory: {}, delete: { enabled: true } },
    http: { addr: host, ...(kind === "tls" ? { tls: { certificate: pair?.certificate, key: pair?.key } } : {}) },
    ...(kind === "basic" ? { auth: { htpasswd: { realm: "test", path: join(folder, "htpasswd") } } } : {}),
    ...(tokens === undefined
      ? {}
      : { auth: { token: { realm: tokens.realm, service: host, issuer: "test", rootcertbundle: pair?.certificate } } }),
  };
  // JSON is YAML.
  writeFileSync(join(folder, "registry.yml"), JSON.stringify(settings));
  const child = spawn(toolPath("docker-registry"), ["serve", join(folder, "registry.yml")], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let output = "";
  child.stderr.on("data", (data: Buffer) => (output += data.toString()));
  const stop = async (): Promise<void> => {
    tokens?.server.close();
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  };
  for (let tries = 0; tries < 200; tries++) {
    // A registry with TLS answers 400 to plain http.
    if (
      await fetch(`http://${host}/v2/`).then(
        () => true,
        () => false,
      )
    ) {
      return { host, stop, ...(pair === undefined ? {} : { certificate: pair.certificate }) };
    }
    if (child.exitCode !== null) break;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  await stop();
  throw new Error(`the registry did not start:\n${output}`);
};

/** A small image as `docker save` writes it. @returns the archive. */
export const makeArchive = (
  folder: string,
  { architecture = "amd64", layers }: { readonly architecture?: string; readonly layers: readonly string[] },
): string => {
  mkdirSync(folder, { recursive: true });
  const files = layers.map((text, index) => {
    const tree = join(folder, `tree-${index}`);
    mkdirSync(tree, { recursive: true });
    writeFileSync(join(tree, text), `${text}\n`);
    const tar = join(folder, `layer-${index}.tar`);
    execFileSync("tar", ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "-C", tree, "-cf", tar, "."]);
    return tar;
  });
  const config = {
    architecture,
    os: "linux",
    created: "1970-01-01T00:00:00Z",
    config: { Cmd: ["/none"], Env: ["PATH=/bin"] },
    rootfs: {
      type: "layers",
      diff_ids: files.map((file) => `sha256:${createHash("sha256").update(readFileSync(file)).digest("hex")}`),
    },
    history: files.map(() => ({ created: "1970-01-01T00:00:00Z", created_by: "test" })),
  };
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  const manifest = [{ Config: "config.json", RepoTags: [], Layers: files.map((_, index) => `layer-${index}.tar`) }];
  writeFileSync(join(folder, "manifest.json"), JSON.stringify(manifest));
  const archive = join(folder, "image.tar");
  execFileSync("tar", ["-C", folder, "-cf", archive, "manifest.json", "config.json", ...(manifest[0]?.Layers ?? [])]);
  return archive;
};

/** Pushes an archive with skopeo, which knows nothing of the user's own logins here. */
export const push = async (
  archive: string,
  reference: string,
  {
    format = "v2s2",
    as,
    compress = "gzip",
  }: { readonly format?: "v2s2" | "oci"; readonly as?: typeof login; readonly compress?: "gzip" | "zstd" } = {},
): Promise<void> => {
  const credentials = as === undefined ? ["--dest-no-creds"] : ["--dest-creds", `${as.user}:${as.password}`];
  // The token server lives in this process: nothing may block it.
  await promisify(execFile)(
    "skopeo",
    [
      "--insecure-policy",
      "copy",
      "--quiet",
      "--dest-tls-verify=false",
      ...credentials,
      "--format",
      format,
      "--dest-compress-format",
      compress,
      `docker-archive:${archive}`,
      `docker://${reference}`,
    ],
    { timeout: 20_000 },
  );
};

/** Puts a manifest of any kind, as it is. @returns its digest. */
export const putManifest = async (
  host: string,
  repository: string,
  tag: string,
  mediaType: string,
  text: string,
): Promise<string> => {
  const response = await fetch(`http://${host}/v2/${repository}/manifests/${tag}`, {
    method: "PUT",
    headers: { "content-type": mediaType },
    body: text,
  });
  if (response.status !== 201) throw new Error(`${response.status} ${await response.text()}`);
  return `sha256:${createHash("sha256").update(text).digest("hex")}`;
};
