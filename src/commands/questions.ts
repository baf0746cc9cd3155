/** Questions on a terminal, each asked until the answer is right; elsewhere what suits most is taken at once. */
import { readdir, readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline/promises";
import { BakeError } from "../errors.ts";
import { isPublicKey } from "../profile/schema.ts";
import { typesAt } from "../profile/schema-questions.ts";
import type { ProfilePath } from "../profile/source.ts";
import { closest } from "../profile/suggest.ts";
import { withoutSecretShapes } from "../secrets/shapes.ts";

/** What is wrong with an answer. */
export const refused = (message: string, help?: string): BakeError => new BakeError("BK131", message, help);

/** Makes a value of an answer. @throws BakeError BK131 when it is none. */
export type Read<T> = (text: string) => T;

/** @param otherwise What Enter takes, and what is taken where there is no terminal. */
type Ask = <T>(question: string, otherwise: string, read: Read<T>) => Promise<T>;

export interface Prompt {
  readonly ask: Ask;
  /** For people alone, before a question. */
  readonly tell: (text: string) => void;
  /** Whether somebody is there. */
  readonly live: boolean;
  readonly close: () => void;
}

/** One of these, in any spelling that is near enough; other names of the same thing too. Pure. */
export const oneOf =
  <T extends string>(what: string, choices: readonly T[], otherNames: Readonly<Record<string, T>> = {}): Read<T> =>
  (text) => {
    const wanted = text.toLowerCase();
    const found = choices.find((choice) => choice.toLowerCase() === wanted) ?? otherNames[wanted];
    if (found !== undefined) return found;
    const meant = closest(wanted, choices);
    throw refused(
      `${what}: ${JSON.stringify(withoutSecretShapes(text))} is none of ${choices.join(", ")}`,
      meant === undefined ? undefined : `Did you mean ${meant}?`,
    );
  };

/** A text that the profile takes at this place. Pure. */
export const rightAt =
  (what: string, path: ProfilePath): Read<string> =>
  (text) => {
    const results = typesAt(path).map((type) => type.safeParse(text));
    if (results.length === 0 || results.some(({ success }) => success)) return text;
    const why = results.find(({ error }) => error !== undefined)?.error?.issues[0]?.message ?? "it cannot be";
    throw refused(`${what}: ${JSON.stringify(withoutSecretShapes(text))} cannot be: ${why}`);
  };

/** Opens it. Ctrl-C and the end of the input end it by an AbortError. */
export const openPrompt = (): Prompt => {
  if (!process.stdin.isTTY || !process.stdout.isTTY)
    return {
      ask: async (_question, otherwise, read) => read(otherwise),
      tell: () => undefined,
      live: false,
      close: () => undefined,
    };
  const prompt = createInterface({ input: process.stdin, output: process.stdout });
  const stopped = new AbortController();
  prompt.on("SIGINT", () => stopped.abort());
  // Also the end of the input.
  prompt.on("close", () => stopped.abort());
  const tell = (text: string): void => void process.stdout.write(`${text}\n`);
  return {
    tell,
    live: true,
    close: () => prompt.close(),
    ask: async (question, otherwise, read) => {
      for (;;) {
        const shown = `${question}${otherwise === "" ? "" : ` [${otherwise}]`}: `;
        const answer = (await prompt.question(shown, { signal: stopped.signal })).trim();
        try {
          return read(answer === "" ? otherwise : answer);
        } catch (error) {
          if (!(error instanceof BakeError)) throw error;
          tell(`  ${error.message}${error.help === undefined ? "" : `\n  ${error.help}`}`);
        }
      }
    },
  };
};

/** The public keys of whoever runs bake: each file of `~/.ssh` that holds one. */
const keysHere = async (): Promise<{ readonly file: string; readonly key: string }[]> => {
  const folder = join(homedir(), ".ssh");
  const names = (await readdir(folder).catch((): string[] => [])).filter((name) => name.endsWith(".pub")).toSorted();
  const found = await Promise.all(
    names.map(async (file) => ({ file, key: (await readFile(join(folder, file), "utf8").catch(() => "")).trim() })),
  );
  return found.filter(({ key }) => isPublicKey(key));
};

/** Public keys from files. @throws BakeError BK131 when one holds none. */
export const readKeyFiles = (files: readonly string[]): Promise<string[]> =>
  Promise.all(
    files.map(async (file) => {
      const text = await readFile(file, "utf8").catch((error: Error) => {
        throw refused(`--operator-key ${file} cannot be read: ${error.message}`);
      });
      if (!isPublicKey(text.trim()))
        throw refused(`--operator-key ${file} holds no public key`, "Name the .pub file, never the private key.");
      return text.trim();
    }),
  );

/** Offers the keys of `~/.ssh`: who may log in as root is never guessed. @returns those that were chosen. */
export const askForKeys = async ({ ask, tell, live }: Prompt): Promise<readonly string[]> => {
  const keys = live ? await keysHere() : [];
  if (keys.length === 0) return [];
  tell("Public keys of ~/.ssh:");
  for (const [index, { file, key }] of keys.entries())
    tell(`  ${index + 1}  ${file}  ${key.split(/\s+/)[0] ?? ""} ${key.split(/\s+/).slice(2).join(" ")}`.trimEnd());
  return ask("Which of them may log in as root: numbers, all or none", "none", (text) => {
    if (/^(?:none|no|n)$/i.test(text)) return [];
    if (/^(?:all|a)$/i.test(text)) return keys.map(({ key }) => key);
    return text.split(/[\s,]+/).map((each) => {
      const chosen = /^\d+$/.test(each) ? keys[Number(each) - 1] : undefined;
      if (chosen === undefined)
        throw refused(
          `${JSON.stringify(withoutSecretShapes(each))} is no number from 1 to ${keys.length}`,
          "Several: 1 2",
        );
      return chosen.key;
    });
  });
};
