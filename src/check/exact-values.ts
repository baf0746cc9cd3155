/**
 * The forms in which a known secret is written down, as bytes to search for. Pure.
 *
 * They are the value as it is, base64 at all three alignments, percent-encoded and JSON-escaped: what cloud-init, git,
 * Docker, proxies and the agent write. Not hex or UTF-16: nothing on the way writes those.
 */

/** A value that must not be found. */
export interface Secret {
  /** What a finding calls it, such as `secrets.agentToken`. */
  readonly name: string;
  readonly value: string;
}

/** Below this, a value would be found in bytes that are no secret. */
export const shortestSecret = 8;

/** One form of a secret, in bytes. */
export interface Needle {
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
 * What base64 of any text that contains `value` must contain: a piece for each alignment.
 * Encoders wrap lines at 64 or 76 characters: of two neighbours of 30, one is whole.
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
  // A key: its first line is the same in every key of its kind. Line by line, since files may indent it.
  // Three of them: each costs a pass, and a key that leaks leaks whole.
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

/** All forms of these secrets. Pure. @param secrets Values shorter than `shortestSecret` are left out. */
export const needlesFor = (secrets: readonly Secret[]): Needle[] =>
  secrets.filter(({ value }) => value.trim().length >= shortestSecret).flatMap(needlesOf);
