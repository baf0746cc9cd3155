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
  const here = new Map(filesOf(local).map(({ path, content }) => [path, content]));
  return filesOf(other).filter(({ path, content }) => here.get(path) !== content);
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
  const commands = files.flatMap(({ path, content, mode }, index) => {
    const file = join(folder, `file-${index}`);
    writeFileSync(file, content);
    // Whatever the umask; debugfs takes the mode of the file that it reads.
    chmodSync(file, Number.parseInt(mode, 8));
    return [`rm ${path}`, `write ${file} ${path}`];
  });
  const wants = "/etc/systemd/system/multi-user.target.wants";
  for (const unit of enable) commands.push(`symlink ${wants}/${unit} /etc/systemd/system/${unit}`);
  const script = join(folder, "debugfs");
  writeFileSync(script, `${commands.join("\n")}\n`);
  execFileSync("debugfs", ["-w", "-f", script, `${raw}?offset=${largest.start * 512}`], { stdio: "pipe" });
  execFileSync("qemu-img", ["convert", "-O", "qcow2", raw, image]);
  rmSync(raw);
};
