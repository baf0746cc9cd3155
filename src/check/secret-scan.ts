/**
 * Searches bytes for secrets: exact values that bake knows, and credentials by their shape. Pure; fed chunk by chunk.
 *
 * Speed, on half of a slow core: six bytes of an exact form are found by `indexOf` at 5 GB/s, and the rest is compared
 * there. A longer text takes another algorithm, at a fifth of that.
 * Shapes share one regular expression of rare literals, at 200 MB/s; `indexOf` for each of them came to 70.
 */
import { createHash } from "node:crypto";
import { githubKinds, tokenForms } from "../secrets/table.ts";
import { type Needle, needlesFor, type Secret } from "./exact-values.ts";

export interface Finding {
  /** The name of the secret, or the shape. Never a value. */
  readonly what: string;
  /** How an exact value was written; undefined for a shape. */
  readonly form?: string;
  /** Of its first byte. */
  readonly offset: number;
  /** sha256 of the bytes of a shape: tells whether the same ones are in another place. Not for printing. */
  readonly digest?: string;
}

export interface SecretScan {
  /** @param offset Of the chunk's first byte; without it, the chunk follows the last one. */
  feed(chunk: Uint8Array, offset?: number): void;
  /** What was found, by offset. */
  end(): readonly Finding[];
}

/** Changes with what shapes are looked for and how. Pure. @returns a sha256. */
export const shapesVersion = (): string =>
  createHash("sha256")
    .update(shapes.map(({ what, pattern, holds }) => `${what} ${pattern.source} ${String(holds)}`).join("\n"))
    .digest("hex");

/** What is said of a line of /etc/shadow: whoever has the base knows that password, and could log in to every node. */
export const accountPassword = "password hash of an account";

interface Shape {
  readonly what: string;
  /** Rare literals, one of which every match contains: the pattern is tried around these alone. */
  readonly anchor: RegExp;
  /** Bytes looked at before and behind the anchor's first byte. */
  readonly before: number;
  readonly after: number;
  readonly pattern: RegExp;
  /** A second look at a match; without it, the pattern says all. */
  readonly holds?: (match: RegExpMatchArray) => boolean;
}

/** Whether text looks like chance: placeholders such as xxxxxxxx and names made of words do not. */
const random = (text: string): boolean => /[0-9]/.test(text) && /[A-Za-z]/.test(text) && new Set(text).size >= 10;

/** Whether base64 holds user:password. */
const isUserAndPassword = (base64: string): boolean =>
  /^[\x21-\x7e]+:[\x20-\x7e]{4,}$/.test(Buffer.from(base64, "base64").toString("latin1"));

const placeholder =
  /^(?:pass(?:word|wd|phrase)?|pwd|secret|token|x+|\*+|\.+|my.*|your.*|some.*|foo|bar|test|%.*|\$.*)$/i;

/** Room for a key of 8192 bits with its headers. */
const longestKey = 16 * 1024;

/**
 * Shapes that do not fire on ordinary binaries.
 * Programs that handle credentials are full of their markers, so each shape demands the credential's body in its real length.
 */
const shapes: readonly Shape[] = [
  {
    // Host keys of ssh are private keys too. Newlines may be escaped, as in JSON; a key's end may lie elsewhere on a disk.
    what: "private key",
    anchor: /PRIVATE KEY-----/,
    before: 48,
    after: longestKey,
    pattern:
      /-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY-----(?:\s|\\[rn])+((?:[A-Za-z-]+: [^\r\n\\]*(?:\s|\\[rn])+)*)((?:[A-Za-z0-9+/=]{16,}(?:\s|\\[rn])*)+)/,
    holds: ([, headers = "", body = ""]) => {
      const base64 = body.replaceAll(/\\[rn]|\s/g, "");
      const start = Buffer.from(base64.slice(0, 24), "base64");
      // Unless encrypted, a key starts as ASN.1 or in OpenSSH's own format.
      return (
        base64.length >= 60 &&
        (headers !== "" || start[0] === 0x30 || start.toString("latin1").startsWith("openssh-key-v1"))
      );
    },
  },
  {
    // All bodies have 38 characters or more; a little room for one that was cut off.
    what: "Buildkite token",
    anchor: new RegExp(tokenForms.buildkite.prefix),
    before: 0,
    after: 300,
    pattern: new RegExp(`^${tokenForms.buildkite.prefix}([A-Za-z0-9_.-]{32,})`),
    holds: ([, body = ""]) => random(body),
  },
  {
    what: "GitHub token",
    anchor: new RegExp(githubKinds),
    before: 0,
    after: 260,
    pattern: new RegExp(`^${githubKinds}([A-Za-z0-9]{36,251})(?![A-Za-z0-9_])`),
    holds: ([, body = ""]) => random(body),
  },
  {
    what: "GitHub fine-grained token",
    anchor: new RegExp(tokenForms.githubFineGrained.prefix),
    before: 0,
    after: 100,
    pattern: new RegExp(`^${tokenForms.githubFineGrained.prefix}([A-Za-z0-9]{22}_[A-Za-z0-9]{59})(?![A-Za-z0-9_])`),
    holds: ([, body = ""]) => random(body),
  },
  {
    what: "GitLab token",
    anchor: new RegExp(tokenForms.gitlab.prefix),
    before: 0,
    after: 100,
    pattern: new RegExp(`^${tokenForms.gitlab.prefix}([A-Za-z0-9_-]{20,64})(?![A-Za-z0-9_-])`),
    holds: ([, body = ""]) => random(body),
  },
  {
    what: "Hugging Face token",
    anchor: new RegExp(tokenForms.huggingFace.prefix),
    before: 0,
    after: 48,
    pattern: new RegExp(`^${tokenForms.huggingFace.prefix}([A-Za-z0-9]{34})(?![A-Za-z0-9_])`),
    holds: ([, body = ""]) => /[A-Z]/.test(body) && /[a-z]/.test(body) && new Set(body).size >= 10,
  },
  {
    what: "Authorization header",
    anchor: /uthorization|UTHORIZATION/,
    before: 1,
    after: 2048,
    pattern: /^a?uthorization["'\\]*\s*[:=]\s*["'\\]*(basic|bearer|token)\s+([A-Za-z0-9+/_.~-]{16,}={0,2})/i,
    holds: ([, scheme = "", body = ""]) =>
      scheme.toLowerCase() === "basic" ? isUserAndPassword(body) : body.length >= 20 && random(body),
  },
  {
    what: "registry login",
    anchor: /"auth"/,
    before: 0,
    after: 2048,
    pattern: /^"auth"\s*:\s*"([A-Za-z0-9+/]{8,}={0,2})"/,
    holds: ([, body = ""]) => isUserAndPassword(body),
  },
  {
    what: "password of a proxy",
    anchor: /_proxy|_PROXY/,
    before: 0,
    after: 512,
    pattern: /^_proxy["']?\s*[=:]\s*["']?https?:\/\/([^\s:@/"'<>${}]+):([^\s@"'/<>${}]{4,})@[A-Za-z0-9.[-]/i,
    holds: ([, user = "", password = ""]) => !placeholder.test(password) && user !== password,
  },
  {
    // A line of /etc/shadow: an account with one password on every node. Of `*` and `!` there is none; `!$6$...` is one
    // command away from it.
    what: accountPassword,
    anchor: /:!{0,2}\$(?:6|g?y|5|1|7|2[abxy]|sm3)\$/,
    before: 40,
    after: 256,
    pattern: /(?<![A-Za-z0-9_.-])[a-z_][a-z0-9_.-]*:!{0,2}\$[0-9a-z]{1,3}\$[^\s:]{20,}:\d{0,6}:\d{0,6}:/,
  },
  {
    // Access keys have no prefix: only beside a name that says what they are. The key's ID alone opens nothing.
    what: "secret access key",
    anchor: /ecret|ECRET|HW_SK|SDK_SK/,
    before: 24,
    after: 128,
    pattern:
      /(?:secret[_-]?(?:access[_-]?)?key|access[_-]?key[_-]?secret|(?:HW|SDK)_SK)["'\\]*\s*[:=]\s*["'\\]*([A-Za-z0-9+/]{40})(?![A-Za-z0-9+/=])/i,
    holds: ([, body = ""]) => /[a-z]/.test(body) && /[A-Z]/.test(body) && random(body) && !body.includes("EXAMPLE"),
  },
];

/** How far a match may reach behind its anchor, and how far before it a pattern may look. */
const reach = Math.max(...shapes.map(({ after }) => after));
const behind = Math.max(...shapes.map(({ before }) => before));

const anyAnchor = new RegExp(shapes.map(({ anchor }) => anchor.source).join("|"), "g");
const shapesWithSearch = shapes.map((shape) => ({
  shape,
  anchor: new RegExp(`^(?:${shape.anchor.source})`),
  pattern: new RegExp(shape.pattern, `${shape.pattern.flags}g`),
}));

/** Chunks are taken in pieces of this size: large enough for `indexOf`, small enough for the CPU's cache. */
const pieceSize = 1 << 20;

/** More of them say nothing new. */
const mostFindings = 1000;

/** Near findings of one secret are one place: its lines, its halves, a copy in the same file. */
const nearby = 4096;

const merge = (findings: readonly Finding[]): Finding[] => {
  const kept: Finding[] = [];
  const last = new Map<string, Finding>();
  for (const finding of findings.toSorted((a, b) => a.offset - b.offset)) {
    const key = finding.digest ?? finding.what;
    const earlier = last.get(key);
    if (earlier !== undefined && finding.offset - earlier.offset < nearby) continue;
    last.set(key, finding);
    kept.push(finding);
  }
  return kept;
};

/**
 * Starts a search; the bytes are fed chunk by chunk. Keeps a window of a few MiB, and touches nothing else.
 * @param secrets Values shorter than `shortestSecret` are not looked for.
 */
export const startScan = (secrets: readonly Secret[]): SecretScan => {
  const needles = needlesFor(secrets);
  const overlap = Math.max(reach, ...needles.map(({ bytes }) => bytes.length));
  const window = Buffer.alloc(behind + overlap + pieceSize);
  const found: Finding[] = [];
  /** Bytes in the window; those before `examined` were starting points already. */
  let length = 0;
  let examined = 0;
  /** Of the window's first byte. */
  let start = 0;

  const examineNeedle = (view: Buffer, limit: number, { what, form, bytes, key, keyAt }: Needle): void => {
    let at = view.indexOf(key, examined + keyAt) - keyAt;
    while (at >= 0 && at < limit) {
      if (view.subarray(at, at + bytes.length).equals(bytes)) found.push({ what, form, offset: start + at });
      at = view.indexOf(key, at + keyAt + 1) - keyAt;
    }
  };

  const examineAnchor = (view: Buffer, at: number, text: string): void => {
    for (const { shape, anchor, pattern } of shapesWithSearch) {
      if (!anchor.test(text)) continue;
      const from = Math.max(0, at - shape.before);
      // The match around this anchor: others have their own.
      const match = [...view.toString("latin1", from, Math.min(length, at + shape.after)).matchAll(pattern)].find(
        ({ index, 0: all }) => from + index <= at && at < from + index + all.length,
      );
      if (match === undefined || shape.holds?.(match) === false) continue;
      const digest = createHash("sha256").update(match[0], "latin1").digest("hex");
      found.push({ what: shape.what, offset: start + from + match.index, digest });
    }
  };

  /** Looks at everything that starts before `limit`. */
  const examine = (limit: number): void => {
    const view = window.subarray(0, length);
    for (const needle of needles) examineNeedle(view, limit, needle);
    // An anchor across the limit is found in the next window.
    const text = view.toString("latin1", examined, Math.min(length, limit + 32));
    for (const match of text.matchAll(anyAnchor)) {
      if (examined + match.index < limit) examineAnchor(view, examined + match.index, match[0]);
    }
    if (found.length > mostFindings) found.splice(0, found.length, ...merge(found).slice(0, mostFindings));
    examined = limit;
  };

  /** Nothing follows what is in the window: the end, or a hole. */
  const flush = (): void => {
    examine(length);
    start += length;
    length = 0;
    examined = 0;
  };

  return {
    feed: (chunk, offset = start + length) => {
      if (offset !== start + length) {
        flush();
        start = offset;
      }
      for (let position = 0; position < chunk.length; position += pieceSize) {
        const piece = chunk.subarray(position, position + pieceSize);
        window.set(piece, length);
        length += piece.length;
        const limit = length - overlap;
        if (limit <= examined) continue;
        examine(limit);
        const gone = Math.max(0, limit - behind);
        window.copyWithin(0, gone, length);
        start += gone;
        length -= gone;
        examined -= gone;
      }
    },
    end: () => {
      flush();
      return merge(found);
    },
  };
};
