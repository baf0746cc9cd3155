/** `systemd-analyze verify` of units whose commands and targets are not on this machine: it gets a root that has them. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const targets = ["basic", "sysinit", "shutdown", "multi-user", "sockets", "local-fs", "network", "network-online"];

/** What it says of them; nothing when they are right. */
export const verifyUnits = (units: readonly { readonly name: string; readonly content: string }[]): string => {
  const root = mkdtempSync(join(tmpdir(), "bake-units-"));
  const put = (path: string, content: string, mode?: number): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content, { mode: mode ?? 0o644 });
  };
  try {
    for (const { name, content } of units) {
      for (const [, command = ""] of content.matchAll(/^Exec\w+=-?(\/\S+)/gm)) put(command, "", 0o755);
      put(`etc/systemd/system/${name}`, content);
    }
    for (const name of targets) put(`etc/systemd/system/${name}.target`, "[Unit]\nDescription=stand-in\n");
    const { stdout, error } = spawnSync(
      "sh",
      [
        "-c",
        'root=$1; shift; systemd-analyze verify --recursive-errors=no --man=no --root="$root" "$@" 2>&1',
        "sh",
        root,
        ...units.map(({ name }) => name),
      ],
      { encoding: "utf8" },
    );
    if (error !== undefined) throw error;
    return stdout;
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
};
