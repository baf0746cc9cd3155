/** The agents of a host: their configuration, the environment that beats it, hooks. Pure. */
import { isSecretName } from "../../secrets/names.ts";
import { looksSecret } from "../../secrets/shapes.ts";
import type { AgentValues } from "../../profile/new-profile.ts";
import { type Finding, placeOf, type Said } from "./finding.ts";
import { proxyFinding } from "./http-proxy.ts";

const unit = "buildkite-agent.service";

/** Where the agent's file is: what the unit says, then where the agent looks. */
const configFile = `set -- $(systemctl show -p ExecStart --value ${unit} 2>/dev/null | sed -n 's/.*--config[= ]*\\([^ ;]*\\).*/\\1/p') /root/.buildkite-agent/buildkite-agent.cfg /etc/buildkite-agent/buildkite-agent.cfg; for file; do [ ! -r "$file" ] || break; done; `;

const hooksFolder =
  '$(sed -n \'s/^[[:space:]]*hooks-path[[:space:]]*[=:][[:space:]]*"*\\([^"#]*[^"# ]\\).*/\\1/p\' "$file" 2>/dev/null)';

export const agentCommands = {
  agentFile: `${configFile}[ ! -r "$file" ] || echo "$file"`,
  // Lines keep their numbers; the token stays where it is.
  agent: `${configFile}sed 's/^\\([[:space:]]*\\(export \\)*token[[:space:]]*[=:]\\).*/\\1/' "$file" 2>/dev/null`,
  agentVersion: "(/root/.buildkite-agent/bin/buildkite-agent --version || buildkite-agent --version) 2>/dev/null",
  // Of the running agents, whoever set it: unit, drop-ins, files. Values of what sounds like a secret stay there.
  environment: `{ pid=$(systemctl show -p MainPID --value ${unit}); if [ "\${pid:-0}" -gt 0 ]; then tr '\\0' '\\n' </proc/$pid/environ; else systemctl show -p Environment --value ${unit} | xargs -n 1 printf '%s\\n'; systemctl show -p EnvironmentFiles --value ${unit} | sed 's/ (ignore_errors=.*//' | while read -r file; do grep -v '^[[:space:]]*[#;]' "$file" | tr -d '"'; done; fi; } 2>/dev/null | awk -F= '/^[A-Za-z_][A-Za-z0-9_]*=/ { if (toupper($1) ~ /TOKEN|SECRET|PASS|CREDENTIAL|KEY/) print $1 "=***"; else print }' | sed -E 's#(://)[^/@]*@#\\1***@#'`,
  agentUnit: `systemctl show -p User -p DropInPaths ${unit} 2>/dev/null`,
  agentUnits: "systemctl list-units --all --no-legend --plain 'buildkite-agent*' 2>/dev/null | awk '{ print $1 }'",
  hooks: `${configFile}for folder in ${hooksFolder} /root/.buildkite-agent/hooks /etc/buildkite-agent/hooks; do ls -d "$folder"/* 2>/dev/null; done | grep -v '\\.sample$' | sort -u`,
} as const;

interface Setting {
  readonly value: string;
  readonly place: string;
}

/** A line of the agent's file, as the agent reads it (buildkite/agent: cliconfig/file.go); undefined for one that says nothing. Pure. */
export const agentConfigLine = (line: string): readonly [key: string, value: string] | undefined => {
  if (/^\s*(#|$)/.test(line)) return undefined;
  const kept: string[] = [];
  let open = false;
  for (const segment of line.split("#")) {
    const quotes = (character: string): number => segment.split(character).length - 1;
    if (quotes('"') === 1 || quotes("'") === 1) {
      if (open) kept.push(segment);
      open = !open;
      // The segment that opens is kept below.
      if (!open) continue;
    }
    if (kept.length === 0 || open) kept.push(segment);
  }
  const text = kept.join("#");
  const at = text.includes("=") ? text.indexOf("=") : text.indexOf(":");
  if (at < 0) return undefined;
  const value = text.slice(at + 1).trim();
  const quoted = value.split('"').length === 3 || value.split("'").length === 3;
  return [
    text
      .slice(0, at)
      .trim()
      .replace(/^export\s*/, ""),
    quoted ? value.replace(/^["']+|["']+$/g, "").replaceAll('\\"', '"') : value,
  ];
};

/** Variables of systemd, of a shell and of what bake sets itself. */
const ofNobody =
  /^(HOME|PATH|LANG|LC_\w+|USER|LOGNAME|SHELL|PWD|OLDPWD|SHLVL|_|TERM|INVOCATION_ID|JOURNAL_STREAM|NOTIFY_SOCKET|MAINPID|MANAGERPID|LISTEN_\w+|SYSTEMD_\w+|WATCHDOG_\w+|BUILDX_CONFIG|PYPI_CACHE_(HOST|PORT)|BUILDKITE_AGENT_TOKEN|BUILDKITE_AGENT_CONFIG|(https?|no|all)_proxy)$/i;

/** Keys that bake writes by settings of its own. */
const ownKeys = ["name", "spawn", "tags", "meta-data", "queue", "token", "config"];

/** Keys that say who may run what on a host. */
const protects =
  /^(no-command-eval|no-local-hooks|no-plugins|no-plugin-validation|allowed-.*|enable-environment-variable-allowlist|verification-.*|signing-.*|redacted-vars|strict-single-hooks|git-commit-verification)$/;

/** Keys with a setting of their own, and what bake sets by itself. */
const ownSettings = {
  "git-clone-flags": { setting: "gitCloneFlags", usual: "--depth=1" },
  "git-fetch-flags": { setting: "gitFetchFlags", usual: "--depth=1" },
  "health-check-addr": { setting: "healthAddress", usual: "127.0.0.1:3901" },
  endpoint: { setting: "endpoint", usual: "" },
} as const;

const isOwnSetting = (key: string): key is keyof typeof ownSettings => Object.hasOwn(ownSettings, key);

const folders: Readonly<Record<string, string>> = {
  "build-path": "/root/.buildkite-agent/builds",
  "hooks-path": "/root/.buildkite-agent/hooks",
  "plugins-path": "/root/.buildkite-agent/plugins",
};

const settingsOf = (said: Said): { settings: Map<string, Setting>; others: Map<string, string> } => {
  const settings = new Map<string, Setting>();
  const others = new Map<string, string>();
  const file = said("agentFile") === "" ? undefined : said("agentFile");
  for (const [index, text] of said("agent").split("\n").entries()) {
    const [key, value] = agentConfigLine(text) ?? [];
    if (key !== undefined && value !== undefined) settings.set(key, { value, place: placeOf(file, index + 1) });
  }
  const place = ` (environment of ${unit})`;
  for (const text of said("environment").split("\n")) {
    const [, name, value = ""] = /^([A-Za-z_]\w*)=(.*)$/.exec(text) ?? [];
    if (name === undefined) continue;
    // What the agent itself reads beats its file.
    const [, key] =
      /^BUILDKITE_(?:AGENT_)?((?!PLUGIN_|TEST_|ANALYTICS_|ARTIFACT_|S3_|GS_|AZURE_)\w+)$/.exec(name) ?? [];
    if (key !== undefined && !ofNobody.test(name))
      settings.set(key.toLowerCase().replaceAll("_", "-"), { value, place });
    else others.set(name, value);
  }
  return { settings, others };
};

/** Tags besides the queue. */
const tagsOf = (text: string): [name: string, value: string][] =>
  text
    .split(",")
    .map((tag) => tag.trim())
    .filter((tag) => tag !== "")
    .map((tag) => [tag.replace(/=.*$/, ""), tag.includes("=") ? tag.replace(/^[^=]*=/, "") : ""]);

const isToken = (text: string): boolean => /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(text);

/** The PyPI cache in the environment of the agents. Pure. */
export const pypiCacheFinding = (said: Said): Finding => {
  const { others } = settingsOf(said);
  const [host, port] = [others.get("PYPI_CACHE_HOST"), others.get("PYPI_CACHE_PORT")];
  if (host === undefined && port === undefined) return { answers: {}, notes: ["PyPI cache: not found there"] };
  if (host !== undefined && /^[A-Za-z0-9.:-]+$/.test(host) && port !== undefined && /^\d{1,5}$/.test(port))
    return { answers: { pypiCache: { host, port: Number(port) } }, notes: [] };
  return {
    answers: {},
    notes: [
      `PyPI cache: PYPI_CACHE_HOST=${host ?? ""} and PYPI_CACHE_PORT=${port ?? ""} name none (environment of ${unit})`,
    ],
  };
};

const unitNotes = (said: Said): string[] => {
  const property = (name: string): string => new RegExp(`^${name}=(.*)$`, "m").exec(said("agentUnit"))?.[1] ?? "";
  const user = property("User");
  const others = said("agentUnits")
    .split("\n")
    .filter((name) => name !== "" && name !== unit);
  return [
    ...(user === "" || user === "root"
      ? []
      : [`agents: they run as ${user} there, on a node of bake as root (${unit})`]),
    ...(property("DropInPaths") === ""
      ? []
      : [`agents: drop-ins of ${unit} are not carried over, but for their environment: ${property("DropInPaths")}`]),
    ...(others.length === 0 ? [] : [`agents: other units are not carried over: ${others.join(", ")}`]),
  ];
};

/** What the agents of a host are, and what of them no profile can have. Pure. */
export const agentFinding = (said: Said): Finding => {
  const { settings, others } = settingsOf(said);
  const notes: string[] = [];
  const warnings: string[] = [];
  const found = <T>(what: string, value: T | undefined): T | undefined => {
    if (value === undefined) notes.push(`${what}: not found there`);
    return value;
  };
  const value = (key: string): string => settings.get(key)?.value ?? "";
  const place = (key: string): string => settings.get(key)?.place ?? "";
  const spawn = found("spawn of the agents", /^\d+$/.exec(value("spawn"))?.[0]);
  const name = value("name");
  const cards = found("cards of each agent (…-<cards>cards in the agent's name)", /-(\d+)cards$/.exec(name)?.[1]);
  if (name !== "" && !/^%hostname-%spawn-\d+cards$/.test(name))
    notes.push(
      `agents: name ${name}${place("name")} is not carried over: bake names them %hostname-%spawn-<cards>cards`,
    );
  const tagsKey = settings.has("tags") ? "tags" : "meta-data";
  const tags = tagsOf(value(tagsKey));
  const queue = found("queue", tags.find(([tag]) => tag === "queue")?.[1] ?? settings.get("queue")?.value);
  const more = tags.filter(([tag]) => tag !== "queue" && tag !== "bake-id");
  for (const [tag, text] of more)
    if (!isToken(tag) || !isToken(text)) notes.push(`agents: tag ${tag}=${text}${place(tagsKey)} is not carried over`);
  const carried: Record<string, string> = {};
  const values: { -readonly [Name in keyof AgentValues]?: string } = {};
  for (const [key, { value: text, place: where }] of settings) {
    if (ownKeys.includes(key)) continue;
    const folder = folders[key];
    if (folder !== undefined) {
      if (text.replace(/\/$/, "") !== folder)
        notes.push(`agents: ${key} ${text}${where} is not carried over: it is ${folder} on a node of bake`);
    } else if (isOwnSetting(key)) {
      const { setting, usual } = ownSettings[key];
      if (text !== usual) values[setting] = text;
    } else if (text === "***" || isSecretName(key) || looksSecret(text)) {
      notes.push(`agents: ${key}${where} may be a secret and is not carried over`);
    } else carried[key] = text;
  }
  const environment: Record<string, string> = {};
  for (const [variable, text] of others) {
    if (ofNobody.test(variable)) continue;
    if (text === "***" || isSecretName(variable) || looksSecret(text))
      notes.push(`agents: ${variable} (environment of ${unit}) may be a secret and is not carried over`);
    else environment[variable] = text;
  }
  const hooks = said("hooks")
    .split("\n")
    .filter((file) => file !== "");
  if (hooks.length > 0)
    warnings.push(
      `hooks run around every job there, and are not carried over: ${hooks.join(", ")}; \`files\` of the profile brings them`,
    );
  const agentVersion = found("agent version", /\d+\.\d+\.\d+/.exec(said("agentVersion"))?.[0]);
  const proxy = proxyFinding((key) => others.get(key) ?? others.get(key.toLowerCase()), ` (environment of ${unit})`);
  const taken = Object.fromEntries(more.filter(([tag, text]) => isToken(tag) && isToken(text)));
  return {
    answers: {
      ...(spawn !== undefined && { spawn: Number(spawn) }),
      ...(cards !== undefined && { cards: Number(cards) }),
      ...(queue !== undefined && { queue }),
      ...(agentVersion !== undefined && { agentVersion }),
      ...(Object.keys(taken).length > 0 && { tags: taken }),
      ...values,
      ...(Object.keys(carried).length > 0 && { agentSettings: carried }),
      ...(Object.keys(environment).length > 0 && { environment }),
      ...proxy.answers,
    },
    notes: [...notes, ...unitNotes(said), ...proxy.notes],
    warnings,
  };
};

/** Whether losing this setting opens the host to something. Pure. */
export const isProtecting = (key: string): boolean => protects.test(key);
