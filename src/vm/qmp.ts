/** QEMU's machine protocol (QMP): JSON over a socket; commands are answered by id, events come in between. */
import { createConnection, type Socket } from "node:net";
import * as z from "zod";
import { BakeError } from "../errors.ts";
import type { Host } from "../host/host.ts";

interface QmpEvent {
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface Qmp {
  /** @returns what QEMU answers. @throws BakeError BK508 when QEMU refuses the command, or ends. */
  execute(command: string, commandArguments?: Readonly<Record<string, unknown>>): Promise<unknown>;
  /** The first event that `matches`, from the call on. @throws BakeError BK508 when it does not come in time, or QEMU ends. */
  event(what: string, matches: (event: QmpEvent) => boolean, timeoutMs: number): Promise<QmpEvent>;
  close(): void;
}

/** Of the wire, not of ours. */
const Message = z.union([
  z
    .object({ event: z.string(), data: z.record(z.string(), z.unknown()).default({}) })
    .transform((event) => ({ kind: "event" as const, event })),
  z
    .object({ error: z.object({ desc: z.string() }), id: z.number() })
    .transform(({ error, id }) => ({ kind: "refused" as const, id, why: error.desc })),
  z
    .object({ return: z.unknown(), id: z.number() })
    .transform((answer) => ({ kind: "answer" as const, id: answer.id, value: answer.return })),
]);

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

const ended = (): BakeError => new BakeError("BK508", "QEMU ended, or closed its control socket");

const connect = (path: string): Promise<Socket> =>
  new Promise((done, failed) => {
    const socket = createConnection(path, () => {
      socket.off("error", failed);
      done(socket);
    }).once("error", failed);
  });

/**
 * Connects to the socket that QEMU makes when it starts, and shakes hands.
 * @throws BakeError BK508 when it does not answer within `timeoutMs`; the host's reason, when that is aborted before.
 */
export const connectQmp = async (
  path: string,
  timeoutMs: number,
  host: Pick<Host, "now" | "sleep" | "signal">,
): Promise<Qmp> => {
  const until = host.now() + timeoutMs;
  for (;;) {
    try {
      return await converse(await connect(path));
    } catch (error) {
      if (host.now() > until) {
        throw new BakeError("BK508", "QEMU's control socket does not answer", String(error), { cause: error });
      }
      await host.sleep(50, host.signal);
    }
  }
};

const converse = async (socket: Socket): Promise<Qmp> => {
  const commands = new Map<number, Waiting>();
  const watchers = new Set<{ readonly see: (event: QmpEvent) => void; readonly fail: (error: Error) => void }>();
  let lastId = 0;
  let rest = "";
  socket.setEncoding("utf8");
  socket.on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const { data: message } = Message.safeParse(JSON.parse(line));
      if (message?.kind === "event") for (const watcher of watchers) watcher.see(message.event);
      if (message?.kind === "answer") commands.get(message.id)?.resolve(message.value);
      if (message?.kind === "refused") commands.get(message.id)?.reject(new BakeError("BK508", message.why));
    }
  });
  socket.on("error", () => socket.destroy());
  socket.on("close", () => {
    for (const waiting of commands.values()) waiting.reject(ended());
    for (const watcher of watchers) watcher.fail(ended());
  });

  const execute: Qmp["execute"] = async (command, commandArguments = {}) => {
    if (socket.destroyed) throw ended();
    lastId++;
    const id = lastId;
    try {
      return await new Promise((resolve, reject) => {
        commands.set(id, { resolve, reject });
        socket.write(`${JSON.stringify({ execute: command, arguments: commandArguments, id })}\n`);
      });
    } catch (error) {
      if (!(error instanceof BakeError)) throw error;
      throw new BakeError("BK508", `QEMU refused ${command}: ${error.message}`, undefined, { cause: error });
    } finally {
      commands.delete(id);
    }
  };

  const event: Qmp["event"] = (what, matches, timeoutMs) =>
    new Promise((resolve, reject) => {
      const end = (): void => {
        clearTimeout(timer);
        watchers.delete(watcher);
      };
      const watcher = {
        see: (seen: QmpEvent) => {
          if (!matches(seen)) return;
          end();
          resolve(seen);
        },
        fail: (error: Error) => {
          end();
          reject(error);
        },
      };
      const timer = setTimeout(
        () => watcher.fail(new BakeError("BK508", `${what}: nothing within ${Math.round(timeoutMs / 1000)} s`)),
        timeoutMs,
      );
      if (socket.destroyed) watcher.fail(ended());
      else watchers.add(watcher);
    });

  await execute("qmp_capabilities");
  return { execute, event, close: () => socket.destroy() };
};
