/** Texts that were copied from somewhere else: images, versions, URLs, hosts, paths, keys. Pure. */
import { openVersionHelp } from "./versions.ts";
import type { ValueMend, Wrong } from "./values.ts";

const ascii = (text: string): string =>
  text
    .normalize("NFKC")
    .replace(/[“”„‘’「」『』]/g, "")
    .replace(/[\u200b\ufeff]/g, "")
    .trim();

/** Of a container image, what does not belong to its name. */
function* imageMends(text: string): Generator<ValueMend> {
  const scheme = /^(?:https?|docker|oci|docker-image):\/\//.exec(text)?.[0] ?? "";
  const digest = /@sha256:[0-9a-fA-F]*$/.exec(text)?.[0] ?? "";
  const bare = text.slice(scheme.length, text.length - digest.length).replace(/\/+$/, "");
  const tag = /:([A-Za-z0-9_][A-Za-z0-9._-]*)$/.exec(bare)?.[0] ?? "";
  const name = bare.slice(0, bare.length - tag.length);
  const whys = [
    ...(scheme === "" ? [] : [`an image's name has no ${scheme}`]),
    ...(name === name.toLowerCase() ? [] : ["the name of an image has small letters alone"]),
    ...(digest === "" ? [] : ["a digest: the lock pins it"]),
  ];
  const label = whys.join("; ");
  const because =
    digest === "" ? undefined : "bake lock writes the digest of this tag into the lock, and every bake compares";
  if (tag !== "") {
    yield { value: `${name.toLowerCase()}${tag}`, label, ...(because !== undefined && { because }) };
    return;
  }
  const missing = [...whys, "no tag: `docker system prune` of the first job would delete it"].join("; ");
  yield {
    value: undefined,
    label: missing,
    because: `write ${name.toLowerCase()}:TAG with the tag that ${digest === "" ? "you want" : "had this digest"}; the lock pins its digest`,
  };
}

const isImagePlace = ({ isRight }: Wrong): boolean => isRight("quay.io/a/b:1") && !isRight("/x") && !isRight("a b");

function* keyMends(text: string): Generator<ValueMend> {
  const type = /(?:^|\s)((?:ssh-(?:ed25519|rsa)|ecdsa-sha2-nistp\d+|sk-[a-z0-9@.-]+) [A-Za-z0-9+/]+=*(?: .*)?)$/.exec(
    text,
  );
  if (type !== null && type.index > 0)
    yield {
      value: type[1],
      label: "options before the key: bake takes the key alone",
      because: "a node's operators log in as root, without restrictions",
    };
  if (/^AAAA[A-Za-z0-9+/]+=*/.test(text)) {
    const kind = Buffer.from(text.split(" ")[0] ?? "", "base64")
      .subarray(4, 4 + 30)
      .toString("latin1");
    const name = /^(?:ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp\d+)/.exec(kind)?.[0];
    if (name !== undefined) yield { value: `${name} ${text}`, label: "the type before the key is missing" };
  }
  if (/\s{2,}|\n/.test(text))
    yield { value: text.trim().replace(/\s+/g, " "), label: "blanks or a line's end inside the key" };
  if (text.startsWith("ssh-dss "))
    yield {
      value: undefined,
      label: "sshd takes no DSA keys any more",
      because: "make another one: ssh-keygen -t ed25519",
    };
  if (/^(?:~|\.{0,2}\/).*/.test(text) || text.endsWith(".pub"))
    yield {
      value: undefined,
      label: "a path, where the key itself is asked",
      because: `write the line that cat ${text} prints`,
    };
}

const mask = (text: string): string | undefined => {
  const [, address, netmask] = /^([\d.]+)\/(\d+\.\d+\.\d+\.\d+)$/.exec(text) ?? [];
  if (address === undefined || netmask === undefined) return undefined;
  const bits = netmask
    .split(".")
    .map((part) => Number(part).toString(2).padStart(8, "0"))
    .join("");
  return /^1*0*$/.test(bits) ? `${address}/${bits.indexOf("0") < 0 ? 32 : bits.indexOf("0")}` : undefined;
};

/** What a text may have been meant as. Pure. */
export function* textMends(wrong: Wrong): Generator<ValueMend> {
  const { found, isRight, path } = wrong;
  if (typeof found === "number" || found === null) yield* openVersionHelp(wrong);
  if (typeof found !== "string") return;
  const text = ascii(found);
  if (text !== found)
    yield {
      value: text,
      label: /[“”„‘’]/.test(found)
        ? "typographic quotes are no quotes to YAML"
        : "full-width signs, or blanks around it",
    };
  if (text === "") return;
  if (isImagePlace(wrong)) yield* imageMends(text);
  if (path[0] === "ssh" && path[1] === "operatorKeys") yield* keyMends(text);
  yield* openVersionHelp(wrong);
  const lower = text.toLowerCase();
  yield { value: lower, label: "in small letters" };
  yield {
    value: text.replace(/[0-9A-Fa-f-]{36}$/, (uuid) => uuid.toLowerCase()),
    label: "in small letters, as blkid writes it",
  };
  yield { value: `UUID=${lower}`, label: "UUID= or LABEL= says what it is" };
  yield {
    value: text.replace(
      /^(UUID|LABEL)=["']?(.*?)["']?$/i,
      (_all, what: string, value: string) => `${what.toUpperCase()}=${value}`,
    ),
    label: "without quotes inside",
  };
  if (text.startsWith("/dev/") && path[0] === "storage")
    yield {
      value: undefined,
      label: "names of devices change from boot to boot",
      because: "write blank: nvme for a blank disk, or adopt: UUID=… as blkid shows it",
    };
  yield { value: lower.replace(/^sha256:/, ""), label: "64 hex digits alone" };
  const date = /^(\d{4})[/.-](\d{1,2})[/.-](\d{1,2})$/.exec(text);
  if (date !== null)
    yield { value: [date[1], date[2]?.padStart(2, "0"), date[3]?.padStart(2, "0")].join("-"), label: "year-month-day" };
  if (/^[0-7]{3}$/.test(text)) yield { value: `0${text}`, label: "four digits" };
  const network = mask(text);
  if (network !== undefined) yield { value: network, label: "a prefix length, not a mask" };
  if (/^\d+\.\d+\.\d+\.\d+$/.test(text) && isRight(`${text}/32`) && !isRight("x"))
    yield {
      value: undefined,
      label: "a network has a prefix length",
      because: `write ${text}/24, or /32 for this one address`,
    };
  const withoutScheme = text.replace(/^[a-z]+:\/\//, "").replace(/\/+$/, "");
  yield { value: withoutScheme, label: text === withoutScheme ? "" : "without a scheme and a slash at its end" };
  const host = /^([A-Za-z0-9.-]+):(\d+)$/.exec(withoutScheme);
  if (host !== null && path.at(-1) === "host")
    yield { value: host[1], label: "a host alone", because: `and port: ${host[2]} beside it` };
  if (!/^[a-z]+:\/\//.test(text) && /^[\w.-]+(?::\d+)?(?:\/|$)/.test(text)) {
    const scheme = path.includes("httpProxy") ? "http" : "https";
    yield { value: `${scheme}://${text}`, label: `${scheme}:// is missing` };
  }
  yield { value: text.replace(/\/{2,}/g, "/").replace(/(.)\/+$/, "$1"), label: "no slash at its end, no two in a row" };
  yield { value: text.replace(/^~(?=\/|$)/, "/root"), label: "~ is nobody's here" };
  if (!/[/\\:\s]/.test(text[0] ?? "/")) yield { value: `/${text}`, label: "a path from / on" };
  const model = /([^/]+\/[^/]+?)(?:\/(?:summary|files|tree\/.*))?\/?$/.exec(withoutScheme);
  if (model !== null && /^https?:/.test(text)) yield { value: model[1], label: "owner/name alone" };
}
