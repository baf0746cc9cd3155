/** A golden image with some files of another node laid in: another image without another bake. */
import { execFileSync } from "node:child_process";
import { chmodSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { NodePlan } from "../../src/plan/node-plan.ts";
import type { Templates } from "../../src/render/templates.ts";
import { renderTree } from "../../src/render/tree.ts";

interface FileOfNode {
  readonly path: string;
  readonly content: string;
  /** Octal. The gate looks at the modes of some. */
  readonly mode: string;
}

/**
 * Files that `other` has and `local` has not, or has with another content.
 * @param sameId Whether both are to have one bake id: what differs by it alone is no difference then.
 */
export const differingFiles = (
  other: NodePlan,
  { plan: local, templates }: { readonly plan: NodePlan; readonly templates: Templates },
  { sameId }: { readonly sameId: boolean },
): FileOfNode[] => {
  const filesOf = (each: NodePlan): FileOfNode[] => {
    const { nodeFiles, bakeId = "" } = renderTree(each, templates);
    return nodeFiles.map(({ path, content, mode }) => ({
      path,
      mode,
      content: sameId ? content.replaceAll(bakeId, "<bake id>") : content,
    }));
  };
  const here = new Map(filesOf(local).map((file) => [file.path, file]));
  return filesOf(other).filter(({ path, content, mode }) => {
    const same = here.get(path);
    return same?.content !== content || same.mode !== mode;
  });
};

/**
 * Makes `image` from the golden one, with these files in its root file system. Nothing is booted.
 * @param options `folder`: for what is needed meanwhile. `enable`: units of these files that the boot's end wants.
 */
export const layInto = (
  golden: string,
  image: string,
  files: readonly FileOfNode[],
  { folder, enable = [] }: { readonly folder: string; readonly enable?: readonly string[] },
): void => {
  const raw = join(folder, "laid.raw");
  execFileSync("qemu-img", ["convert", "-O", "raw", golden, raw]);
  const { partitiontable } = JSON.parse(execFileSync("sfdisk", ["--json", raw], { encoding: "utf8" })) as {
    partitiontable: { partitions: { start: number; size: number }[] };
  };
  const [largest] = partitiontable.partitions.toSorted((a, b) => b.size - a.size);
  if (largest === undefined) throw new Error(`${golden} has no partition`);
  const fileSystem = `${raw}?offset=${largest.start * 512}`;
  const local = files.map((_, index) => join(folder, `file-${index}`));
  const commands = files.flatMap(({ path, content, mode }, index) => {
    const file = local[index] ?? "";
    writeFileSync(file, content);
    // debugfs gives the new file this mode; the umask has no say here.
    chmodSync(file, Number.parseInt(mode, 8));
    return [`rm ${path}`, `write ${file} ${path}`];
  });
  const wants = "/etc/systemd/system/multi-user.target.wants";
  for (const unit of enable) commands.push(`symlink ${wants}/${unit} /etc/systemd/system/${unit}`);
  const script = join(folder, "debugfs");
  writeFileSync(script, `${commands.join("\n")}\n`);
  execFileSync("debugfs", ["-w", "-f", script, fileSystem], { stdio: "pipe" });
  // It ends with 0 whatever came of its commands.
  for (const { path, content } of files) {
    const laid = execFileSync("debugfs", ["-R", `cat ${path}`, fileSystem], { encoding: "utf8", stdio: "pipe" });
    if (laid !== content) throw new Error(`${path} was not laid into ${image}`);
  }
  execFileSync("qemu-img", ["convert", "-O", "qcow2", raw, image]);
  rmSync(raw);
};
