/**
 * Compares what two revisions render: node test/same-bytes.mjs [--all] REV [REV2]
 *
 * REV2 is the working tree when it is left out. Every profile that bakes, and every profile of test/golden/, is rendered by
 * both through `bake render`, without a lock and with a made-up one. Both get the same profiles and locks, those of the
 * working tree. Exits with 1 when a file that reaches an image, or a bake id, differs. Files beside the image are told and do
 * not count; with --all they do. plan.json never counts.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const workingTree = "the working tree";

const options = process.argv.slice(2);
const all = options.includes("--all");
const [before, after = workingTree, ...more] = options.filter((option) => option !== "--all");
if (before === undefined || before.startsWith("-") || after.startsWith("-") || more.length > 0) {
  process.stderr.write("usage: node test/same-bytes.mjs [--all] REV [REV2]\n");
  process.exit(2);
}

const scratch = mkdtempSync(join(tmpdir(), "bake-same-bytes-"));
process.on("exit", () => rmSync(scratch, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(130));

const git = (...args) =>
  execFileSync("git", ["-C", root, ...args], { encoding: "buffer", maxBuffer: 1 << 30, stdio: ["ignore", "pipe", 2] });

/** Lays a revision into a folder of its own. Nothing is registered in the repository, so nothing is left there. */
const layRevision = (revision, folder) => {
  mkdirSync(folder);
  if (revision !== workingTree) {
    const archive = git("archive", "--format=tar", revision);
    execFileSync("tar", ["-xf", "-", "-C", folder], { input: archive });
  } else {
    const listed = git("ls-files", "-z", "--cached", "--others", "--exclude-standard").toString().split("\0");
    for (const path of new Set(listed)) {
      // A file that was deleted stays in the index until that is staged.
      if (path === "" || lstatSync(join(root, path), { throwIfNoEntry: false })?.isFile() !== true) continue;
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      copyFileSync(join(root, path), join(folder, path));
    }
  }
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
};

const bundle = (folder) => execFileSync(process.execPath, ["build.mjs"], { cwd: folder, stdio: ["ignore", 2, 2] });

/** Files below a folder, sorted. */
const filesBelow = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(folder.length + 1))
    .toSorted();

/** Whether a file of out/<profile>/ reaches an image. */
const inImage = (path) => /^(?:node|provision|packer)\//.test(path) || path === "user-data/build.yaml";

/** Renders with the CLI of a revision, in a folder that holds nothing but copies of the profiles. */
const render = (cli, profiles, profile) => {
  const folder = mkdtempSync(join(scratch, "run-"));
  for (const path of filesBelow(profiles)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    copyFileSync(join(profiles, path), join(folder, path));
  }
  const { status, stdout, stderr } = spawnSync(process.execPath, [cli, "render", "--profile", `./${profile}`], {
    cwd: folder,
    encoding: "utf8",
  });
  const digests = new Map();
  const out = join(folder, "out");
  for (const path of existsSync(out) ? filesBelow(out) : []) {
    digests.set(
      path,
      createHash("sha256")
        .update(readFileSync(join(out, path)))
        .digest("hex"),
    );
  }
  rmSync(folder, { recursive: true, force: true });
  return { status, stderr, digests, ids: [...stdout.matchAll(/^bake id (\S+)$/gm)].map(([, id]) => id) };
};

const folders = { before: join(scratch, "before"), after: join(scratch, "after"), here: join(scratch, "here") };
layRevision(before, folders.before);
layRevision(after, folders.after);
layRevision(workingTree, folders.here);
bundle(folders.before);
bundle(folders.after);

// The profiles, and beside each of them site.yaml, the same profile again, with a lock.
const profiles = join(scratch, "profiles");
const profilePaths = [
  ...readdirSync(join(root, "profiles")).map((name) => `profiles/${name}`),
  ...readdirSync(join(root, "test/golden")).map((name) => `test/golden/${name}/profile.yaml`),
].filter((path) => path.endsWith(".yaml") && existsSync(join(root, path)));
for (const path of profilePaths) {
  mkdirSync(dirname(join(profiles, path)), { recursive: true });
  copyFileSync(join(root, path), join(profiles, path));
}
// Locks are written by the code that the tests lay them with. A bundle finds bake's own files from dist/.
const { build } = await import(pathToFileURL(join(root, "node_modules/esbuild/lib/main.js")).href);
const layLock = join(folders.here, "dist/lay-lock.mjs");
await build({
  entryPoints: [join(folders.here, "test/locked-profile.ts")],
  outfile: layLock,
  bundle: true,
  platform: "node",
  format: "esm",
  packages: "external",
  logLevel: "warning",
});
const { layLockedProfile } = await import(pathToFileURL(layLock).href);
// A lock names files of this machine as the profile's path leads to them: by the same path as in a run.
process.chdir(profiles);

/** What is rendered: a name for people, the profile's path, and whether it has a lock. */
const cases = profilePaths.flatMap((path) => {
  const name = basename(path) === "profile.yaml" ? basename(dirname(path)) : basename(path, ".yaml");
  const unlocked = { name, path, kind: "no lock" };
  // What others extend bakes nothing by itself: it has no requirements to lock.
  if (spawnSync(process.execPath, [cliOf(folders.after), "validate", "--profile", `./${path}`]).status !== 0) return [];
  const copy = join("locked", name);
  for (const other of profilePaths) {
    mkdirSync(dirname(join(copy, other)), { recursive: true });
    copyFileSync(join(root, other), join(copy, other));
  }
  layLockedProfile(join(copy, dirname(path)), readFileSync(path, "utf8"));
  return [unlocked, { name, path: join(copy, dirname(path), "site.yaml"), kind: "locked" }];
});

function cliOf(folder) {
  return join(folder, "bin/cli.cjs");
}

process.stdout.write(`${before} and ${after}${all ? ", files beside the image too" : ""}\n`);
let failed = false;
for (const { name, path, kind } of cases) {
  const sides = [folders.before, folders.after].map((folder) => render(cliOf(folder), profiles, path));
  const [old, fresh] = sides;
  const complaint = sides.map(({ status, stderr }, side) =>
    status === 0 ? "" : `  ${side === 0 ? before : after} does not render it:\n${stderr.replace(/^/gm, "    ")}\n`,
  );
  const paths = [...new Set([...old.digests.keys(), ...fresh.digests.keys()])].toSorted((a, b) => (a < b ? -1 : 1));
  const different = paths.filter((each) => old.digests.get(each) !== fresh.digests.get(each));
  const within = (each) => each.slice(each.indexOf("/") + 1);
  const reaching = different.filter((each) => inImage(within(each)));
  const beside = different.filter((each) => !inImage(within(each)));
  const counted = all ? beside.filter((each) => within(each) !== "plan.json") : [];
  const ids = old.ids.join(" ") === fresh.ids.join(" ");
  const bad =
    complaint.some((text) => text !== "") || paths.length === 0 || reaching.length > 0 || counted.length > 0 || !ids;
  failed ||= bad;
  const count = paths.filter((each) => inImage(within(each))).length;
  process.stdout.write(
    `${name}, ${kind}: ${count} files, ${bad ? "NOT THE SAME" : "the same"}` +
      `${ids && fresh.ids.length > 0 ? `, bake id ${fresh.ids.join(" and ")}` : ""}\n`,
  );
  for (const text of complaint) process.stdout.write(text);
  if (!ids) process.stdout.write(`  bake id ${old.ids.join(" and ")} became ${fresh.ids.join(" and ")}\n`);
  const how = (each) => (!old.digests.has(each) ? "new" : fresh.digests.has(each) ? "differs" : "gone");
  for (const each of reaching) process.stdout.write(`  ${how(each)}: ${each}\n`);
  if (beside.length > 0) {
    process.stdout.write(`  beside the image: ${beside.map((each) => `${within(each)} (${how(each)})`).join(", ")}\n`);
  }
}
process.exitCode = failed || cases.length === 0 ? 1 : 0;
