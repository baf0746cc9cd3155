/** `bake explain`: what an error code means, or what a setting is for. It needs no profile. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { errorCodes } from "../error-codes.ts";
import { BakeError } from "../errors.ts";
import { root } from "../host/root.ts";
import { descriptionAt, exampleAt, keysAt } from "../profile/schema-questions.ts";
import { closest } from "../profile/suggest.ts";
import { reportFailure } from "./profile-file.ts";

/** Its example, from the page that the tests make. Undefined where it has none. */
const exampleOf = async (code: string): Promise<string | undefined> => {
  const page = await readFile(join(root, "docs/errors.md"), "utf8").catch(() => "");
  const [section = ""] = page.split(`\n### ${code}: `)[1]?.split(/\n##+ /) ?? [];
  const lines = section.split("\n").filter((line) => line.startsWith("    "));
  return lines.length === 0 ? undefined : lines.map((line) => line.slice(4)).join("\n");
};

/** `images[0]` and `agents.spawn` as steps. */
const stepsOf = (path: string): (string | number)[] =>
  path
    .split(/\.|\[(\d+)\]/)
    .flatMap((part) => (part === undefined || part === "" ? [] : [/^\d+$/.test(part) ? Number(part) : part]));

const nothing = (asked: string): BakeError => {
  const code = closest(asked.toUpperCase(), Object.keys(errorCodes));
  const steps = stepsOf(asked);
  const above = keysAt(steps.slice(0, -1));
  const near = closest(String(steps.at(-1) ?? ""), above);
  const meant = /^bk/i.test(asked) ? code : near === undefined ? undefined : [...steps.slice(0, -1), near].join(".");
  return new BakeError(
    "BK131",
    `bake explain: there is no error code and no setting ${JSON.stringify(asked)}`,
    meant === undefined
      ? "Codes are like BK115, settings like agents.spawn; docs/errors.md and docs/profile.md have them all."
      : `Did you mean ${meant}?`,
  );
};

/** What is known of it. @throws BakeError BK131 */
const explained = async (asked: string) => {
  const code = asked.toUpperCase();
  if (Object.hasOwn(errorCodes, code)) {
    const { title, text } = errorCodes[code as keyof typeof errorCodes];
    const example = await exampleOf(code);
    return { code, title, text, ...(example !== undefined && { example }) };
  }
  const steps = stepsOf(asked);
  const text = steps.length === 0 ? undefined : descriptionAt(steps);
  const keys = keysAt(steps);
  if (text === undefined && (keys.length === 0 || steps.length === 0)) throw nothing(asked);
  const example = exampleAt(steps);
  return {
    setting: asked,
    ...(text !== undefined && { text }),
    ...(keys.length > 0 && { keys }),
    ...(example !== undefined && { example: JSON.stringify(example) }),
  };
};

/** `bake explain`. @returns the exit code: 0, 2 when nobody knows it. */
export const lookUp = async (asked: string, { json = false }: { readonly json?: boolean }): Promise<number> => {
  try {
    const found = await explained(asked);
    if (json) {
      process.stdout.write(`${JSON.stringify(found, null, 2)}\n`);
      return 0;
    }
    const { text, example } = found;
    const head = "code" in found ? `${found.code}: ${found.title}` : found.setting;
    const parts = [
      head,
      ...(text === undefined ? [] : [text]),
      ...("keys" in found && found.keys !== undefined ? [`holds: ${found.keys.join(", ")}`] : []),
      ...(example === undefined
        ? []
        : ["code" in found ? example.replace(/^(?=.)/gm, "    ") : `for example: ${example}`]),
    ];
    process.stdout.write(`${parts.join("\n\n")}\n`);
    return 0;
  } catch (error) {
    return reportFailure(error);
  }
};
