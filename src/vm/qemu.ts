/** One run of QEMU, from power-on to its end. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BakeError } from "../errors.ts";
import type { Host } from "../host/host.ts";
import { saidBy } from "../host/program-output.ts";
import { connectQmp, type Qmp } from "./qmp.ts";

export interface QemuProcess {
  readonly qmp: Qmp;
  /** When it was started, in milliseconds since the epoch. */
  readonly started: number;
  /** Resolves when it has ended. */
  readonly running: Promise<void>;
  /** What it said, when it has ended. */
  ended(): { readonly stderr: string } | undefined;
  /** Takes the power; resolves when it has ended. */
  kill(): Promise<void>;
}

/** The value of one of QEMU's options. A comma ends it, unless it is doubled. Pure. */
export const optionValue = (value: string): string => value.replaceAll(",", ",,");

/**
 * Starts QEMU with a control socket of its own, and connects to it.
 * @param program QEMU's program for the guest's architecture.
 * @returns "port taken" when the host's port for ssh is somebody else's by now.
 * @throws BakeError BK505 when QEMU does not start, BK508 when its control socket does not answer.
 */
export const startQemu = async (
  host: Host,
  program: string,
  qemuArguments: readonly string[],
): Promise<QemuProcess | "port taken"> => {
  // In a folder of its own: a socket's path ends at 108 bytes.
  const folder = await mkdtemp(join(tmpdir(), "bake-qemu-"));
  const socket = join(folder, "qmp");
  // QEMU has a signal of its own: the machine ends with the check, or with bake.
  const power = new AbortController();
  const started = host.now();
  let ended: { exitCode: number; stderr: string } | undefined;
  const running = host
    .run(program, [...qemuArguments, "-qmp", `unix:${optionValue(socket)},server=on,wait=off`], {
      allowFailure: true,
      cancel: power.signal,
    })
    .then(
      (result) => {
        ended = result;
      },
      (error: unknown) => {
        ended = { exitCode: 1, stderr: String(error) };
      },
    )
    .finally(() => rm(folder, { recursive: true, force: true }));
  const connecting = connectQmp(socket, 20_000, host);
  connecting.catch(() => undefined);
  const kill = async (): Promise<void> => {
    power.abort();
    await running;
  };
  try {
    const qmp = await Promise.race([connecting, running.then(() => undefined)]);
    if (qmp !== undefined) return { qmp, started, running, ended: () => ended, kill };
  } catch (error) {
    await kill();
    throw error;
  }
  const stderr = ended?.stderr ?? "";
  if (/Could not set up host forwarding rule/.test(stderr)) return "port taken";
  throw new BakeError(
    "BK505",
    "QEMU did not start",
    await saidBy(host, [program, ...qemuArguments], { stdout: "", stderr }),
  );
};
