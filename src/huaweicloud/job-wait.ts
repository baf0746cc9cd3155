/** Waits for a job of the cloud, and reads why it failed. */
import * as z from "zod";
import type { Host } from "../host/host.ts";
import { calls } from "./calls.ts";
import { type Cloud, CloudError } from "./client.ts";

const Job = z.object({
  status: z.string(),
  entities: z.record(z.string(), z.unknown()).nullish(),
  error_code: z.string().nullish(),
  fail_reason: z.string().nullish(),
});

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
  const service = calls[call].service.toUpperCase();
  for (;;) {
    const job = await cloud.call(call, { parameters: { job_id: id }, answer: Job });
    if (job.status === "SUCCESS") return job.entities ?? {};
    if (job.status === "FAIL") {
      const [code, message] = [job.error_code ?? undefined, job.fail_reason ?? undefined];
      throw new CloudError(
        "BK433",
        `the ${service} job ${id} failed: ${[code, message].filter((text) => (text ?? "") !== "").join(": ") || "the cloud says no reason"}`,
        undefined,
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
        `the ${service} job ${id} is ${job.status} after ${Math.round(most / 60_000)} minutes`,
        "It goes on in the cloud: look again later.",
        { call, status: 200 },
      );
    }
    onLook?.(Math.round((host.now() - started) / 1000));
    await host.sleep(pause, host.signal);
  }
};
