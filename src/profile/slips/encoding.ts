/** The bytes of a file as text: profiles are UTF-8. Others are shown as what they are, and refused by name. Pure. */

interface Decoded {
  readonly text: string;
  /** Why the file is refused. */
  readonly refused?: {
    /** Of the first character that is not right. */
    readonly start: number;
    readonly message: string;
    readonly help: string;
  };
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

const decode = (bytes: Uint8Array, encoding: string): string | undefined => {
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
};

const convert = (from: string, file: string): string => `save it as UTF-8: iconv -f ${from} -t UTF-8 ${file} >new.yaml`;

/** UTF-16 by its mark, or by the zero bytes that ASCII has there. */
const utf16 = (bytes: Uint8Array): "utf-16le" | "utf-16be" | undefined => {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return "utf-16le";
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return "utf-16be";
  if (bytes.length < 4) return undefined;
  const zeros = [0, 1].map((odd) => bytes.slice(0, 200).filter((byte, at) => byte === 0 && at % 2 === odd).length);
  const [even = 0, odd = 0] = zeros;
  if (even + odd < Math.min(bytes.length, 200) / 4) return undefined;
  return odd > even ? "utf-16le" : "utf-16be";
};

/** Where two texts differ first: one read as UTF-8 with replacements, one as it is. */
const firstWrong = (bytes: Uint8Array): number => {
  let start = 0;
  for (let at = 0; at <= bytes.length; at++) {
    if (at < bytes.length && bytes[at] !== 0x0a) continue;
    try {
      utf8.decode(bytes.subarray(start, at));
    } catch {
      const line = new TextDecoder("utf-8").decode(bytes.subarray(start, at));
      return start + Buffer.byteLength(line.slice(0, line.indexOf("\ufffd")));
    }
    start = at + 1;
  }
  return 0;
};

/** The text of a file. What is no UTF-8 is decoded too, so that its place can be shown. Pure. @param file For the command that helps. */
export const decodeProfile = (bytes: Uint8Array, file: string): Decoded => {
  const wide = utf16(bytes);
  const wideText = wide === undefined ? undefined : decode(bytes, wide);
  // Programs have zero bytes too.
  if (wide !== undefined && wideText !== undefined && !/[\0-\x08\x0e-\x1f]/.test(wideText)) {
    const message = "this file is UTF-16, and a profile is UTF-8";
    return { text: wideText, refused: { start: 0, message, help: convert(wide.toUpperCase(), file) } };
  }
  try {
    const text = utf8.decode(bytes);
    const zero = text.indexOf("\0");
    if (zero < 0) return { text };
    return {
      text: text.replaceAll("\0", "\ufffd"),
      refused: {
        start: zero,
        message: "this file holds zero bytes, and a profile is text",
        help: "is this the file that you meant?",
      },
    };
  } catch {
    const gbk = decode(bytes, "gb18030");
    const wrong = firstWrong(bytes);
    const start = (gbk === undefined ? new TextDecoder("utf-8") : new TextDecoder("gb18030")).decode(
      bytes.subarray(0, wrong),
    ).length;
    return gbk === undefined
      ? {
          text: new TextDecoder("utf-8").decode(bytes),
          refused: { start, message: "this file is not UTF-8", help: "save it as UTF-8, or remove the bytes here" },
        }
      : {
          text: gbk,
          refused: {
            start,
            message: "this file is not UTF-8; its bytes look like GBK",
            help: convert("GB18030", file),
          },
        };
  }
};
