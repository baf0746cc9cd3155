/** Waits for a job of the cloud, and reads why it failed. */
import type { Host } from "../host/host.ts";
import { calls } from "./calls.ts";
import { type Cloud, CloudError } from "./client.ts";
import { describeJob, readJob } from "./job.ts";

/** Milliseconds between two looks. */
const pause = 5000;

/**
 * Looks until the job has ended.
 * @param limits `most`: milliseconds that it may take.
 * @returns the job's entities.
 * @throws CloudError BK433 when it failed, with the cloud's reason, or when it does not end in time; what a call throws.
 */
export const waitForJob = async (
  cloud: Cloud,
  host: Pick<Host, "now" | "sleep" | "signal">,
  call: "showJob" | "showImageJob" | "showBareMetalJob",
  id: string,
  { most, onLook }: { readonly most: number; readonly onLook?: (seconds: number) => void },
): Promise<Readonly<Record<string, unknown>>> => {
  const started = host.now();
  const { service } = calls[call];
  const named = service.toUpperCase();
  for (;;) {
    const job = await readJob(cloud, service, id);
    if (job.status === "SUCCESS") return job.entities ?? {};
    if (job.status === "FAIL") {
      const [code, message] = [job.error_code ?? undefined, job.fail_reason ?? undefined];
      throw new CloudError(
        "BK433",
        `the ${named} job ${id} failed: ${[code, message].filter((text) => (text ?? "") !== "").join(": ") || "the cloud says no reason"}`,
        // Its parts say what its own line does not.
        describeJob(id, job).slice(1).join("\n") || undefined,
        {
          call,
          status: 200,
          reason: { ...(code !== undefined && { code }), ...(message !== undefined && { message }) },
        },
      );
    }
    if (host.now() - started > most) {
      throw new CloudError(
        "BK433",
        `the ${named} job ${id} is ${job.status} after ${Math.round(most / 60_000)} minutes`,
        "It goes on in the cloud: look again later.",
        { call, status: 200 },
      );
    }
    onLook?.(Math.round((host.now() - started) / 1000));
    await host.sleep(pause, host.signal);
  }
};
