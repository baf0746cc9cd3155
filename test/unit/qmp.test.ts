/** The QMP client against a made-up QEMU on a socket. */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { connectQmp, type Qmp } from "../../src/vm/qmp.ts";
import { system } from "../../src/host/system.ts";

let folder = "";
let server: Server;
let peer: Socket | undefined;
const clock = { ...system, signal: new AbortController().signal };

let qmp: Qmp | undefined;
const received: { execute: string; arguments: unknown; id: number }[] = [];

/** Answers by the command's name: an object is sent as it is, with the id; nothing stays unanswered. */
const answers: Record<string, Record<string, unknown> | undefined> = {
  qmp_capabilities: { return: {} },
  "query-status": { return: { status: "running" } },
  device_del: { error: { class: "DeviceNotFound", desc: "Device 'x' not found" } },
};

const say = (message: unknown): void => {
  peer?.write(`${JSON.stringify(message)}\r\n`);
};

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "bake-qmp-"));
  received.length = 0;
  server = createServer((socket) => {
    peer = socket;
    say({ QMP: { version: {}, capabilities: [] } });
    socket.on("data", (data) => {
      for (const line of data.toString().trim().split("\n")) {
        const command = JSON.parse(line) as (typeof received)[number];
        received.push(command);
        const answer = answers[command.execute];
        if (answer === undefined) continue;
        // In two pieces, with an event in front: as a socket may deliver it.
        const text = `${JSON.stringify({ event: "RESUME", timestamp: {} })}\r\n${JSON.stringify({ ...answer, id: command.id })}\r\n`;
        socket.write(text.slice(0, 50));
        setTimeout(() => socket.write(text.slice(50)), 5);
      }
    });
  });
  await new Promise<void>((done) => server.listen(join(folder, "qmp"), done));
  qmp = await connectQmp(join(folder, "qmp"), 1000, clock);
});
afterEach(() => {
  qmp?.close();
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

test("commands are answered by id, after the handshake", async () => {
  expect(await qmp?.execute("query-status", { detail: true })).toEqual({ status: "running" });
  expect(received).toEqual([
    { execute: "qmp_capabilities", arguments: {}, id: 1 },
    { execute: "query-status", arguments: { detail: true }, id: 2 },
  ]);
});

test("what QEMU refuses names the command and the reason", async () => {
  await expect(qmp?.execute("device_del", { id: "x" })).rejects.toMatchObject({
    code: "BK508",
    message: "QEMU refused device_del: Device 'x' not found",
  });
});

test("an event is awaited by what it says", async () => {
  const deleted = qmp?.event(
    "unplug of b",
    ({ event, data }) => event === "DEVICE_DELETED" && data["device"] === "b",
    1000,
  );
  say({ event: "DEVICE_DELETED", data: { device: "a" } });
  say({ event: "DEVICE_DELETED", data: { device: "b" } });
  expect(await deleted).toEqual({ event: "DEVICE_DELETED", data: { device: "b" } });
});

test("an event that does not come ends the wait", async () => {
  await expect(qmp?.event("unplug of c", () => false, 20)).rejects.toMatchObject({
    code: "BK508",
    message: "unplug of c: nothing within 0 s",
  });
});

test("the end of QEMU ends everything that waits, and what comes after it", async () => {
  const command = qmp?.execute("unanswered");
  const event = qmp?.event("nothing", () => false, 10_000);
  peer?.destroy();
  await expect(command).rejects.toMatchObject({ code: "BK508" });
  await expect(event).rejects.toMatchObject({ code: "BK508" });
  await expect(qmp?.execute("query-status")).rejects.toMatchObject({ code: "BK508" });
});

test("a socket that is not there is a failure, after the time given, by the host's clock", async () => {
  let at = 0;
  const waits: number[] = [];
  const host = {
    ...clock,
    now: () => at,
    sleep: async (milliseconds: number) => {
      waits.push(milliseconds);
      at += milliseconds;
    },
  };
  await expect(connectQmp(join(folder, "nobody"), 20_000, host)).rejects.toMatchObject({
    code: "BK508",
    message: "QEMU's control socket does not answer",
  });
  expect(waits).toHaveLength(401);
});

test("waiting for a socket ends with the host", async () => {
  const stop = new AbortController();
  const connecting = connectQmp(join(folder, "nobody"), 20_000, { ...clock, signal: stop.signal });
  stop.abort(new Error("interrupted"));
  await expect(connecting).rejects.toThrow("interrupted");
});
