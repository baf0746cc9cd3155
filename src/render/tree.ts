/** NodePlan → every file under out/<profile>/, as a value. Same plan, same bytes. */
import { tsv } from "../formats/lines.ts";
import { toYaml } from "../formats/yaml.ts";
import { checkLevels } from "../node/check.ts";
import { type Instance, kernelSettingsFile, type NodeFile, type StageName } from "../node/concern.ts";
import type { NodePlan } from "../plan/node-plan.ts";
import { inOrder } from "../plan/order.ts";
import { targetOf } from "../targets/index.ts";
import { allowlist } from "./allowlist.ts";
import { bakeIdOf, type Identified } from "./bake-id.ts";
import { gossFile } from "./goss.ts";
import { nodePage } from "./node-page.ts";
import { sbom } from "./sbom.ts";
import { type Stage, type StagePart, stagesOf } from "./stages.ts";
import { startedElsewhere } from "./unit-programs.ts";
import { renderTemplate, template, type Templates } from "./templates.ts";
import { buildUserData, goldenUserData } from "./user-data.ts";

export interface RenderedFile {
  /** Below out/<profile>/, with `/`. */
  readonly path: string;
  readonly content: string;
  /** What makes bytes of it, where they are no text. */
  readonly encoding?: "latin1";
}

/** A file of the node, with its bake id in place. */
interface RenderedNodeFile extends RenderedFile {
  /** On the node. */
  readonly path: string;
  readonly mode: string;
  readonly stage: StageName;
  /** Not laid on a host with a stock image. */
  readonly bakeOnly: boolean;
}

export interface Rendered {
  /** Sorted by path. */
  readonly files: readonly RenderedFile[];
  /** Those of the node, in the order in which they are laid. */
  readonly nodeFiles: readonly RenderedNodeFile[];
  /** What needs the lock and is not there without one. */
  readonly leftOut: readonly string[];
  /** Absent without a lock. */
  readonly bakeId?: string;
  /** Absent without a lock, and where no layers are kept. */
  readonly stages?: readonly Stage[];
}

const unitTemplate = (name: string): string => `templates/systemd/${name}.hbs`;
const scriptTemplate = (name: string): string => `templates/node/${name}`;
const packerTemplate = (plan: NodePlan): string => `packer/${targetOf(plan.target).template}`;

/** Read by whoever provisions, from the same folder. */
const provisionScripts = [
  "provision.sh",
  "stages.sh",
  "base-leftovers.sh",
  "daemon-json.py",
  "seed.sh",
  "hygiene.sh",
] as const;

const buildUserDataPath = "user-data/build.yaml";

/** The stage that reads what no concern wrote, below provision/ and beside it; the last one has no need of a list. */
const readBy: Readonly<Record<string, StageName>> = {
  [buildUserDataPath]: "base",
  "provision/provision.sh": "base",
  "provision/stages.sh": "base",
  "provision/packages.tsv": "base",
  "provision/base-leftovers.sh": "runtime",
  "provision/daemon-json.py": "runtime",
  // The seed has those that lie on the data disk.
  "provision/directories.tsv": "payload",
  "provision/seed.sh": "payload",
};

const cloudInit = {
  golden: "templates/cloud-init/golden.yaml.hbs",
  build: "templates/cloud-init/build.yaml.hbs",
} as const;

/** Names that `renderTree` looks up in Templates. */
export const templateNames = (plan: NodePlan): string[] => [
  `${packerTemplate(plan)}.hbs`,
  ...Object.values(cloudInit),
  ...plan.units.map(({ name }) => unitTemplate(name)),
  ...[...plan.scripts.map(({ name }) => name), ...provisionScripts].map(scriptTemplate),
];

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

/** What follows from the whole plan: no concern writes these. */
const generalFiles = ({ header, kernelSettings, units, checks }: NodePlan): NodeFile[] => [
  {
    path: kernelSettingsFile,
    content: `# ${header}\n${kernelSettings.map(({ name, value }) => `${name} = ${value}\n`).join("")}`,
    order: 20,
  },
  { path: "/opt/bake/units.txt", content: `${units.map(({ name }) => name).join("\n")}\n`, order: 160 },
  ...[
    ...checkLevels.map((level): [string, string] => [
      `${level}.yaml`,
      gossFile(checks.filter((check) => check.level === level)),
    ]),
    // What can change at any moment.
    ["live.yaml", gossFile(checks.filter(({ level, live }) => level === "gating" && live))] as const,
    [
      "checks.tsv",
      tsv(
        checks.map(({ id, level, rows, title, help, repair }) => [
          id,
          level,
          rows.join(" "),
          title,
          help ?? "-",
          repair ?? "-",
        ]),
      ),
    ] as const,
    ["goss.yaml", toYaml({ gossfile: Object.fromEntries(checkLevels.map((level) => [`${level}.yaml`, {}])) })] as const,
  ].map(([name, content]): NodeFile => ({ path: `/opt/bake/checks/${name}`, content, order: 170 })),
];

/**
 * A unit of the node. SELinux, which openEuler enforces, lets systemd start no program from a place that others may write to.
 * @throws RangeError when it names one.
 */
const unitOf = (plan: NodePlan, templates: Templates, { name, values, stage }: NodePlan["units"][number]): NodeFile => {
  const content = renderTemplate(name, template(templates, unitTemplate(name)), { header: plan.header, ...values });
  const [wrong] = startedElsewhere(content);
  if (wrong !== undefined) throw new RangeError(`${name} starts ${wrong}: SELinux refuses systemd that place`);
  return { path: `/etc/systemd/system/${name}`, content, ...(stage !== undefined && { stage }) };
};

/** Units, scripts, then everything else: with `bakeId` undefined, all but what only a bake has. */
const nodeFilesOf = (plan: NodePlan, templates: Templates, hasBakeId: boolean): NodeFile[] => [
  ...plan.units.map((unit) => unitOf(plan, templates, unit)),
  ...plan.scripts.map(({ name, stage }) => ({
    path: `/opt/bake/bin/${name}`,
    content: template(templates, scriptTemplate(name)),
    mode: "0755",
    ...(stage !== undefined && { stage }),
  })),
  ...inOrder([...plan.files, ...generalFiles(plan)]).filter(({ ofBake }) => hasBakeId || ofBake !== true),
];

const packageRows = ({ packages }: NodePlan): string[][] =>
  (["remove", "install", "hold"] as const).flatMap((action) =>
    (["apt", "dnf"] as const).flatMap((family) =>
      packages.flatMap((each) => {
        const name = each[family];
        return each.action === action && name !== undefined ? [[action, family, name]] : [];
      }),
    ),
  );

/** Of what says nothing of its stage. */
const lastStage: StageName = "node";

/** Everything that the node is provisioned with, each file once, behind its stage. */
const artifactRows = ({ installs }: NodePlan): (readonly [StageName, ...string[]])[] => {
  const seen = new Set<string>();
  return installs
    .flatMap(({ rows, stage = lastStage }) => rows.map((row) => [stage, ...row] as const))
    .filter(([, kind, name, sha256, path]) => {
      // Images share blobs.
      const place = path === "-" ? `${kind} ${name}` : `${sha256} ${path}`;
      return seen.has(place) ? false : (seen.add(place), true);
    });
};

/** What the plan says, for people and programs. Checks, texts and secrets' files stand in files of their own. */
const planJson = (plan: NodePlan): string => {
  const { profile, trial, target, facts, units, scripts, directories, packages, kernelSettings } = plan;
  const { destinations, base, artifacts, lockDigest } = plan;
  return json({
    ...{ profile, trial, target, facts, units, scripts, directories, packages, kernelSettings, destinations },
    ...{ base, artifacts, lockDigest },
  });
};

/** Everything beside the node's files; `ofImage` says what the image is made by. */
const otherFiles = (plan: NodePlan, templates: Templates, node: readonly NodeFile[]): Identified[] => {
  const { header } = plan;
  const target = targetOf(plan.target);
  const instance: Instance = { authorizedKeys: [], environment: {} };
  const packer = packerTemplate(plan);
  const enabled = plan.units.filter(({ startedByOthers }) => startedByOthers !== true);
  const provision: [name: string, content: string][] = [
    ["files.tsv", filesTsv(node)],
    ["directories.tsv", tsv(plan.directories.map(({ path, mode }) => [mode ?? "0755", path]))],
    ["units.txt", `${enabled.map(({ name }) => name).join("\n")}\n`],
    ["packages.tsv", tsv(packageRows(plan))],
    ...plan.provision.map(({ name, content }): [string, string] => [name, content]),
    ...provisionScripts.map((name): [string, string] => [name, template(templates, scriptTemplate(name))]),
    ...(plan.artifacts === undefined ? [] : ([["artifacts.tsv", tsv(artifactRows(plan))]] as [string, string][])),
  ];
  return [
    ...provision.map(([name, content]) => ({ path: `provision/${name}`, content, ofImage: true })),
    {
      path: buildUserDataPath,
      content: buildUserData(header, template(templates, cloudInit.build), target.buildKeys),
      ofImage: true,
    },
    {
      path: packer,
      content: (bakeId) =>
        renderTemplate(packer, template(templates, `${packer}.hbs`), {
          header,
          ...target.templateValues(plan.target, plan, bakeId),
        }),
      ofImage: true,
    },
    // Attached later.
    { path: "user-data/golden.yaml", content: goldenUserData(plan, instance, template(templates, cloudInit.golden)) },
    { path: "plan.json", content: planJson(plan) },
    { path: "allowlist.md", content: allowlist(plan) },
    { path: "node.md", content: nodePage(plan) },
  ];
};

const defaultMode = "0644";

/** The list by which files are laid. Pure. */
export const filesTsv = (
  files: readonly (Pick<NodeFile, "mode" | "path"> & { readonly stage?: StageName })[],
): string => tsv(files.map(({ stage = lastStage, mode = defaultMode, path }) => [stage, mode, path]));

/** What the stages before the last one read. @throws Error when a bake id stands in it: it follows from what comes later. */
const stageParts = (
  plan: NodePlan,
  node: readonly NodeFile[],
  identified: readonly Identified[],
  origin: Readonly<Record<string, string>>,
): StagePart[] => {
  const own = new Map(plan.provision.map(({ name, stage }) => [`provision/${name}`, stage]));
  const plain = (path: string, content: NodeFile["content"]): string => {
    if (typeof content !== "string") throw new Error(`${path} has the bake id in it: only the last stage can lay it`);
    return content;
  };
  return [
    ...Object.entries(origin).map(([name, content]): StagePart => ({ stage: "base", name, content })),
    ...node.flatMap(({ path, content, encoding, stage, mode = defaultMode }): StagePart[] =>
      stage === undefined
        ? []
        : [
            {
              stage,
              name: `${mode} ${path}`,
              content: plain(path, content),
              ...(encoding !== undefined && { encoding }),
            },
          ],
    ),
    ...artifactRows(plan).map(
      ([stage, ...row]): StagePart => ({ stage, name: `artifact ${row.join(" ")}`, content: "" }),
    ),
    ...identified.flatMap(({ path, content }): StagePart[] => {
      const stage = readBy[path] ?? own.get(path);
      if (stage === undefined) return [];
      const text = plain(path, content);
      // Its head names the profile, and nobody in the VM reads that.
      return [{ stage, name: path, content: path === buildUserDataPath ? text.replaceAll(/^# .*\n/gm, "") : text }];
    }),
  ];
};

/**
 * Pure.
 * @throws RangeError when a value cannot be written in the format that it lands in; Error when a template was not loaded.
 */
export const renderTree = (plan: NodePlan, templates: Templates): Rendered => {
  const target = targetOf(plan.target);
  const identifiable = plan.artifacts !== undefined && (plan.base !== undefined || !target.needsBase);
  const node = nodeFilesOf(plan, templates, identifiable);
  const identified: Identified[] = [
    ...node.map(({ path, content, encoding }) => ({
      path: `node${path}`,
      content,
      ofImage: true,
      ...(encoding !== undefined && { encoding }),
    })),
    ...otherFiles(plan, templates, node),
  ].toSorted((a, b) => (a.path < b.path ? -1 : 1));
  const origin = {
    base: target.source(plan.target, plan.base),
    target: `${plan.target.name} ${plan.target.architecture}`,
  };
  const bakeId = identifiable ? bakeIdOf(identified, origin) : undefined;
  const disk = target.disk(plan.target);
  const finished = (content: NodeFile["content"]): string => (typeof content === "string" ? content : content(bakeId));
  const files = [
    ...identified.map(({ path, content, encoding }) => ({
      path,
      content: finished(content),
      ...(encoding !== undefined && { encoding }),
    })),
    ...(bakeId === undefined ? [] : [{ path: "sbom.cdx.json", content: sbom(plan, bakeId) }]),
  ].toSorted((a, b) => (a.path < b.path ? -1 : 1));
  const leftOut = inOrder([
    { what: "provision/artifacts.tsv", order: 10 },
    { what: "sbom.cdx.json", order: 50 },
    ...plan.needsLock,
  ]).map(({ what }) => what);
  return {
    files,
    nodeFiles: node.map(({ path, content, encoding, mode = defaultMode, stage = lastStage, bakeOnly = false }) => ({
      path,
      content: finished(content),
      ...(encoding !== undefined && { encoding }),
      mode,
      stage,
      bakeOnly,
    })),
    leftOut: bakeId === undefined ? leftOut : [],
    ...(bakeId !== undefined && { bakeId }),
    ...(bakeId !== undefined &&
      disk !== undefined && { stages: stagesOf(stageParts(plan, node, identified, { ...origin, disk }), bakeId) }),
  };
};

/** Golden user-data for one node: secrets are in it, so it never goes to out/. */
export const instanceUserData = (plan: NodePlan, templates: Templates, instance: Instance): string =>
  goldenUserData(plan, instance, template(templates, cloudInit.golden));
