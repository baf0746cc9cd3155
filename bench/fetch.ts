/**
 * Downloads into the store over what the field's own tools take for the same bytes from the same server: `curl --parallel` and
 * `sha256sum` for 20 files of 64 MB and one of 2 GB, `skopeo copy` for an image of ten layers. Then the memory of the fetching
 * process at its peak, and a fetch where all of 1,000 files are there. Medians of interleaved runs. Run it by `bin/bench fetch`
 * on a quiet machine with 8 GB free; takes three minutes.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { runProcess } from "../src/host/host.ts";
import { system } from "../src/host/system.ts";
import { downloadAll } from "../src/store/download.ts";
import { makeHttp } from "../src/store/http.ts";
import { Store } from "../src/store/store.ts";
import type { DownloadRequest } from "../src/store/transfer.ts";
import { blobRequests, resolveImage } from "../src/lock/sources/oci.ts";
import { makeRegistry } from "../src/lock/sources/registry.ts";
import { startRegistry } from "../test/registry.ts";
import { median } from "./parts/median.ts";

const mib = 1 << 20;
const chunk = 64 * mib;
const files = [
  ...Array.from({ length: 20 }, (_, index) => ({ path: `/file-${index}`, chunks: 1 })),
  { path: "/large", chunks: 32 },
];
const rounds = 3;

// Written by `bake set-up --for-tests`: where registry and crane are.
const tools = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "bake/test/tools.json");
if (existsSync(tools)) Object.assign(process.env, JSON.parse(readFileSync(tools, "utf8")));

const [, script = "", role = "", ...parameters] = process.argv;

/** Bytes that no two files share at their beginning, and that cost nothing to make. */
const serve = async (): Promise<void> => {
  const content = randomBytes(chunk);
  const server = createServer((request, response) => {
    const file = files.find(({ path }) => path === request.url);
    if (file === undefined) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { "content-length": file.chunks * chunk });
    void (async () => {
      const own = Buffer.from(content);
      own.write(file.path);
      for (let part = 0; part < file.chunks; part++) {
        if (!response.write(part === 0 ? own : content)) await once(response, "drain");
      }
      response.end();
    })();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const digests = files.map(({ path, chunks }) => {
    const own = Buffer.from(content);
    own.write(path);
    const hash = createHash("sha256").update(own);
    for (let part = 1; part < chunks; part++) hash.update(content);
    return hash.digest("hex");
  });
  process.stdout.write(`${JSON.stringify({ port, digests })}\n`);
};

const edges = (root: string) => ({
  store: new Store(root),
  http: makeHttp(),
  now: Date.now,
  sleep: (milliseconds: number) => sleep(milliseconds),
  random: Math.random,
  signal: new AbortController().signal,
});

/** In a process of its own: what it needed at its peak is read from it. */
const fetchAll = async (requestsFile: string, root: string): Promise<void> => {
  const requests = JSON.parse(readFileSync(requestsFile, "utf8")) as DownloadRequest[];
  const started = performance.now();
  await downloadAll(requests, edges(root));
  const seconds = (performance.now() - started) / 1000;
  const peak = Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);
  process.stdout.write(JSON.stringify({ seconds, peakMb: (peak * 1024) / 1e6 }));
};

const run = (...args: string[]): { seconds: number; peakMb: number } => {
  const { stdout, stderr, status } = spawnSync(process.execPath, [script, ...args], { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as { seconds: number; peakMb: number };
};

const timed = (file: string, args: readonly string[]): number => {
  const started = performance.now();
  const { status, stderr } = spawnSync(file, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${file}: ${stderr}`);
  return (performance.now() - started) / 1000;
};

const row = (name: string, value: string, aim: string): void =>
  void process.stdout.write(`${name.padEnd(58)} ${value.padStart(12)}   ${aim}\n`);

const benchFiles = async (folder: string): Promise<void> => {
  const server: ChildProcess = spawn(process.execPath, [script, "serve"], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(server.stdout ?? process.stdin, "data")) as [Buffer];
  const { port, digests } = JSON.parse(line.toString()) as { port: number; digests: string[] };
  const url = (path: string): string => `http://127.0.0.1:${port}${path}`;
  const requests = files.map(({ path, chunks }, index) => ({
    name: path,
    urls: [url(path)],
    sha256: digests[index],
    size: chunks * chunk,
  }));
  const requestsFile = join(folder, "requests.json");
  writeFileSync(requestsFile, JSON.stringify(requests));
  writeFileSync(
    join(folder, "sums"),
    files.map(({ path }, index) => `${digests[index]}  ${folder}/curl${path}\n`).join(""),
  );
  const [ours, theirs, peaks]: [number[], number[], number[]] = [[], [], []];
  try {
    for (let round = 0; round < rounds; round++) {
      const root = join(folder, "store");
      const { seconds, peakMb } = run("fetch", requestsFile, root);
      ours.push(seconds);
      peaks.push(peakMb);
      rmSync(root, { recursive: true });
      mkdirSync(join(folder, "curl"));
      const outputs = files.flatMap(({ path }) => ["--output", join(folder, "curl", path), url(path)]);
      const andSums = `curl --silent --show-error --fail --parallel --parallel-max 4 "$@" && sha256sum --check --quiet ${folder}/sums && sync ${folder}/curl/*`;
      theirs.push(timed("sh", ["-c", andSums, "sh", ...outputs]));
      rmSync(join(folder, "curl"), { recursive: true });
    }
  } finally {
    server.kill();
  }
  row("curl --parallel, sha256sum: 20 files of 64 MB, one of 2 GB", `${median(theirs).toFixed(1)} s`, "");
  row("bake: the same into the store", `${median(ours).toFixed(1)} s`, "");
  row("  over curl and sha256sum", (median(ours) / median(theirs)).toFixed(2), "<= 1.0");
  row("  memory at its peak", `${Math.max(...peaks).toFixed(0)} MB`, "<= 150 MB");
};

const benchThere = (folder: string): void => {
  const root = join(folder, "full");
  const requests = Array.from({ length: 1000 }, (_, index) => {
    const content = Buffer.from(`file ${index}`);
    const sha256 = createHash("sha256").update(content).digest("hex");
    const path = new Store(root).path(sha256);
    mkdirSync(join(path, ".."), { recursive: true });
    writeFileSync(path, content);
    return { name: String(index), urls: ["http://127.0.0.1:1/"], sha256, size: content.length };
  });
  const requestsFile = join(folder, "there.json");
  writeFileSync(requestsFile, JSON.stringify(requests));
  const seconds = median(Array.from({ length: rounds }, () => run("fetch", requestsFile, root).seconds));
  row("bake: 1,000 files that are all there", `${seconds.toFixed(2)} s`, "< 0.5 s");
};

const benchImage = async (folder: string): Promise<void> => {
  const registry = await startRegistry(join(folder, "registry"), "open");
  const crane = process.env["BAKE_TEST_CRANE"] ?? "crane";
  try {
    // Ten layers of 60 MB that do not compress.
    const layers = Array.from({ length: 10 }, (_, index) => {
      const tree = join(folder, `layer-${index}`);
      mkdirSync(tree);
      writeFileSync(join(tree, "data"), randomBytes(60 * mib));
      const tar = `${tree}.tar`;
      timed("tar", ["-C", tree, "-cf", tar, "."]);
      rmSync(tree, { recursive: true });
      return tar;
    });
    const reference = `${registry.host}/some/image:1`;
    timed(crane, [
      "append",
      "--new_tag",
      reference,
      "--insecure",
      ...layers.flatMap((layer) => ["--new_layer", layer]),
    ]);
    timed(crane, ["mutate", reference, "--insecure", "--set-platform", "linux/amd64", "--tag", reference]);
    const controller = new AbortController();
    const host = {
      ...system,
      run: runProcess(controller.signal),
      env: process.env,
      cacheDir: folder,
      signal: controller.signal,
      progress: {
        note: () => undefined,
        step: <T>(_id: string, _title: string, work: (update: () => void) => Promise<T>) => work(() => undefined),
      },
    };
    const asked = { registry: makeRegistry(host, crane), sources: { registries: {} } };
    const [ours, theirs]: [number[], number[]] = [[], []];
    for (let round = 0; round < rounds; round++) {
      const root = join(folder, "image-store");
      const started = performance.now();
      const { image } = await resolveImage(
        { kind: "container-image", name: reference, asked: reference, architecture: "x86_64", path: [] },
        asked,
      );
      await downloadAll(await blobRequests(image, asked), edges(root));
      ours.push((performance.now() - started) / 1000);
      rmSync(root, { recursive: true });
      const target = join(folder, "oci");
      theirs.push(
        timed("skopeo", ["copy", "--quiet", "--src-tls-verify=false", `docker://${reference}`, `oci:${target}:1`]),
      );
      rmSync(target, { recursive: true });
    }
    row(
      `skopeo copy: an image of ten layers, ${(layers.reduce((sum, layer) => sum + statSync(layer).size, 0) / 1e6).toFixed(0)} MB`,
      `${median(theirs).toFixed(1)} s`,
      "",
    );
    row("bake: lock and fetch it", `${median(ours).toFixed(1)} s`, "");
    row("  over skopeo copy", (median(ours) / median(theirs)).toFixed(2), "<= 1.0");
  } finally {
    await registry.stop();
  }
};

if (role === "serve") await serve();
else if (role === "fetch") await fetchAll(parameters[0] ?? "", parameters[1] ?? "");
else {
  const folder = mkdtempSync(join(tmpdir(), "bake-bench-"));
  try {
    await benchFiles(folder);
    benchThere(folder);
    await benchImage(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
