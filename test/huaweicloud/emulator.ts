/**
 * Huawei Cloud on this machine, as far as a bake and its preflight go: TLS on loopback, behind a proxy that leads every host of
 * the region there. Strict, with faults on request, and with every call counted.
 */
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, connect } from "node:net";
import { certificatesFor } from "./certificates.ts";
import { addRegion, catalogRoutes } from "./catalog-routes.ts";
import { lookingRoutes } from "./looking.ts";
import { makingRoutes } from "./making.ts";
import { nodeRoutes } from "./node-routes.ts";
import { obsAnswer, obsRoute, obsRoutes, type ObsWire } from "./obs.ts";
import { type Instead, Refusal, refusalBody, type Routes, type ServiceName } from "./route.ts";
import { signatureProblem } from "./signature.ts";
import { makeWorld, type Job, type World } from "./world.ts";

const routes: Routes = { ...lookingRoutes, ...makingRoutes, ...catalogRoutes, ...nodeRoutes };

const requireRoute = (name: string): string => {
  if (routes[name] === undefined && !obsRoutes.some((route) => route === name))
    throw new Error(`the emulator has no route ${name}`);
  return name;
};

/** What goes wrong with one call. */
interface Fault {
  /** Answers this and does nothing. */
  readonly status?: number;
  readonly retryAfter?: string;
  /** In the place of the service's own words. */
  readonly body?: string;
  /** Does what is asked, then cuts the connection. */
  readonly lost?: true;
  /** Milliseconds before it answers. */
  readonly delay?: number;
  /** Takes the call, and its job fails. */
  readonly job?: NonNullable<Job["failure"]>;
  /** Takes the call, and its job does something else. */
  readonly instead?: Instead;
  /** An answer of another status where it is done. */
  readonly redirect?: string;
}

export interface Emulator {
  readonly world: World;
  /** Of the same account, in another region: empty of images and servers. */
  readonly other: World;
  /** Of a client: HTTPS_PROXY, SSL_CERT_FILE and the credentials. */
  readonly env: Readonly<Record<string, string>>;
  /** Each call that was taken, faults too: `ECS GET /v1/{project_id}/cloudservers/detail`. */
  readonly calls: string[];
  /** Headers of each call. */
  readonly headers: IncomingMessage["headers"][];
  /** For a route: one fault a call, in this order; then none. */
  readonly fail: (route: string, ...faults: readonly Fault[]) => void;
  /** For a route: what happens elsewhere right before each of its next calls, in this order; the call waits for it. */
  readonly on: (route: string, ...happens: readonly (() => unknown)[]) => void;
  /** A route that the user has no right to. */
  readonly forbid: (route: string) => void;
  /** Moves its clock. Jobs that are due are done. */
  readonly advance: (milliseconds: number) => void;
  readonly now: () => number;
  readonly close: () => Promise<void>;
}

const services: Readonly<Record<string, ServiceName>> = {
  iam: "iam",
  ims: "ims",
  ecs: "ecs",
  evs: "evs",
  vpc: "vpc",
  as: "as",
  bms: "bms",
  modelarts: "modelarts",
};

interface Found {
  readonly route: string;
  readonly parameters: Readonly<Record<string, string>>;
}

/** The route of a path; a name that holds fewer parameters goes first. */
const findRoute = (service: ServiceName, method: string, path: string): Found | undefined => {
  const found = Object.keys(routes).flatMap((route): Found[] => {
    const [of = "", verb, template = ""] = route.split(" ");
    if (of.toLowerCase() !== service || verb !== method) return [];
    const wanted = template.split("/");
    const given = path.split("/");
    if (wanted.length !== given.length) return [];
    const parameters: Record<string, string> = {};
    for (const [at, part] of wanted.entries()) {
      const value = decodeURIComponent(given[at] ?? "");
      const name = /^\{(\w+)\}$/.exec(part)?.[1];
      if (name === undefined ? part !== value : value === "") return [];
      if (name !== undefined) parameters[name] = value;
    }
    return [{ route, parameters }];
  });
  return found.toSorted((a, b) => Object.keys(a.parameters).length - Object.keys(b.parameters).length)[0];
};

const readAll = async (request: IncomingMessage): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
};

const listen = (server: {
  listen: (port: number, host: string, done: () => void) => unknown;
  address: () => unknown;
}) =>
  new Promise<number>((resolve) =>
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port)),
  );

/** @param clock Milliseconds since the epoch. */
export const startEmulator = async (clock: () => number = Date.now): Promise<Emulator> => {
  const world = makeWorld();
  const other: World = {
    ...makeWorld(),
    region: "cn-south-1",
    project: { id: "fedcba9876543210fedcba9876543210", name: "cn-south-1" },
    images: [],
    // An account's keys are the same everywhere.
    keys: world.keys,
  };
  addRegion(world, other);
  const worlds = [world, other];
  const domain = (region: string): string => `${region}.myhuaweicloud.com`;
  const { authority, key, certificate } = certificatesFor(
    worlds.flatMap(({ region }) => [`*.${domain(region)}`, `*.obs.${domain(region)}`]).join(",DNS:"),
  );
  let moved = 0;
  const now = (): number => clock() + moved;
  const calls: string[] = [];
  const headers: IncomingMessage["headers"][] = [];
  const faults = new Map<string, Fault[]>();
  const happenings = new Map<string, (() => unknown)[]>();
  const forbidden = new Set<string>();
  let requests = 0;
  let refusals = 0;

  const finishJobs = (): void => {
    // What is done may be the beginning of what is due as well.
    for (;;) {
      const due = worlds
        .flatMap(({ jobs }) => jobs.filter(({ readyAt, finish }) => finish !== undefined && readyAt <= now()))
        .toSorted((a, b) => a.readyAt - b.readyAt);
      if (due.length === 0) return;
      for (const job of due) {
        const { finish } = job;
        job.finish = undefined;
        finish?.();
      }
    }
  };

  const answer = (
    at: World,
    service: ServiceName,
    found: Found | undefined,
    request: IncomingMessage,
    body: Buffer,
    fault: Fault,
  ) => {
    const refuse = (status: number, code: string, message: string): never => {
      throw new Refusal(status, code, message);
    };
    if (found === undefined) return refuse(404, "APIGW.0101", "The API does not exist or has not been published.");
    if (forbidden.has(found.route)) return refuse(403, "Forbidden", "Policy doesn't allow this to be performed.");
    const route = routes[found.route];
    const query = Object.fromEntries(new URL(`https://x${request.url ?? ""}`).searchParams);
    const allowed = route?.query ?? [];
    for (const name of Object.keys(query)) {
      if (!allowed.some((each) => each.replace("!", "") === name))
        refuse(400, "Common.0011", `Unknown parameter ${name}.`);
    }
    for (const name of allowed) {
      if (name.endsWith("!") && !(name.slice(0, -1) in query))
        refuse(400, "Common.0011", `Parameter ${name} is missing.`);
    }
    const { project_id: project } = found.parameters;
    if (project !== undefined && project !== at.project.id) refuse(403, "Common.0013", "The project does not exist.");
    if (project !== undefined && request.headers["x-project-id"] !== project) {
      refuse(400, "Common.0014", "X-Project-Id and the path are about two projects.");
    }
    let content: unknown;
    if (body.length > 0) {
      if (request.headers["content-type"]?.startsWith("application/json") !== true)
        refuse(415, "Common.0015", "No JSON.");
      content = JSON.parse(body.toString("utf8"));
    }
    finishJobs();
    return (
      route?.answer({
        world: at,
        now: now(),
        parameters: found.parameters,
        query,
        body: content,
        clientToken: request.headers["x-client-token"] as string | undefined,
        jobFailure: fault.job,
        instead: fault.instead,
      }) ?? refuse(404, "APIGW.0101", "No such route.")
    );
  };

  /** The object storage has words and signatures of its own. */
  const storage = async (wire: ObsWire, request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const route = obsRoute(wire);
    calls.push(route);
    headers.push(request.headers);
    const fault = faults.get(route)?.shift() ?? {};
    await happenings.get(route)?.shift()?.();
    const send = (status: number, content = "", more: Readonly<Record<string, string>> = {}): void => {
      response.sendDate = false;
      response.writeHead(status, {
        date: new Date(now()).toUTCString(),
        "x-obs-request-id": `obs-${calls.length}`,
        ...more,
      });
      response.end(wire.method === "HEAD" ? undefined : content);
    };
    if (fault.delay !== undefined) await new Promise((done) => setTimeout(done, fault.delay));
    if (forbidden.has(route))
      return send(403, "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>");
    if (fault.status !== undefined)
      return send(
        fault.status,
        fault.body ?? "<Error><Code>InternalError</Code><Message>As it was asked to.</Message></Error>",
      );
    const given = obsAnswer(world.buckets, world.keys, wire, now());
    if (fault.lost === true) request.socket.destroy();
    else send(given.status, given.body, given.headers);
  };

  const gateway = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await readAll(request);
    const [bucket, inRegion] = /^([a-z0-9-]+)\.obs\.([a-z0-9-]+)\./.exec(request.headers.host ?? "")?.slice(1) ?? [];
    if (bucket !== undefined && inRegion !== undefined) {
      const wire = {
        method: request.method ?? "",
        bucket,
        region: inRegion,
        target: request.url ?? "",
        headers: request.headers,
        body,
      };
      return storage(wire, request, response);
    }
    const [host = "", region = ""] = (request.headers.host ?? "").split(".");
    const at = worlds.find((each) => each.region === region) ?? world;
    const service = services[host];
    const [path = ""] = (request.url ?? "").split("?");
    const found = service === undefined ? undefined : findRoute(service, request.method ?? "", path);
    calls.push(found?.route ?? `${host.toUpperCase()} ${request.method} ${path}`);
    headers.push(request.headers);
    const fault = faults.get(found?.route ?? "")?.shift() ?? {};
    await happenings.get(found?.route ?? "")?.shift()?.();
    requests += 1;
    const send = (status: number, content: string | undefined, more: Record<string, string> = {}): void => {
      response.sendDate = false;
      response.writeHead(status, {
        date: new Date(now()).toUTCString(),
        "x-request-id": `request-${requests}`,
        ...(content !== undefined && { "content-type": "application/json" }),
        ...more,
      });
      response.end(content ?? "");
    };
    if (fault.delay !== undefined) await new Promise((done) => setTimeout(done, fault.delay));
    const problem =
      refusals >= 5
        ? "the access key is locked"
        : signatureProblem(
            { method: request.method ?? "", target: request.url ?? "", headers: request.headers, body },
            world.keys,
            now(),
          );
    if (problem !== undefined) {
      refusals += 1;
      send(
        401,
        JSON.stringify({
          error_code: "APIGW.0301",
          error_msg: `Incorrect IAM authentication information: ${problem}`,
          request_id: `request-${requests}`,
        }),
      );
      return;
    }
    if (fault.redirect !== undefined) {
      send(302, "", { location: fault.redirect });
      return;
    }
    if (fault.status !== undefined) {
      const words = new Refusal(
        fault.status,
        fault.status === 429 ? "APIGW.0308" : "Common.0500",
        "As it was asked to.",
      );
      send(
        fault.status,
        fault.body ?? JSON.stringify(refusalBody(service ?? "ecs", words)),
        fault.retryAfter === undefined ? {} : { "retry-after": fault.retryAfter },
      );
      return;
    }
    try {
      const given = answer(at, service ?? "ecs", found, request, body, fault);
      if (fault.lost === true) request.socket.destroy();
      else send(given.status, given.body === undefined ? undefined : JSON.stringify(given.body));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      send(error.status, JSON.stringify(refusalBody(service ?? "ecs", error)));
    }
  };

  const server = createTlsServer({ key, cert: certificate }, (request, response) => {
    gateway(request, response).catch((error: unknown) => {
      response.writeHead(500).end(`the emulator broke: ${String(error)}`);
    });
  });
  const port = await listen(server);
  const proxy = createHttpServer((_, response) => response.writeHead(405).end());
  const open = new Set<{ destroy: () => unknown }>();
  proxy.on("connect", (request, client) => {
    open.add(client);
    if (!worlds.some(({ region }) => (request.url ?? "").endsWith(`.${domain(region)}:443`))) {
      client.end("HTTP/1.1 502 No such host\r\n\r\n");
      return;
    }
    const upstream = connect(port, "127.0.0.1", () => {
      client.write("HTTP/1.1 200 Connection established\r\n\r\n");
      upstream.pipe(client).pipe(upstream);
    });
    open.add(upstream);
    for (const [one, peer] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      one.on("error", () => peer.destroy());
      one.on("close", () => peer.destroy());
    }
  });
  const proxyPort = await listen(proxy);
  const [first] = world.keys;

  return {
    world,
    other,
    env: {
      HTTPS_PROXY: `http://127.0.0.1:${proxyPort}`,
      SSL_CERT_FILE: authority,
      HW_ACCESS_KEY: first?.accessKey ?? "",
      HW_SECRET_KEY: first?.secretKey ?? "",
    },
    calls,
    headers,
    fail: (route, ...wanted) => void faults.set(requireRoute(route), [...wanted]),
    on: (route, ...happens) => void happenings.set(requireRoute(route), [...happens]),
    forbid: (route) => void forbidden.add(requireRoute(route)),
    advance: (milliseconds) => {
      moved += milliseconds;
      finishJobs();
    },
    now,
    close: async () => {
      for (const socket of open) socket.destroy();
      server.closeAllConnections();
      proxy.closeAllConnections();
      await Promise.all([
        new Promise((done) => {
          server.close(done);
        }),
        new Promise((done) => {
          proxy.close(done);
        }),
      ]);
    },
  };
};
