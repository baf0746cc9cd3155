/** Who may log in, and the node's own key pair. */
import * as z from "zod";

/** A line of authorized_keys without options; the types are those that sshd still takes. */
const publicKeyLine = /^(ssh-(ed25519|rsa)|ecdsa-sha2-nistp\d+|sk-[a-z0-9@.-]+) [A-Za-z0-9+/]+=*( [^\0\n\r]*)?$/;

/** The key's own bytes begin with its type, and are as many as it says. */
const isWhole = (text: string): boolean => {
  const [type = "", body = ""] = text.split(" ");
  const bytes = Buffer.from(body, "base64");
  if (bytes.length < 4 + type.length || bytes.subarray(4, 4 + type.length).toString("latin1") !== type) return false;
  let at = 0;
  while (at + 4 <= bytes.length) at += 4 + bytes.readUInt32BE(at);
  return at === bytes.length;
};

/** Whether a text is one whole public key as in authorized_keys, without options before it. Pure. */
export const isPublicKey = (text: string): boolean => publicKeyLine.test(text) && isWhole(text);

export const Ssh = z.strictObject({
  operatorKeys: z
    .array(
      z
        .string()
        .regex(publicKeyLine, "expected a public key as in authorized_keys")
        .refine(isWhole, "expected a whole public key: this one was cut off, or its type is another")
        .meta({
          examples: [
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILQis7noIZ99mnJYBtBmHDveCP9CmQND01H06fPKNars operator@example",
          ],
        }),
    )
    .default([])
    .describe("Public keys that may log in as root; they come with the golden user-data."),
  nodeKey: z
    .enum(["ed25519", "rsa", "none"])
    .default("ed25519")
    .describe(
      "The node's own key pair in /root/.ssh, made once and kept on the data disk; secrets.nodeKey delivers one instead.",
    ),
});
