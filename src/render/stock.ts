/** How a host with a stock image becomes the node: the node's files as one archive, and user-data that fetch it. Pure. */
import { createHash } from "node:crypto";
import { toTar } from "../formats/tar.ts";
import type { Instance } from "../node/concern.ts";
import type { NodePlan } from "../plan/node-plan.ts";
import { renderTemplate, template, type Templates } from "./templates.ts";
import { filesTsv, type Rendered } from "./tree.ts";
import { stockRetry, stockUserData } from "./user-data.ts";

/**
 * What a bake uploads to the VM it builds in, as one archive: a stock image fetches it from a mirror. All but the datasource: a
 * stock image has just found its own.
 */
export const nodeArchive = ({ files, nodeFiles }: Pick<Rendered, "files" | "nodeFiles">): Buffer => {
  const laid = nodeFiles.filter(({ bakeOnly }) => !bakeOnly);
  const left = new Set(nodeFiles.filter(({ bakeOnly }) => bakeOnly).map(({ path }) => `node${path}`));
  return toTar(
    files
      .filter(({ path }) => path.startsWith("node/") || path.startsWith("provision/"))
      .filter(({ path }) => !left.has(path))
      .map(({ path, content, encoding }) => ({
        ...(encoding !== undefined && { encoding }),
        path: path.replace(/^provision\//, ""),
        content: path === "provision/files.tsv" ? filesTsv(laid) : content,
      })),
  );
};

/** Names that `stockInstanceUserData` looks up in Templates. */
export const stockTemplateNames = [
  "templates/cloud-init/stock.yaml.hbs",
  "templates/systemd/bake-stock.service.hbs",
  "templates/node/bake-stock",
] as const;

/** User-data that makes a host with a stock image the node of `rendered`, from a mirror that holds its archive and its artifacts. */
export const stockInstanceUserData = (
  plan: NodePlan,
  templates: Templates,
  instance: Instance,
  { mirror, rendered }: { readonly mirror: string; readonly rendered: Pick<Rendered, "files" | "nodeFiles"> },
): string => {
  const [cloudInit, unit, script] = stockTemplateNames;
  const { header } = plan;
  return stockUserData(plan, instance, template(templates, cloudInit), {
    mirror: mirror.replace(/\/+$/, ""),
    nodeFiles: createHash("sha256").update(nodeArchive(rendered)).digest("hex"),
    script: template(templates, script),
    unit: renderTemplate("bake-stock.service", template(templates, unit), { header, retrySeconds: `${stockRetry}s` }),
  });
};
