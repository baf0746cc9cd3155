import type * as z from "zod";
import { BakeError } from "../../errors.ts";
import { shownUrl } from "../../store/url.ts";

/**
 * An API's answer as far as bake reads it.
 * @throws BakeError BK235 when it is no JSON, or not of that shape
 */
export const parseAnswer = <T>(text: string, schema: z.ZodType<T>, url: string): T => {
  const misunderstood = (why: string) =>
    new BakeError(
      "BK235",
      `${shownUrl(url)}: ${why}`,
      "Does a proxy or a mirror answer in its place? Open the URL in a browser on this machine.",
    );
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw misunderstood(/^\s*</.test(text) ? "a web page came in place of JSON" : "the answer is no JSON");
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const at = issue === undefined || issue.path.length === 0 ? "the answer" : issue.path.join(".");
  throw misunderstood(`${at} is not as expected (${issue?.message ?? "unknown"})`);
};
