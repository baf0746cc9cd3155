/** What the node reaches, and by way of what. */
import * as z from "zod";
import { cidr, httpUrl, isHost, lockedUrl, ofFolder, registryMirrors } from "./address.ts";
import { caCertificate } from "../ca-certificates.ts";
import { isGitPrefix } from "../git-rewrites.ts";
import { localFile, token } from "./text.ts";

/** What NO_PROXY means something by: a host, a domain with a leading dot, an address, an IPv4 network. */
const isProxyException = (text: string): boolean => cidr.safeParse(text).success || isHost(text.replace(/^\*?\./, ""));

const gitPrefix = z
  .string()
  .refine(isGitPrefix, "expected what git URLs begin with: https://host/, ssh://git@host/, git@host: or the like")
  .meta({ examples: ["git@github.com:"] });

export const Network = z.strictObject({
  pypiCache: z
    .strictObject({
      host: z
        .string()
        .refine(isHost, "expected an IPv4 address or a host name, without a port")
        .refine(
          (text) => !text.includes(":"),
          "expected an IPv4 address or a host name: Docker's networks here have no IPv6, so that no build would reach",
        )
        .meta({ examples: ["172.22.0.80"] })
        .describe("IPv4 address or name, as the nodes see it."),
      port: z
        .int()
        .min(1)
        .max(65535)
        .meta({ examples: [30367] })
        .describe("TCP port."),
    })
    .optional()
    .describe("The PyPI cache that jobs find as PYPI_CACHE_HOST and PYPI_CACHE_PORT."),
  gitProxy: z
    .strictObject({
      for: httpUrl("https://github.com/").describe("URL prefix that is rewritten."),
      via: httpUrl("https://git-proxy.example.com/https://github.com/").describe("What it is rewritten to."),
    })
    .optional()
    .describe("Rewrites git URLs (url.<via>.insteadOf)."),
  gitRewrites: z
    .array(
      z.strictObject({
        for: z
          .array(gitPrefix)
          .min(1, "expected what is rewritten, one beginning at least")
          .describe(
            "What URLs begin with that are rewritten: https://host/, ssh://git@host/, or in quotes `git@host:`.",
          ),
        via: lockedUrl("https://git-proxy.example.com/https://gitee.com/").describe("What they begin with then."),
      }),
    )
    .default([])
    .describe("Further rules of this kind, also for URLs of ssh. Of two that fit a URL the longer `for` counts."),
  httpProxy: z
    .strictObject({
      url: httpUrl("http://proxy.example.com:3128").regex(
        /^[^@]*$/,
        "expected a URL without credentials: secrets.proxyCredentials says where they come from",
      ),
      except: z
        .array(
          z
            .string()
            .refine(
              isProxyException,
              "expected a host, a domain such as .example.com, or a network such as 10.0.0.0/8",
            ),
        )
        .default([])
        .describe(
          "Reached without the proxy, besides loopback, the PyPI cache and the metadata service. `*.x` is written `.x`, which all read alike; hosts of this profile that lie in a network are written one by one.",
        ),
    })
    .optional()
    .describe("HTTP proxy of Docker, the builders, the agents and their jobs."),
  registryMirrors: registryMirrors
    .default({})
    .describe(
      "Mirrors by registry, asked in this order before the registry itself: by the builders, by the lock and, those of docker.io without a path, by Docker.",
    ),
  artifactMirror: ofFolder(lockedUrl("http://mirror.example.com/bake"))
    .optional()
    .describe(
      "Where nodes find by digest what their image does not carry, such as images and models with from: mirror: a folder that `bake fetch --to` filled, served by http. targets.huaweicloud.mirror without it.",
    ),
  caCertificates: z
    .array(
      z.union([
        z
          .string()
          .refine(
            (text) => caCertificate(text) !== undefined,
            "expected one certificate of an authority (CA) in PEM form, from -----BEGIN CERTIFICATE----- to its end",
          ),
        z.strictObject({
          from: localFile
            .meta({ examples: ["./site-ca.pem"] })
            .describe("A file of the machine that bakes with one certificate or several, relative to this profile."),
        }),
      ]),
    )
    .default([])
    .describe(
      "Certificates of the site's own authorities, from files or as text: the system, Docker, the builders, the agents' jobs and bake's own downloads trust them besides.",
    ),
  vpc: z
    .array(cidr)
    .default([])
    .describe("Networks of the site, such as the VPC's: Docker's address pools must stay away from them."),
  metadata: z
    .strictObject({
      closed: z
        .boolean()
        .default(true)
        .describe("Once the node is ready, nothing on it reaches 169.254.169.254 until the next boot."),
      exceptUsers: z
        .array(token("a user name"))
        .default([])
        .describe("Users of the node that still reach it, such as a monitoring agent's; never root."),
    })
    .prefault({})
    .describe("The cloud's metadata service, which hands out user-data and credentials to whoever asks."),
});
