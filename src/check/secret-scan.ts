/**
 * Searches bytes for secrets: exact values that bake knows, and credentials by their shape. Pure; fed chunk by chunk.
 *
 * Exact values are looked for as they are, in base64 at all three alignments, percent-encoded and JSON-escaped: the forms
 * in which cloud-init, git, Docker, proxies and the agent write them down. Not in hex or UTF-16: nothing on the way
 * writes those.
 *
 * Speed, on half of a slow core: six bytes of an exact form are found by `indexOf` at 5 GB/s (a longer text at a fifth of
 * that, by another algorithm), and the rest is compared there. Shapes share one regular expression of rare literals, at
 * 200 MB/s; `indexOf` for each of them came to 70.
 */
import { createHash } from "node:crypto";
import { githubKinds, tokenForms } from "../secrets/table.ts";

/** A value that must not be found. */
export interface Secret {
  /** What a finding calls it, such as `secrets.agentToken`. */
  readonly name: string;
  readonly value: string;
}

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

/** Changes with what shapes are looked for and how. */
export const shapesVersion = (): string =>
  createHash("sha256")
    .update(shapes.map(({ what, pattern, holds }) => `${what} ${pattern.source} ${String(holds)}`).join("\n"))
    .digest("hex");

/** Below this, a value would be found in bytes that are no secret. */
export const shortestSecret = 8;

interface Needle {
  readonly what: string;
  readonly form: string;
  readonly bytes: Buffer;
  /** The few bytes that are searched for, and where in `bytes` they begin. */
  readonly key: Buffer;
  readonly keyAt: number;
}

/** Longer ones take `indexOf`'s slower way. */
const keyLength = 6;

/** From rare to frequent in disk images: a search stops at each first letter of its key. */
const rareFirst = "QJZXKYVWqjzHGOUBNkwFMRxLbvyPSDITCEAgpfhmducl7968543210nrsoiate";

/** Where in `text` the best key begins. */
const bestKey = (text: string): number => {
  const rank = (at: number): number => {
    const found = rareFirst.indexOf(text[at] ?? "");
    return found === -1 ? rareFirst.length : found;
  };
  return Array.from({ length: Math.max(1, text.length - keyLength + 1) }, (_, at) => at).reduce((best, at) =>
    rank(at) < rank(best) ? at : best,
  );
};

/**
 * What base64 of any text that contains `value` must contain: a piece for each alignment. Encoders wrap lines at 64 or 76
 * characters: of two neighbours of 30, one is whole.
 */
const base64Pieces = (value: string): string[] => {
  const bytes = Buffer.from(value);
  return [0, 1, 2].flatMap((shift) => {
    const text = Buffer.concat([Buffer.alloc(shift), bytes]).toString("base64");
    // Characters at both ends that also depend on what stands beside the value are left out.
    const piece = text.slice([0, 2, 3][shift], Math.floor(((bytes.length + shift) * 8) / 6)).slice(0, 60);
    const half = Math.floor(piece.length / 2);
    const parts = half < 16 ? [piece] : [piece.slice(0, half), piece.slice(half)];
    return parts.flatMap((part) => [part, part.replaceAll("+", "-").replaceAll("/", "_")]);
  });
};

/** The parts of a value that each give it away. */
const partsOf = (value: string): string[] => {
  const lines = value
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line.length >= shortestSecret && !/^-----(BEGIN|END)/.test(line));
  const [first = "", ...others] = lines;
  if (others.length === 0) {
    // user:password: proxies write them apart, and the password alone is enough.
    const password = /^[^:\s]+:(.*)$/.exec(first)?.[1] ?? "";
    return password.length >= shortestSecret ? [first, password] : [first];
  }
  // A key: its first line is the same in every key of its kind. Line by line, since files may indent it; three of them,
  // because each costs a pass and a key that leaks leaks whole.
  return [...new Set([0, 0.5, 1].map((place) => others[Math.round(place * (others.length - 1))] ?? ""))];
};

const needlesOf = ({ name, value }: Secret): Needle[] => {
  const needles = partsOf(value).flatMap((part): [form: string, text: string][] => [
    ["plain", part],
    ["URL-encoded", encodeURIComponent(part)],
    ["JSON", JSON.stringify(part).slice(1, -1)],
    ...base64Pieces(part).map((text): [string, string] => ["base64", text]),
  ]);
  // The same text under the first of its forms only.
  return [...new Map(needles.toReversed().map(([form, text]) => [text, form]))]
    .filter(([text]) => text.length >= shortestSecret)
    .map(([text, form]) => {
      // One character a byte, so that places in the text are places in the bytes.
      const bytes = Buffer.from(text);
      const keyAt = bestKey(bytes.toString("latin1"));
      return { what: name, form, bytes, key: bytes.subarray(keyAt, keyAt + keyLength), keyAt };
    });
};

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
 * Shapes that do not fire on ordinary binaries: programs that handle credentials are full of their markers, so each one
 * demands the credential's body in its real length.
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
    // A line of /etc/shadow: an account with one password on every node. Locked ones (`*`, `!`) have none.
    what: "password hash of an account",
    anchor: /:\$(?:6|y|5|1|2[aby])\$/,
    before: 40,
    after: 256,
    pattern: /(?<![A-Za-z0-9_.-])[a-z_][a-z0-9_.-]*:\$[0-9a-z]{1,2}\$[^\s:]{20,}:\d{0,6}:\d{0,6}:/,
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

/** @param secrets Values shorter than `shortestSecret` are not looked for. */
export const startScan = (secrets: readonly Secret[]): SecretScan => {
  const needles = secrets.filter(({ value }) => value.trim().length >= shortestSecret).flatMap(needlesOf);
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
