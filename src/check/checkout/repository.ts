/** The repository that a job of the check checks out: one commit, in git's own formats. Pure. */
import { createHash } from "node:crypto";
import { deflateSync } from "node:zlib";

interface GitObject {
  /** As a pack numbers the types. */
  readonly type: 1 | 2 | 3;
  readonly content: Buffer;
  readonly id: string;
}

const typeNames = { 1: "commit", 2: "tree", 3: "blob" } as const;

const gitObject = (type: GitObject["type"], content: Buffer): GitObject => ({
  type,
  content,
  id: createHash("sha1").update(`${typeNames[type]} ${content.length}\0`).update(content).digest("hex"),
});

/** The one file of the repository, in its root. */
export const checkedOutFile = { name: "checked-out", content: "from bake check\n" } as const;

const blob = gitObject(3, Buffer.from(checkedOutFile.content));
const tree = gitObject(2, Buffer.concat([Buffer.from(`100644 ${checkedOutFile.name}\0`), Buffer.from(blob.id, "hex")]));
const who = "bake check <bake-check@example.invalid> 1700000000 +0000";
const commit = gitObject(1, Buffer.from(`tree ${tree.id}\nauthor ${who}\ncommitter ${who}\n\nbake check\n`));

/** Always the same: nothing of its content changes. */
export const checkoutCommit = commit.id;

/** Four bits of the size stand beside the type, the others follow seven by seven. */
const packHeader = ({ type, content }: GitObject): Buffer => {
  const bytes: number[] = [];
  let rest = content.length >> 4;
  let byte = (type << 4) | (content.length & 15);
  while (rest > 0) {
    bytes.push(byte | 0x80);
    byte = rest & 0x7f;
    rest >>= 7;
  }
  return Buffer.from([...bytes, byte]);
};

const pack = ((): Buffer => {
  const objects = [commit, tree, blob];
  const head = Buffer.alloc(12);
  head.write("PACK", "latin1");
  head.writeUInt32BE(2, 4);
  head.writeUInt32BE(objects.length, 8);
  const body = Buffer.concat([head, ...objects.flatMap((one) => [packHeader(one), deflateSync(one.content)])]);
  return Buffer.concat([body, createHash("sha1").update(body).digest()]);
})();

const line = (text: string): string => (text.length + 4).toString(16).padStart(4, "0") + text;
const flush = "0000";

/** What `GET info/refs?service=git-upload-pack` answers, in version 0 of the protocol: every git reads it. */
export const advertisement = ((): string => {
  const capabilities = "shallow symref=HEAD:refs/heads/main agent=bake-check";
  return [
    line("# service=git-upload-pack\n"),
    flush,
    line(`${commit.id} HEAD\0${capabilities}\n`),
    line(`${commit.id} refs/heads/main\n`),
    flush,
  ].join("");
})();

/** The lines of a request, each without its length and its end. Pure. */
const linesOf = (request: string): string[] => {
  const lines: string[] = [];
  for (let at = 0; at < request.length; ) {
    const length = Number.parseInt(request.slice(at, at + 4), 16);
    // A flush has length 0, and is four characters long nevertheless. What is no length ends it.
    const next = at + (Number.isNaN(length) ? request.length : Math.max(length, 4));
    lines.push(request.slice(at + 4, next).trimEnd());
    at = next;
  }
  return lines;
};

/**
 * What `POST git-upload-pack` answers. Pure. It sends all it has, whatever the client has already: that is three objects.
 * No commit has parents, so nothing is shallow, whatever depth is asked for.
 */
export const uploadPack = (request: string): Buffer => {
  const lines = linesOf(request);
  const shallow = lines.some((one) => one.startsWith("deepen ")) ? flush : "";
  const known = lines.includes(`have ${commit.id}`);
  const done = lines.includes("done");
  // A client that asks for a depth wants to know what is shallow before it says what it has.
  const asked = done || lines.some((one) => one.startsWith("have "));
  const answer = Buffer.from(shallow + (asked ? line(known ? `ACK ${commit.id}\n` : "NAK\n") : ""));
  return done ? Buffer.concat([answer, pack]) : answer;
};
