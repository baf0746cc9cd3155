/** `bake init`: writes a commented profile, from answers, from flags, or from a host that was set up by hand. */
import { link, lstat, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { makeFolder } from "../host/make-folder.ts";
import { openRootShell } from "../check/check-host.ts";
import { onHostScript } from "../check/on-host.ts";
import { type HostReading, readHost } from "../check/read-host.ts";
import { formatSshTarget, parseSshTarget, sshToHost } from "../vm/ssh.ts";
import { BakeError } from "../errors.ts";
import { hasProfileEnding } from "../profile/file-names.ts";
import { loadProfile } from "../profile/load.ts";
import { type Answers, newProfile } from "../profile/new-profile.ts";
import { rules } from "./rules.ts";
import { readTemplates, root } from "../host/root.ts";
import { makeHost } from "./host.ts";
import { withoutWrong } from "./host-values.ts";
import { printDiagnostics, reportFailure } from "./profile-file.ts";
import { answersFrom, type InitOptions } from "./init-answers.ts";
import { openPrompt } from "./questions.ts";
import { currentProcess } from "../host/process-identity.ts";
import { printJson } from "./print-json.ts";

/** What the host has. @throws BakeError BK511–BK516 */
const readFrom = async (destination: string): Promise<HostReading> => {
  const target = parseSshTarget(destination);
  if (target === undefined) throw new BakeError("BK131", `--from-host ${destination} is no [user@]host[:port]`);
  const { host } = await makeHost(process.stderr);
  const script = readTemplates([onHostScript])[onHostScript] ?? "";
  const connection = await sshToHost(host, target);
  try {
    return await host.progress.step("host-read", `read what ${formatSshTarget(target)} has`, async () =>
      readHost(await openRootShell(connection.ssh, target, script)),
    );
  } finally {
    await connection.close();
  }
};

/** Values of a host that bake cannot take are left out, and the verified ones stand in their place: by path and by rule. */
const replaceable = [
  { path: "agents.version", key: "agentVersion", rule: "BK124" },
  { path: "docker.version", key: "dockerVersion", rule: "BK112" },
  { path: "buildx.version", key: "buildxVersion", rule: "BK120" },
  { path: "builders.image", key: "buildkitImage", rule: "BK121" },
] as const;

/**
 * The text of a new profile, from answers that a host gave. Pure.
 * @param file What the profile will be called, for its own checks.
 * @param known What the host said.
 * @returns the text, and what of the host is not in it, one line each.
 */
export const withVerified = (
  answers: Answers,
  file: string,
  known: Partial<Answers> = {},
): { text: string; notes: string[]; warnings?: readonly string[] } => {
  const notes: string[] = [];
  let rest = answers;
  for (const { path, key, rule } of replaceable) {
    const { diagnostics } = loadProfile(newProfile(rest, schemaBeside), file, { rules });
    const wrong = diagnostics.some(
      (each) => each.severity === "error" && (each.code === rule || (each.code === "BK102" && each.path === path)),
    );
    if (!wrong || rest[key] === undefined) continue;
    notes.push(`${path}: the host has ${rest[key]}, a verified one stands in its place`);
    const { [key]: _left, ...others } = rest;
    rest = others;
  }
  const kept = withoutWrong(rest, known, file);
  return {
    text: newProfile(kept.answers, schemaBeside),
    notes: [...notes, ...kept.notes],
    ...(kept.warnings.length > 0 && { warnings: kept.warnings }),
  };
};

const schemaBeside = "./profile.schema.json";

const isThere = (file: string): BakeError =>
  new BakeError("BK130", `${file} is there already`, "Choose another name, or change that one.");

/** Whole or not at all, and never over something: a link to a name that is taken fails. @throws BakeError BK130, BK518 */
const writeNew = async (file: string, text: string): Promise<void> => {
  const fresh = `${file}.new-${currentProcess()}`;
  try {
    await makeFolder(dirname(file));
    await writeFile(fresh, text, { flag: "wx" });
    // File systems without links: then the name is taken by making it, empty for a moment.
    await link(fresh, file).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPERM" && error.code !== "ENOTSUP" && error.code !== "EOPNOTSUPP") throw error;
      await writeFile(file, text, { flag: "wx" });
    });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const taken = code === "EEXIST" && (await lstat(file).catch(() => undefined)) !== undefined;
    throw taken ? isThere(file) : new BakeError("BK518", `${file} cannot be written: ${message}`);
  } finally {
    await rm(fresh, { force: true }).catch(() => undefined);
  }
};

/** The schema beside the profile, for editors; another file of that name is somebody's. @returns whether it is bake's. */
const writeSchema = async (): Promise<boolean> => {
  const file = join("profiles", "profile.schema.json");
  const found = await lstat(file).catch(() => undefined);
  if (found !== undefined && !found.isFile()) return false;
  const there = await readFile(file, "utf8").catch(() => undefined);
  if (there !== undefined && !there.includes('"title": "bake profile"')) return false;
  return writeFile(file, await readFile(join(root, "schema/profile.schema.json"))).then(
    () => true,
    () => false,
  );
};

const requireOptions = (name: string, { tokenEnv, tokenFile }: InitOptions): void => {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name) || hasProfileEnding(name)) {
    throw new BakeError(
      "BK131",
      `${JSON.stringify(name)} cannot be the name of a profile`,
      "Letters, digits, `.`, `_` and `-`, without an ending: it becomes profiles/<name>.yaml.",
    );
  }
  if (tokenEnv !== undefined && tokenFile !== undefined) {
    throw new BakeError("BK131", "--token-file and --token-env: a token comes from one place");
  }
};

/**
 * Asks, writes `profiles/<name>.yaml` and the schema beside it, and tells what to do next. Never writes over a profile.
 * @returns the exit code: 0 when it was written, 1 when what was answered does not validate, 2 when it cannot
 * be done, 130 when the questions were broken off.
 */
export const init = async (name: string, options: InitOptions): Promise<number> => {
  const prompt = openPrompt();
  try {
    requireOptions(name, options);
    const file = join("profiles", `${name}.yaml`);
    // Before anything is asked; writing looks again.
    if ((await lstat(file).catch(() => undefined)) !== undefined) throw isThere(file);
    if ((await lstat(join(root, "profiles", `${name}.yaml`)).catch(() => undefined)) !== undefined)
      process.stderr.write(
        `note: bake has a profile ${name} of its own; here yours is taken in its place, and \`extends: ${name}\` in it means bake's\n`,
      );
    const reading =
      options.fromHost === undefined ? { answers: {}, notes: [], warnings: [] } : await readFrom(options.fromHost);
    const {
      text,
      notes,
      warnings = [],
    } = withVerified(await answersFrom(options, reading.answers, prompt), file, reading.answers);
    for (const warning of [...reading.warnings, ...warnings]) process.stderr.write(`warning: ${warning}\n`);
    for (const note of [...reading.notes, ...notes]) process.stderr.write(`note: ${note}\n`);
    const loaded = loadProfile(text, file, { rules });
    printDiagnostics(loaded);
    if (loaded.profile === undefined) {
      process.stderr.write("nothing was written\n");
      return 1;
    }
    await writeNew(file, text);
    const beside = (await writeSchema())
      ? "with profile.schema.json beside it for editors"
      : "profile.schema.json beside it is not bake's and was left";
    if (options.json === true) {
      const told = { warnings: [...reading.warnings, ...warnings], notes: [...reading.notes, ...notes] };
      printJson({ ok: true, profile: name, file, ...told });
    } else process.stdout.write(`${file}: written, ${beside}\nnext: bake validate ${name} --explain\n`);
    return 0;
  } catch (error) {
    if (error instanceof Error && error.name === "AbortError") {
      process.stderr.write("\nnothing was written\n");
      return 130;
    }
    return reportFailure(error);
  } finally {
    prompt.close();
  }
};
