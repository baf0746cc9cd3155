/** Meta-data of builds, as jobs set and read it by `buildkite-agent meta-data`. Each job is a build of its own here. */
import * as z from "zod";
import { ok, refuse, type Reply } from "./protocol.ts";

const Key = z.object({ key: z.string().min(1) });
const Entry = Key.extend({ value: z.string() });

/**
 * Answers a call about the meta-data of one build; changes it for `set`.
 * @param call What follows `data/`, such as `exists`.
 * @param body Of the request, parsed.
 */
export const answerMetaData = (metaData: Map<string, string>, call: string, body: unknown): Reply => {
  if (call === "keys") return ok([...metaData.keys()]);
  if (call === "set") {
    const entry = Entry.safeParse(body);
    if (!entry.success) return refuse(422, "not a key and a value");
    metaData.set(entry.data.key, entry.data.value);
    return ok();
  }
  const asked = Key.safeParse(body);
  if (!asked.success) return refuse(422, "not a key");
  const { key } = asked.data;
  const value = metaData.get(key);
  if (call === "exists") return ok({ exists: value !== undefined });
  if (call !== "get") return refuse(404, "bake check does not answer this");
  // The agent takes this status for a key that is not there: `--default` then counts.
  return value === undefined ? refuse(404, "No meta-data has this key") : ok({ key, value });
};
