/** `bake init`: writes a commented profile, from answers, from flags, or from a host that was set up by hand. */
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline/promises";
import { openRootShell } from "../check/check-host.ts";
import { onHostScript } from "../check/on-host.ts";
import { type HostReading, readHost } from "../check/read-host.ts";
import { formatSshTarget, parseSshTarget, sshToHost } from "../check/ssh.ts";
import { BakeError } from "../errors.ts";
import { loadProfile } from "../profile/load.ts";
import { type Answers, newProfile } from "../profile/new-profile.ts";
import { readTemplates, root } from "../root.ts";
import { makeHost } from "./host.ts";
import { printDiagnostics, reportFailure } from "./profile-file.ts";

export interface InitOptions {
  readonly npus?: string;
  readonly cards?: string;
  readonly queue?: string;
  readonly pypiCache?: string;
  readonly gitProxy?: string;
  readonly adopt?: string;
  readonly tokenFile?: string;
  readonly tokenEnv?: string;
  readonly base?: string;
  readonly architecture?: string;
  readonly image: readonly string[];
  /** Read from there what no option says. */
  readonly fromHost?: string;
}

/** Asks on a terminal, with the value that Enter takes; elsewhere takes that at once. */
type Ask = (question: string, otherwise: string) => Promise<string>;

const number = (what: string, text: string): number => {
  if (!/^\d{1,3}$/.test(text) || Number(text) < 1)
    throw new BakeError("BK131", `${what}: ${JSON.stringify(text)} is no number from 1 on`);
  return Number(text);
};

const hostAndPort = (text: string): Answers["pypiCache"] => {
  const [, host, port] = /^(?:https?:\/\/)?([^\s:/]+):(\d{1,5})\/?$/.exec(text) ?? [];
  if (host === undefined || port === undefined) {
    throw new BakeError(
      "BK131",
      `the PyPI cache: ${JSON.stringify(text)} is no HOST:PORT`,
      "For example 192.0.2.10:3141.",
    );
  }
  return { host, port: Number(port) };
};

/** The proxy's own URL, with or without what it stands for at its end. */
const proxyOf = (text: string): Answers["gitProxy"] => {
  const github = "https://github.com/";
  if (!/^https?:\/\/[^\s]+$/.test(text)) {
    throw new BakeError(
      "BK131",
      `the git proxy: ${JSON.stringify(text)} is no URL`,
      `For example https://git-proxy.example.com/${github}`,
    );
  }
  return {
    for: github,
    via: text.includes("github.com") ? text.replace(/\/*$/, "/") : `${text.replace(/\/*$/, "/")}${github}`,
  };
};

/** @param known What a host said: not asked for again. */
const answersFrom = async (options: InitOptions, known: Partial<Answers>, ask: Ask): Promise<Answers> => {
  const npus = number("NPUs", options.npus ?? String(known.npus ?? (await ask("NPUs of the host", "8"))));
  const cards = number(
    "cards",
    options.cards ?? String(known.cards ?? (await ask("NPUs of each agent", npus >= 2 ? "2" : "1"))),
  );
  const queue = options.queue ?? known.queue ?? (await ask("Buildkite queue", "ascend"));
  const read = known.from !== undefined;
  const pypiCache = options.pypiCache ?? (read ? "" : await ask("PyPI cache, HOST:PORT, or nothing", ""));
  const gitProxy = options.gitProxy ?? (read ? "" : await ask("Git proxy, its URL, or nothing", ""));
  const agentToken =
    options.tokenEnv !== undefined
      ? { env: options.tokenEnv }
      : {
          file:
            options.tokenFile ??
            (await ask("File with the agent token, on the machine that makes user-data", "/etc/buildkite-agent/token")),
        };
  return {
    ...known,
    npus,
    cards,
    ...(options.cards !== undefined && { spawn: Math.max(1, Math.floor(npus / cards)) }),
    queue,
    ...(pypiCache !== "" && { pypiCache: hostAndPort(pypiCache) as NonNullable<Answers["pypiCache"]> }),
    ...(gitProxy !== "" && { gitProxy: proxyOf(gitProxy) as NonNullable<Answers["gitProxy"]> }),
    ...(options.adopt !== undefined && { adopt: options.adopt }),
    agentToken,
    images: [...(known.images ?? []), ...options.image],
    base: options.base ?? "openeuler-22.03-lts-sp4",
    architecture:
      options.architecture ??
      known.architecture ??
      (await ask("Processors of the hosts, x86_64 or aarch64", "aarch64")),
  };
};

/** What the host has. @throws BakeError BK511–BK516 */
const readFrom = async (destination: string): Promise<HostReading> => {
  const target = parseSshTarget(destination);
  if (target === undefined) throw new BakeError("BK131", `--from-host ${destination} is no [user@]host[:port]`);
  const { host } = await makeHost(process.stderr);
  const script = (await readTemplates([onHostScript]))[onHostScript] ?? "";
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

/** @returns the profile's text, and what of the host is not in it, one line each. */
const withVerified = (answers: Answers, file: string): { text: string; notes: string[] } => {
  const notes: string[] = [];
  let rest = answers;
  for (const { path, key, rule } of replaceable) {
    const { diagnostics } = loadProfile(newProfile(rest, schemaBeside), file);
    const wrong = diagnostics.some(
      ({ severity, code, message }) =>
        severity === "error" && (code === rule || message.startsWith(`${path} cannot be`)),
    );
    if (!wrong || rest[key] === undefined) continue;
    notes.push(`${path}: the host has ${rest[key]}, a verified one stands in its place`);
    const { [key]: _left, ...others } = rest;
    rest = others;
  }
  return { text: newProfile(rest, schemaBeside), notes };
};

const schemaBeside = "./profile.schema.json";

/** Whole or not at all, and never over something. */
const writeNew = async (file: string, text: string): Promise<void> => {
  const fresh = `${file}.new-${process.pid}`;
  try {
    await writeFile(fresh, text, { flag: "wx" });
    await rename(fresh, file);
  } finally {
    await rm(fresh, { force: true });
  }
};

/** @returns the exit code. */
export const init = async (name: string, options: InitOptions): Promise<number> => {
  const asksPeople = process.stdin.isTTY && process.stdout.isTTY;
  const prompt = asksPeople ? createInterface({ input: process.stdin, output: process.stdout }) : undefined;
  const ask: Ask = async (question, otherwise) => {
    if (prompt === undefined) return otherwise;
    const answer = (await prompt.question(`${question}${otherwise === "" ? "" : ` [${otherwise}]`}: `)).trim();
    return answer === "" ? otherwise : answer;
  };
  try {
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name)) {
      throw new BakeError(
        "BK131",
        `${JSON.stringify(name)} cannot be the name of a profile`,
        "Letters, digits, `.`, `_` and `-`: it becomes profiles/<name>.yaml.",
      );
    }
    const file = join("profiles", `${name}.yaml`);
    const there = await readFile(file).then(
      () => true,
      () => false,
    );
    if (there) throw new BakeError("BK130", `${file} is there already`, "Choose another name, or change that one.");
    const reading = options.fromHost === undefined ? { answers: {}, notes: [] } : await readFrom(options.fromHost);
    const { text, notes } = withVerified(await answersFrom(options, reading.answers, ask), file);
    for (const note of [...reading.notes, ...notes]) process.stderr.write(`note: ${note}\n`);
    const loaded = loadProfile(text, file);
    printDiagnostics(loaded);
    if (loaded.profile === undefined) {
      process.stderr.write("nothing was written\n");
      return 1;
    }
    await mkdir("profiles", { recursive: true });
    await writeNew(file, text);
    await writeFile(join("profiles", "profile.schema.json"), await readFile(join(root, "schema/profile.schema.json")));
    process.stdout.write(
      `${file}: written, with profile.schema.json beside it for editors\nnext: bake validate --profile ${name} --explain\n`,
    );
    return 0;
  } catch (error) {
    return reportFailure(error);
  } finally {
    prompt?.close();
  }
};
