/** bake-models as a node runs it, below a folder: files as rendered, an ext4 as the data disk, a mirror that can do wrong. */
import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach } from "vitest";
import type { BuildCache, Model } from "../src/artifact.ts";
import { planFor } from "../src/commands/plan.ts";
import type { NodePlan } from "../src/plan/node-plan.ts";
import type { Profile } from "../src/profile/schema.ts";
import { storePath } from "../src/store/store.ts";
import { substitute } from "../src/trial/substitutions.ts";
import { readProfile, render, trialLock } from "./plan-of.ts";

export const sha256 = (bytes: Buffer | string): string => createHash("sha256").update(bytes).digest("hex");

const commit = "1a".repeat(20);

/** A locked model with these files. */
export const lockedModelOf = (
  hub: Model["hub"],
  name: string,
  contents: Readonly<Record<string, Buffer | string>>,
  { version = "2b".repeat(20), asked = hub === "modelscope" ? "master" : "main" } = {},
): Model => ({
  kind: "model",
  hub,
  name,
  version,
  asked,
  files: Object.entries(contents).map(([path, bytes]) => ({
    path,
    url: "https://example.com/x",
    size: Buffer.byteLength(bytes),
    sha256: sha256(bytes),
    ...(hub === "modelscope" ? { revision: commit } : {}),
  })),
});

export interface Wanted {
  readonly model: Model;
  readonly from?: "image" | "mirror";
}

/** The plan of a node with these models, whose data disk is mounted at `mount`. @param caches Without them the trial's own. */
export const planWith = (
  mount: string,
  wanted: readonly Wanted[],
  change: Partial<Profile["storage"]> = {},
  caches?: readonly BuildCache[],
): NodePlan => {
  const { profile } = substitute(readProfile());
  return planFor({
    name: "2cards",
    trial: true,
    profile: {
      ...profile,
      storage: { ...profile.storage, mount, ...change },
      models: wanted.map(({ model, from = "image" }) =>
        model.hub === "modelscope" ? { modelscope: model.name, from } : { huggingface: model.name, from },
      ),
      ...(caches !== undefined && { caches: caches.map(({ name }) => ({ name, path: name, from: "image" as const })) }),
    },
    lock: {
      ...trialLock,
      artifacts: [
        ...trialLock.artifacts.filter(
          ({ kind }) => kind !== "model" && (kind !== "build-cache" || caches === undefined),
        ),
        ...wanted.map(({ model }) => model),
        ...(caches ?? []),
      ],
    },
  });
};

/** What a mirror does with one file instead of sending it. */
type Fault = (content: Buffer, response: ServerResponse, start: number) => void;

export interface Mirror {
  readonly url: string;
  /** By sha256. */
  readonly contents: Map<string, Buffer>;
  readonly faults: Map<string, Fault>;
  /** Paths and ranges, as they were asked for. */
  readonly asked: string[];
  /** Bytes a second for each answer; 0: as fast as it goes. */
  rate: number;
  readonly close: () => void;
}

const throttled = (bytes: Buffer, response: ServerResponse, rate: number): void => {
  const step = Math.max(1, Math.floor(rate / 50));
  let at = 0;
  const next = (): void => {
    if (response.destroyed) return;
    if (at >= bytes.length) {
      response.end();
      return;
    }
    response.write(bytes.subarray(at, at + step));
    at += step;
    setTimeout(next, 20);
  };
  next();
};

/** An empty mirror on loopback. */
export const openMirror = async (): Promise<Mirror> => {
  const contents = new Map<string, Buffer>();
  const faults = new Map<string, Fault>();
  const asked: string[] = [];
  const server: Server = createServer((request, response) => {
    const path = request.url ?? "";
    const found = [...contents].find(([digest]) => `/mirror/${storePath(digest)}` === path);
    const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
    asked.push(`${path.slice("/mirror/sha256/".length).replace("/", "")} ${start}`);
    if (found === undefined) {
      response.writeHead(404).end("not here\n");
      return;
    }
    const [digest, content] = found;
    const fault = faults.get(digest);
    if (fault !== undefined) {
      fault(content, response, start);
      return;
    }
    if (start >= content.length && start > 0) {
      response.writeHead(416).end();
      return;
    }
    const rest = content.subarray(start);
    response.writeHead(start > 0 ? 206 : 200, {
      "content-length": rest.length,
      ...(start > 0 && { "content-range": `bytes ${start}-${content.length - 1}/${content.length}` }),
    });
    if (mirror.rate > 0) throttled(rest, response, mirror.rate);
    else response.end(rest);
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const mirror: Mirror = {
    url: `http://127.0.0.1:${port}/mirror`,
    contents,
    faults,
    asked,
    rate: 0,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
  return mirror;
};

interface Ran {
  readonly code: number | null;
  readonly output: string;
}

export interface ModelNode {
  readonly folder: string;
  readonly mount: string;
  readonly program: string;
  /** Lays the files of a plan, in the place of those of an earlier one. @param name For `use NAME` in a script. */
  readonly lay: (plan: NodePlan, name?: string) => void;
  /** Shell with the data disk mounted, in a mount namespace of its own. @param killAfter Milliseconds until all of it is killed. */
  readonly run: (script: string, options?: { readonly killAfter?: number }) => Promise<Ran>;
  readonly close: () => void;
}

/** A node with an empty data disk. @param size Of that, as truncate takes it. */
export const openModelNode = (size = "256M"): ModelNode => {
  const folder = mkdtempSync(join(tmpdir(), "bake-models-"));
  const mount = join(folder, "mnt");
  const disk = join(folder, "disk");
  const program = join(folder, "opt/bake/bin/bake-models");
  mkdirSync(mount);
  execFileSync("truncate", ["-s", size, disk]);
  execFileSync("mkfs.ext4", ["-q", "-F", disk]);
  const here = (text: string): string =>
    text.replace(/(?<![\w$}])\/(opt|run|etc|var\/lib)\/bake/g, `${folder}/$1/bake`);
  return {
    folder,
    mount,
    program,
    lay: (plan, name) => {
      rmSync(join(folder, "opt"), { recursive: true, force: true });
      for (const { path, content } of render(plan).nodeFiles) {
        if (
          !/^\/(opt\/bake\/(models|caches\.tsv)|opt\/bake\/bin\/(bake-(models|caches)|fetch-blobs\.sh)$|etc\/bake\/(models|caches)\.env)/.test(
            path,
          )
        )
          continue;
        const file = join(folder, path);
        mkdirSync(dirname(file), { recursive: true });
        const fast = content
          .replace(/RETRY_SECONDS="\d+"/, 'RETRY_SECONDS="0"')
          .replace(/PROGRESS_SECONDS="\d+"/, 'PROGRESS_SECONDS="1"');
        writeFileSync(file, /^\/opt\/bake\/(models|caches)/.test(path) ? fast : here(fast));
        if (path.includes("/bin/")) chmodSync(file, 0o755);
      }
      if (name === undefined) return;
      const kept = join(folder, "kept", name);
      mkdirSync(kept, { recursive: true });
      for (const part of ["opt", "etc"]) cpSync(join(folder, part), join(kept, part), { recursive: true });
    },
    run: (script, { killAfter } = {}) =>
      new Promise((done) => {
        const child = spawn(
          "unshare",
          [
            ...["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"],
            ...[
              "bash",
              "--norc",
              "-c",
              `umask 077; mount -o loop "${disk}" "${mount}" || exit 99
models=${program}
use() { rm -rf ${folder}/opt ${folder}/etc && cp -a ${folder}/kept/$1/. ${folder}; }
${script}`,
            ],
          ],
          { stdio: ["ignore", "pipe", "pipe"], env: { PATH: process.env["PATH"] ?? "", no_proxy: "*" } },
        );
        let output = "";
        for (const stream of [child.stdout, child.stderr])
          stream.on("data", (data: Buffer) => (output += data.toString()));
        const timer = killAfter === undefined ? undefined : setTimeout(() => child.kill("SIGKILL"), killAfter);
        child.on("close", (code) => {
          clearTimeout(timer);
          done({ code, output });
        });
      }),
    close: () => rmSync(folder, { recursive: true, force: true }),
  };
};

/** A node and a mirror with these contents for each test of a file. @param take Gets them before it. */
export const eachWithModelNode = (
  contents: Readonly<Record<string, Buffer | string>>,
  take: (opened: { readonly node: ModelNode; readonly mirror: Mirror }) => unknown,
): void => {
  let opened: { readonly node: ModelNode; readonly mirror: Mirror } | undefined;
  beforeEach(async () => {
    opened = { node: openModelNode(), mirror: await openMirror() };
    for (const bytes of Object.values(contents)) opened.mirror.contents.set(sha256(bytes), Buffer.from(bytes));
    take(opened);
  });
  afterEach(() => {
    opened?.mirror.close();
    opened?.node.close();
  });
};
