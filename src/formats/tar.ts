/** A tar archive (POSIX ustar) of small files, for everything that unpacks one: owned by root, dated 1970, the same bytes every time. */

export interface TarFile {
  /** Relative, with `/`; at most 255 bytes, of which the last 100 hold the name. */
  readonly path: string;
  readonly content: string;
  /** What makes bytes of it; UTF-8 without. */
  readonly encoding?: "latin1";
}

const block = 512;

/** Splits a long path at a `/`, as ustar does. @throws RangeError when there is none in the right place. */
const namesOf = (path: string): { readonly name: string; readonly prefix: string } => {
  if (/^\/|(^|\/)\.\.?(\/|$)|[^\x21-\x7e]/.test(path))
    throw new RangeError(`a path that no archive should hold: ${path}`);
  if (path.length <= 100) return { name: path, prefix: "" };
  const at = path.indexOf("/", path.length - 101);
  if (at < 1 || at > 155) throw new RangeError(`a path too long for an archive: ${path}`);
  return { name: path.slice(at + 1), prefix: path.slice(0, at) };
};

const header = (path: string, size: number): Buffer => {
  const { name, prefix } = namesOf(path);
  const bytes = Buffer.alloc(block);
  const put = (text: string, offset: number): void => void bytes.write(text, offset, "latin1");
  const octal = (value: number, digits: number): string => `${value.toString(8).padStart(digits, "0")}\0`;
  put(name, 0);
  put(octal(0o644, 7), 100);
  put(octal(0, 7), 108);
  put(octal(0, 7), 116);
  put(octal(size, 11), 124);
  put(octal(0, 11), 136);
  // The checksum counts its own field as blanks.
  put(" ".repeat(8), 148);
  put("0", 156);
  put("ustar\0", 257);
  put("00", 263);
  put("root\0", 265);
  put("root\0", 297);
  put(prefix, 345);
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  put(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return bytes;
};

/**
 * A tar archive of files that belong to root, in this order, with no times: the same files are the same bytes. Pure.
 * @throws RangeError for a path that the format cannot hold.
 */
export const toTar = (files: readonly TarFile[]): Buffer =>
  Buffer.concat([
    ...files.flatMap(({ path, content, encoding }) => {
      const data = Buffer.from(content, encoding ?? "utf8");
      return [header(path, data.length), data, Buffer.alloc((block - (data.length % block)) % block)];
    }),
    Buffer.alloc(2 * block),
  ]);
