/** The answers of `bake init`: from options, from a host, or asked for. */
import { relative } from "node:path";
import { architectures } from "../artifact.ts";
import { knownBases } from "../profile/known-bases.ts";
import type { Answers } from "../profile/new-profile.ts";
import { type TargetName, targetNames } from "../profile/schema.ts";
import { withoutSecretShapes } from "../secrets/shapes.ts";
import { askForKeys, oneOf, type Prompt, type Read, readKeyFiles, refused, rightAt } from "./questions.ts";

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
  /** Files with public keys. */
  readonly operatorKey: readonly string[];
  readonly target?: TargetName;
  readonly region?: string;
  readonly sourceImage?: string;
  readonly flavor?: string;
  readonly vpc?: string;
  readonly subnet?: string;
  readonly securityGroup?: string;
  /** Read from there what no option says. */
  readonly fromHost?: string;
  /** Tells what was written as JSON. */
  readonly json?: boolean;
}

const number =
  (what: string, most = 999): Read<number> =>
  (text) => {
    if (!/^\d{1,3}$/.test(text) || Number(text) < 1)
      throw refused(`${what}: ${JSON.stringify(text)} is no number from 1 on`);
    if (Number(text) > most) throw refused(`${what}: ${text} is more than ${most}`);
    return Number(text);
  };

const hostAndPort: Read<Answers["pypiCache"]> = (text) => {
  if (text === "") return undefined;
  const [, host, port] = /^(?:https?:\/\/)?([^\s:/]+):(\d{1,5})\/?$/.exec(text) ?? [];
  if (host === undefined || port === undefined) {
    throw refused(
      `the PyPI cache: ${JSON.stringify(withoutSecretShapes(text))} is no HOST:PORT`,
      "For example 192.0.2.10:3141.",
    );
  }
  return { host, port: Number(port) };
};

/** The proxy's own URL, with or without what it stands for at its end. */
const proxyOf: Read<Answers["gitProxy"]> = (text) => {
  if (text === "") return undefined;
  const github = "https://github.com/";
  if (!/^https?:\/\/[^\s]+$/.test(text)) {
    throw refused(
      `the git proxy: ${JSON.stringify(withoutSecretShapes(text))} is no URL`,
      `For example https://git-proxy.example.com/${github}`,
    );
  }
  return {
    for: github,
    via: text.replace(/^https?:\/\//, "").includes("https://github.com")
      ? text.replace(/\/*$/, "/")
      : `${text.replace(/\/*$/, "/")}${github}`,
  };
};

const diskOf: Read<string | undefined> = (text) => {
  if (/^(?:blank|b)$/i.test(text)) return undefined;
  if (/^(?:UUID|LABEL)=/.test(text)) return rightAt("the data disk", ["storage", "disk", "adopt"])(text);
  throw refused(
    `the data disk: ${JSON.stringify(withoutSecretShapes(text))} is neither blank nor UUID=... or LABEL=...`,
    "A disk with a file system is mounted and never formatted: findmnt -no UUID /mnt.",
  );
};

const architectureOf = oneOf("processors", architectures, { arm64: "aarch64", amd64: "x86_64", x64: "x86_64" });

/** What the cloud has no default for, with the option and the question of each. */
const cloudQuestions = [
  ["region", "--region", "Region, such as cn-north-4"],
  ["sourceImage", "--source-image", "ID of the image to start from"],
  ["flavor", "--flavor", "Flavor of the server that builds, such as kc1.large.4"],
  ["vpc", "--vpc", "ID of its VPC"],
  ["subnet", "--subnet", "ID of its subnet, which has DHCP"],
  ["securityGroup", "--security-group", "ID of its security group"],
] as const;

const cloudFrom = async (options: InitOptions, { ask, live }: Prompt): Promise<NonNullable<Answers["huaweicloud"]>> => {
  const lacking = cloudQuestions.filter(([key]) => options[key] === undefined).map(([, option]) => option);
  if (!live && lacking.length > 0)
    throw refused(`a target in Huawei Cloud needs ${lacking.join(", ")}`, "On a terminal bake init asks for them.");
  const answers: [string, string][] = [];
  for (const [key, option, question] of cloudQuestions) {
    const read = rightAt(option, ["targets", "huaweicloud", key]);
    const given = options[key];
    answers.push([key, given === undefined ? await ask(question, "", read) : read(given)]);
  }
  return Object.fromEntries(answers) as unknown as NonNullable<Answers["huaweicloud"]>;
};

/** @param known What a host said: not asked for again. */
export const answersFrom = async (options: InitOptions, known: Partial<Answers>, prompt: Prompt): Promise<Answers> => {
  const { ask } = prompt;
  /** An option as it is given, or what the host said, or an answer. */
  const from = async <T>(
    given: string | undefined,
    said: T | undefined,
    question: string,
    otherwise: string,
    read: Read<T>,
  ) => (given !== undefined ? read(given) : said !== undefined ? said : await ask(question, otherwise, read));
  const npus = await from(options.npus, known.npus, "NPUs of the host", "8", number("NPUs"));
  const most = number("cards", prompt.live ? npus : undefined);
  const cards = await from(options.cards, known.cards, "NPUs of each agent", npus >= 2 ? "2" : "1", most);
  // What options say is looked at with the whole profile: then all that is wrong is told at once.
  const queue =
    options.queue ?? known.queue ?? (await ask("Buildkite queue", "ascend", rightAt("the queue", ["agents", "queue"])));
  const read = known.from !== undefined;
  const pypiCache = await from(
    options.pypiCache ?? (read ? "" : undefined),
    undefined,
    "PyPI cache, HOST:PORT, or nothing",
    "",
    hostAndPort,
  );
  const gitProxy = await from(
    options.gitProxy ?? (read ? "" : undefined),
    undefined,
    "Git proxy, its URL, or nothing",
    "",
    proxyOf,
  );
  const adopt =
    options.adopt ??
    known.adopt ??
    (read
      ? undefined
      : await ask(
          "Data disk: blank (NVMe, formatted once), or UUID=... or LABEL=... of one that exists",
          "blank",
          diskOf,
        ));
  const tokenFile = (text: string): string => rightAt("the file", ["secrets", "agentToken", "file"])(text);
  const agentToken =
    options.tokenEnv !== undefined
      ? { env: options.tokenEnv }
      : {
          file:
            (options.tokenFile === undefined ? undefined : fromProfile(options.tokenFile)) ??
            (await ask(
              "File with the agent token, on the machine that makes user-data",
              "/etc/buildkite-agent/token",
              tokenFile,
            )),
        };
  const operatorKeys =
    options.operatorKey.length > 0 ? await readKeyFiles(options.operatorKey) : await askForKeys(prompt);
  const isCloud = cloudQuestions.some(([key]) => options[key] !== undefined);
  const target =
    options.target ??
    (isCloud
      ? "huaweicloud"
      : read
        ? "qemu"
        : await ask(
            "Where images are baked: qemu (a VM here) or huaweicloud",
            "qemu",
            oneOf("the target", targetNames),
          ));
  const architecture =
    options.architecture ??
    known.architecture ??
    (await ask("Processors of the hosts: x86_64 or aarch64", "aarch64", architectureOf));
  const base =
    options.base ??
    (target === "qemu" && !read
      ? await ask(
          `Base: ${knownBases.slice(0, 6).join(", ")} ...`,
          "openeuler-22.03-lts-sp4",
          oneOf("the base", knownBases),
        )
      : "openeuler-22.03-lts-sp4");
  const { pypiCache: _cache, gitProxy: _proxy, ...others } = known;
  return {
    ...others,
    // Given, also as nothing, they count more than what the host says.
    ...(options.pypiCache === undefined && known.pypiCache !== undefined && { pypiCache: known.pypiCache }),
    ...(options.gitProxy === undefined && known.gitProxy !== undefined && { gitProxy: known.gitProxy }),
    npus,
    cards,
    ...(options.cards !== undefined && { spawn: Math.max(1, Math.floor(npus / cards)) }),
    queue,
    ...(pypiCache !== undefined && { pypiCache }),
    ...(gitProxy !== undefined && { gitProxy }),
    ...(adopt !== undefined && { adopt }),
    agentToken,
    ...(operatorKeys.length > 0 && { operatorKeys }),
    images: [...(known.images ?? []), ...options.image],
    base,
    architecture,
    ...(target === "huaweicloud" && { huaweicloud: await cloudFrom(options, prompt) }),
  };
};

/** A path as the profile has it: relative to its own folder. */
const fromProfile = (path: string): string => (/^[/~]/.test(path) ? path : relative("profiles", path));
