/** Hosts, ports, networks and URLs, as several sections take them. */
import * as z from "zod";
import { token } from "./text.ts";

/** An IPv4 network, with its prefix length. */
export const cidr = z
  .string()
  .regex(
    /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!\/)|(?=\/))){4}\/(?:[0-9]|[12]\d|3[0-2])$/,
    "expected an IPv4 network such as 192.168.0.0/16",
  )
  .meta({ examples: ["192.168.0.0/16"] });

/** The source of a regular expression for 1 to 65535, without leading zeros. */
export const port = "(?:[1-9]\\d{0,3}|[1-5]\\d{4}|6[0-4]\\d{3}|65[0-4]\\d{2}|655[0-2]\\d|6553[0-5])";

/** Whether a text can be a host, as a URL takes it: digits and dots must be an IPv4 address, colons an IPv6 address. Pure. */
export const isHost = (text: string): boolean => {
  if (!/^[A-Za-z0-9.:-]+$/.test(text) || text.includes("..") || /^[.-]|[.-]$/.test(text)) return false;
  try {
    const { hostname } = new URL(`http://${text.includes(":") ? `[${text}]` : text}/`);
    // Of fewer parts or in hex, a URL would be completed; nothing else does that.
    return !/^[\d.]+$/.test(hostname) || hostname === text;
  } catch {
    return false;
  }
};

/**
 * An http or https URL of ASCII without quotes, backslashes and blanks: every format that it lands in takes these.
 * @param example Shown in messages and by editors.
 */
export const httpUrl = (example: string) =>
  z
    .url({ protocol: /^https?$/, error: `expected an http or https URL such as ${example}` })
    .regex(/^[!#-&(-;=?-[\]_a-z~]*$/, `expected an http or https URL such as ${example}`)
    .meta({ examples: [example] });

/** An `httpUrl` without a login, because the lock keeps it: a lock is committed, and shown. */
export const lockedUrl = (example: string) =>
  httpUrl(example).regex(/^[^/]*\/\/[^/?#@]+(?:[/?#]|$)/, "expected a URL without a user or a password");

/** Of a folder by http: the path of a file is put behind it, and would be lost in a query. */
export const ofFolder = (url: ReturnType<typeof httpUrl>) =>
  url.regex(/^[^?#]*$/, "expected the URL of a folder, without ? and #: the path of a file is put behind it");

/** By registry, `host[:port][/path]` of each of its mirrors. */
export const registryMirrors = z.record(
  token("a registry host"),
  z
    .array(
      z
        .string()
        .regex(
          new RegExp(`^[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::${port})?(?:/[A-Za-z0-9._-]+)*$`),
          "expected host[:port][/path]",
        )
        .refine((text) => isHost(text.replace(/[:/].*$/, "")), "expected host[:port][/path]")
        .meta({ examples: ["mirror.example.com:5000"] }),
    )
    .min(1),
);
