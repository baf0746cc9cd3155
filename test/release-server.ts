/**
 * A loopback server for what releases, bases and models are fetched from. It answers from a value: paths to replies; the
 * functions below make such values in the shapes of the real hosts.
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Architecture } from "../src/artifact.ts";
import type { Sources } from "../src/node/requirement.ts";

interface Answer {
  /** Default 200. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** Ends the connection after so many bytes of the body. */
  readonly cutAfter?: number;
  /** Answers no ranges. */
  readonly whole?: boolean;
  /** Milliseconds before it answers. */
  readonly delay?: number;
}

/** A body, an answer, or several that are given one after the other; the last one stays. `{origin}` in texts is the server's. */
type Reply = string | Uint8Array | Answer | readonly Answer[];

/** By path, or by path and query, which goes first. */
export type Routes = Readonly<Record<string, Reply>>;

export interface ReleaseServer {
  /** `http://127.0.0.1:PORT` */
  readonly origin: string;
  /** All of a profile's sources, below this server. */
  readonly sources: Sources;
  /** Each request, such as `GET /docker/x86_64/`. */
  readonly requests: string[];
  readonly headers: IncomingMessage["headers"][];
  close(): Promise<void>;
}

const sha256 = (bytes: string | Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

const asAnswers = (reply: Reply): readonly Answer[] => {
  if (typeof reply === "string" || reply instanceof Uint8Array) return [{ body: reply }];
  return Array.isArray(reply) ? (reply as readonly Answer[]) : [reply as Answer];
};

const send = (answer: Answer, origin: string, request: IncomingMessage, response: ServerResponse): void => {
  const fill = (text: string): string => text.replaceAll("{origin}", origin);
  const { body = "" } = answer;
  const whole = typeof body === "string" ? Buffer.from(fill(body)) : Buffer.from(body);
  const etag = `"${sha256(whole).slice(0, 16)}"`;
  const ranged = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
  const from = Number(ranged?.[1] ?? 0);
  const to = ranged === null || ranged[2] === "" ? whole.length - 1 : Number(ranged[2]);
  const resumes =
    ranged !== null &&
    answer.whole !== true &&
    answer.status === undefined &&
    from <= to &&
    to < whole.length &&
    (request.headers["if-range"] ?? etag) === etag &&
    (request.headers["if-match"] ?? etag) === etag;
  const bytes = resumes ? whole.subarray(from, to + 1) : whole;
  response.writeHead(answer.status ?? (resumes ? 206 : 200), {
    "content-length": bytes.length,
    "accept-ranges": "bytes",
    etag,
    ...(resumes ? { "content-range": `bytes ${from}-${to}/${whole.length}` } : {}),
    ...Object.fromEntries(Object.entries(answer.headers ?? {}).map(([name, value]) => [name, fill(value)])),
  });
  if (request.method === "HEAD") response.end();
  else if (answer.cutAfter === undefined || answer.cutAfter >= bytes.length) response.end(bytes);
  else response.write(bytes.subarray(0, answer.cutAfter), () => response.destroy());
};

export const startReleaseServer = async (routes: Routes): Promise<ReleaseServer> => {
  const requests: string[] = [];
  const headers: IncomingMessage["headers"][] = [];
  const given = new Map<string, number>();
  let origin = "";
  const server = createServer((request, response) => {
    const target = request.url ?? "/";
    requests.push(`${request.method} ${target}`);
    headers.push(request.headers);
    const path = target.replace(/\?.*/s, "");
    const key = Object.hasOwn(routes, target) ? target : path;
    const reply = Object.hasOwn(routes, key) ? routes[key] : undefined;
    const answers = reply === undefined ? [{ status: 404, body: "Not Found" }] : asAnswers(reply);
    const turn = given.get(key) ?? 0;
    given.set(key, turn + 1);
    const answer = answers[Math.min(turn, answers.length - 1)] ?? { status: 404 };
    setTimeout(() => send(answer, origin, request, response), answer.delay ?? 0);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    origin,
    sources: {
      docker: `${origin}/docker`,
      buildx: `${origin}/docker/buildx/releases/download`,
      agent: `${origin}/buildkite/agent/releases/download`,
      goss: `${origin}/goss-org/goss/releases/download`,
      releases: `${origin}/api`,
      openeuler: `${origin}/openeuler`,
      modelscope: `${origin}/modelscope`,
      huggingface: `${origin}/huggingface`,
      registries: {},
      insecureRegistries: [],
    },
    requests,
    headers,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => {
        server.close(resolve);
      });
    },
  };
};

const goArchitecture = { x86_64: "amd64", aarch64: "arm64" } as const;

type Bytes = string | Uint8Array;

/** download.docker.com: an index in HTML and the archives; no checksums. */
export const dockerStaticRoutes = (
  archives: Readonly<Record<string, Bytes>>,
  architecture: Architecture = "x86_64",
): Routes => {
  const folder = `/docker/${architecture}`;
  const names = Object.keys(archives).flatMap((version) => [
    `docker-${version}.tgz`,
    `docker-rootless-extras-${version}.tgz`,
  ]);
  const rows = names.map((name) => `<a href="${name}">${name}</a>  2025-01-22 14:22:23 80.4 MiB`).join("\n");
  const title = "Index of linux/static/stable/";
  return {
    [`${folder}/`]: `<html>\n<head><title>${title}</title></head>\n<body><pre><a href="../">../</a>\n${rows}\n</pre></body></html>\n`,
    ...Object.fromEntries(
      Object.entries(archives).map(([version, bytes]) => [`${folder}/docker-${version}.tgz`, bytes]),
    ),
  };
};

/** A release of buildx on GitHub: binaries and `checksums.txt`. */
export const buildxRoutes = (version: string, binaries: Readonly<Partial<Record<Architecture, Bytes>>>): Routes => {
  const folder = `/docker/buildx/releases/download/v${version}`;
  const files = Object.entries(binaries).map(
    ([architecture, bytes]) =>
      [`buildx-v${version}.linux-${goArchitecture[architecture as Architecture]}`, bytes] as const,
  );
  return {
    [`${folder}/checksums.txt`]: files.map(([name, bytes]) => `${sha256(bytes)} *${name}\n`).join(""),
    ...Object.fromEntries(files.map(([name, bytes]) => [`${folder}/${name}`, bytes])),
  };
};

/** A release of the Buildkite agent on GitHub: archives and one SHA256SUMS. */
export const agentRoutes = (version: string, archives: Readonly<Partial<Record<Architecture, Bytes>>>): Routes => {
  const folder = `/buildkite/agent/releases/download/v${version}`;
  const files = Object.entries(archives).map(
    ([architecture, bytes]) =>
      [`buildkite-agent-linux-${goArchitecture[architecture as Architecture]}-${version}.tar.gz`, bytes] as const,
  );
  return {
    [`${folder}/buildkite-agent-${version}.SHA256SUMS`]: files
      .map(([name, bytes]) => `${sha256(bytes)}  ${name}\n`)
      .join(""),
    ...Object.fromEntries(files.map(([name, bytes]) => [`${folder}/${name}`, bytes])),
  };
};

/** A release of goss on GitHub: binaries, each with its own checksum file. */
export const gossRoutes = (version: string, binaries: Readonly<Partial<Record<Architecture, Bytes>>>): Routes =>
  Object.fromEntries(
    Object.entries(binaries).flatMap(([architecture, bytes]) => {
      const name = `goss-linux-${goArchitecture[architecture as Architecture]}`;
      const path = `/goss-org/goss/releases/download/v${version}/${name}`;
      return [
        [path, bytes],
        [`${path}.sha256`, `${sha256(bytes)}  ${name}\n`],
      ];
    }),
  );

/** GitHub's list of releases, in pages. A tag with a hyphen is a release for testing. */
export const gitHubReleasesRoutes = (repository: string, pages: readonly (readonly string[])[]): Routes => {
  const path = `/api/repos/${repository}/releases`;
  const target = (page: number): string =>
    page === 0 ? `${path}?per_page=100` : `${path}?per_page=100&page=${page + 1}`;
  return Object.fromEntries(
    pages.map((tags, page): [string, Reply] => [
      target(page),
      {
        headers: {
          "content-type": "application/json; charset=utf-8",
          ...(page + 1 < pages.length
            ? { link: `<{origin}${target(page + 1)}>; rel="next", <{origin}${target(pages.length - 1)}>; rel="last"` }
            : {}),
        },
        body: JSON.stringify(
          tags.map((tag) => ({ tag_name: tag, name: tag, draft: false, prerelease: tag.includes("-"), assets: [] })),
        ),
      },
    ]),
  );
};

/** openEuler's images: a compressed qcow2 and its checksum file. */
export const openEulerRoutes = (
  release: string,
  bytes: Bytes,
  { architecture = "x86_64", separator = "-" }: { architecture?: Architecture; separator?: string } = {},
): Routes => {
  const name = `openEuler-${release}${separator}${architecture}.qcow2.xz`;
  const path = `/openeuler/openEuler-${release}/virtual_machine_img/${architecture}/${name}`;
  return { [path]: bytes, [`${path}.sha256sum`]: `${sha256(bytes)}  ${name}\n` };
};

/** One file of a model. */
export interface ServedFile {
  readonly path: string;
  readonly bytes: Bytes;
  /** The commit that last changed it. */
  readonly commit: string;
  /** Hugging Face: a large file, of which git has a pointer. */
  readonly large?: boolean;
}

const foldersOf = (files: readonly ServedFile[]): string[] => [
  ...new Set(
    files.flatMap(({ path }) =>
      path
        .split("/")
        .slice(0, -1)
        .map((_, index, parts) => parts.slice(0, index + 1).join("/")),
    ),
  ),
];

const lastPart = (path: string): string => path.slice(path.lastIndexOf("/") + 1);

/** ModelScope's list of a model's files, as `Data` of its answer. */
export const modelscopeListing = (files: readonly ServedFile[], commit: string) => ({
  Files: [
    ...foldersOf(files).map((path) => ({
      Name: lastPart(path),
      Path: path,
      Type: "tree",
      Size: 0,
      Sha256: "",
      Revision: commit,
      Mode: "40000",
    })),
    ...files.map(({ path, bytes, commit: own }) => ({
      Name: lastPart(path),
      Path: path,
      Type: "blob",
      Size: Buffer.from(bytes).length,
      Sha256: sha256(bytes),
      Revision: own,
      CommittedDate: 1745905210,
      IsLFS: false,
      Mode: "33188",
    })),
  ],
  IsVisual: 0,
  LatestCommitter: { Id: "", ShortId: commit.slice(0, 8) },
});

export const modelscopeAnswer = (data: unknown, code = 200, message = "success"): string =>
  JSON.stringify({ Code: code, Data: data, Message: message, RequestId: "0", Success: code === 200 });

/** ModelScope: list and downloads of one model. */
export const modelscopeRoutes = (
  model: string,
  revision: string,
  commit: string,
  files: readonly ServedFile[],
): Routes => {
  const root = `/modelscope/api/v1/models/${model}/repo`;
  return {
    [`${root}/files?Revision=${revision}&Recursive=True`]: modelscopeAnswer(modelscopeListing(files, commit)),
    // It answers so for a revision that is not there.
    [`${root}/files`]: modelscopeAnswer({ Files: null, IsVisual: 0, LatestCommitter: null }),
    ...Object.fromEntries(
      files.map((file) => [`${root}?Revision=${file.commit}&FilePath=${encodeURIComponent(file.path)}`, file.bytes]),
    ),
  };
};

const gitBlob = (bytes: Bytes): string =>
  createHash("sha1")
    .update(`blob ${Buffer.from(bytes).length}\0`)
    .update(bytes)
    .digest("hex");

export const huggingfaceEntry = ({ path, bytes, large }: ServedFile) => {
  const size = Buffer.from(bytes).length;
  const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${sha256(bytes)}\nsize ${size}\n`;
  return large === true
    ? {
        type: "file",
        oid: gitBlob(pointer),
        size,
        lfs: { oid: sha256(bytes), size, pointerSize: pointer.length },
        path,
      }
    : { type: "file", oid: gitBlob(bytes), size, path };
};

/** Hugging Face: revision, tree in pages of `pageSize`, and downloads of one model. Large files redirect, as to its CDN. */
export const huggingfaceRoutes = (
  model: string,
  revision: string,
  commit: string,
  files: readonly ServedFile[],
  pageSize = 1000,
): Routes => {
  const entries = [
    ...foldersOf(files).map((path) => ({ type: "directory", oid: commit, size: 0, path })),
    ...files.map(huggingfaceEntry),
  ];
  const tree = `/huggingface/api/models/${model}/tree/${commit}`;
  const pages = Array.from({ length: Math.max(1, Math.ceil(entries.length / pageSize)) }, (_, page) =>
    entries.slice(page * pageSize, (page + 1) * pageSize),
  );
  const target = (page: number): string => `${tree}?recursive=true${page === 0 ? "" : `&cursor=${page}`}`;
  return {
    [`/huggingface/api/models/${model}/revision/${revision}`]: JSON.stringify({
      id: model,
      sha: commit,
      private: false,
      gated: false,
    }),
    ...Object.fromEntries(
      pages.map((page, index): [string, Reply] => [
        target(index),
        {
          headers: index + 1 < pages.length ? { link: `<{origin}${target(index + 1)}>; rel="next"` } : {},
          body: JSON.stringify(page),
        },
      ]),
    ),
    ...Object.fromEntries(
      files.flatMap((file): [string, Reply][] => {
        const path = `/huggingface/${model}/resolve/${commit}/${file.path.split("/").map(encodeURIComponent).join("/")}`;
        const cdn = `/cdn/${sha256(file.bytes)}`;
        return file.large === true
          ? [
              [path, { status: 302, headers: { location: `{origin}${cdn}?X-Signature=secret` } }],
              [cdn, file.bytes],
            ]
          : [[path, file.bytes]];
      }),
    ),
  };
};
