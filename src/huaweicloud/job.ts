/** Jobs of the cloud: why one failed, with its parts. */
import * as z from "zod";
import type { Cloud } from "./client.ts";
import { adviceFor } from "./reason.ts";

const Text = z.string().nullish();

const SubJob = z.object({
  job_id: Text,
  job_type: Text,
  status: Text,
  error_code: Text,
  fail_reason: Text,
  entities: z.looseObject({ server_id: Text }).nullish(),
});

const Job = z.object({
  job_id: Text,
  job_type: Text,
  status: z.string(),
  error_code: Text,
  fail_reason: Text,
  entities: z
    .looseObject({ sub_jobs: z.array(SubJob).nullish(), sub_jobs_result: z.array(SubJob).nullish(), image_id: Text })
    .nullish(),
});
export type CloudJob = z.infer<typeof Job>;

const jobCalls = { ecs: "showJob", ims: "showImageJob", bms: "showBareMetalJob" } as const;

/** @param service Whose job it is: each service has its own list. @throws CloudError */
export const readJob = (cloud: Cloud, service: keyof typeof jobCalls, id: string): Promise<CloudJob> =>
  cloud.call(jobCalls[service], { parameters: { job_id: id }, answer: Job });

const subJobsOf = ({ entities }: CloudJob) => [...(entities?.sub_jobs ?? []), ...(entities?.sub_jobs_result ?? [])];

/** Servers that a job made or was about to make. Pure. */
export const serversOf = (job: CloudJob): string[] => [
  ...new Set(subJobsOf(job).flatMap(({ entities }) => entities?.server_id ?? [])),
];

const reasonText = ({ error_code: code, fail_reason: reason }: Pick<CloudJob, "error_code" | "fail_reason">): string =>
  [code, reason?.replace(/\s+/g, " ").trim().slice(0, 400)].filter((text) => (text ?? "") !== "").join(": ");

/** What a job came to, one line a part, with what to do where that is known. Pure. */
export const describeJob = (id: string, job: CloudJob): string[] => {
  const own = reasonText(job);
  const parts = subJobsOf(job).map((part) => ({ part, words: reasonText(part) }));
  const codes = [job.error_code, ...parts.map(({ part }) => part.error_code)].filter(
    (code): code is string => typeof code === "string" && code !== "",
  );
  return [
    `the cloud's job ${id}${job.job_type ? ` (${job.job_type})` : ""}: ${job.status}${own === "" ? "" : `, ${own}`}`,
    ...parts
      .filter(({ part, words }) => words !== "" || part.status === "FAIL")
      .map(
        ({ part, words }) =>
          `  ${part.job_type ?? "a part of it"}: ${part.status ?? "state not said"}${words === "" ? "" : `, ${words}`}`,
      ),
    ...new Set(codes.flatMap((code) => adviceFor({ code }) ?? [])),
  ];
};
