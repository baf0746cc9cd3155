/** A trial's artifacts: Debian packages and Go modules, put into the layouts that the official releases have. */
import { createHash } from "node:crypto";
import { chmod, copyFile, cp, mkdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { BakeError } from "../errors.ts";
import type { Host } from "../host.ts";
import { type Artifact, type Blob, filesOf, Lock, type Release } from "../lock/lock.ts";
import { sha256File, type Store } from "../store/store.ts";
import { buildGoTools, toolDigest } from "../toolchain/tools.ts";
import { type DebianPackage, downloadPackages, suite, unpack } from "./debian.ts";
import { type PackedImage, packImage, reproducible, settleModes } from "./docker-archive.ts";
import { trialVersions } from "./substitutions.ts";

const packages = [
  "docker.io",
  "docker-cli",
  "containerd",
  "runc",
  "tini",
  "docker-buildx",
  "busybox-static",
  "libseccomp2",
  "libc6",
]; // prettier-ignore

/**
 * The libraries of Debian's Docker besides libc: runc's libseccomp.so.2, dockerd's libsystemd.so.0 (which brings libcap).
 * A minbase of trixie has both because its apt needs them; the base names them so that it does not depend on that.
 */
export const dockerLibraryPackages: readonly string[] = ["libseccomp2", "libsystemd0"];

/** Where Debian keeps what Docker's archive has in one folder. */
const dockerFiles: Readonly<Record<string, string>> = {
  containerd: "usr/bin/containerd",
  "containerd-shim-runc-v2": "usr/bin/containerd-shim-runc-v2",
  ctr: "usr/bin/ctr",
  docker: "usr/bin/docker",
  "docker-init": "usr/bin/tini-static",
  "docker-proxy": "usr/sbin/docker-proxy",
  dockerd: "usr/sbin/dockerd",
  runc: "usr/sbin/runc",
};

const goTools = ["buildkite-agent", "buildkit", "goss"] as const;

/** Part of the key of what was assembled: raise it when this file changes what comes out. */
const recipeVersion = 3;

/** Where a lock of a trial says that its artifacts come from: no such host exists. */
const trialSource = "http://trial.bake.invalid";

const install = async (from: string, to: string): Promise<void> => {
  await mkdir(join(to, ".."), { recursive: true });
  await copyFile(from, to);
  await chmod(to, 0o755);
};

const packArchive = async (host: Host, folder: string, entries: readonly string[], target: string): Promise<string> => {
  await settleModes(folder);
  await host.run("tar", [
    ...reproducible,
    "-C",
    folder,
    "--use-compress-program=gzip -n -6",
    "-cf",
    target,
    ...entries,
  ]);
  return target;
};

/** Applets that scripts in a container expect. */
const applets = [
  "sh",
  "cat",
  "echo",
  "ls",
  "mkdir",
  "mount",
  "umount",
  "uname",
  "sleep",
  "true",
  "env",
  "id",
  "cp",
  "rm",
  "ps",
];

const busyboxTree = async (tree: string, root: string): Promise<void> => {
  await install(join(tree, "usr/bin/busybox"), join(root, "bin/busybox"));
  for (const applet of applets) await symlink("busybox", join(root, "bin", applet));
  await mkdir(join(root, "tmp"));
  // mkdir's mode would lose bits to the umask.
  await chmod(join(root, "tmp"), 0o1777);
  await mkdir(join(root, "etc"), { recursive: true });
  await writeFile(join(root, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n");
  await writeFile(join(root, "etc/group"), "root:x:0:\n");
};

/** Debian's runc is dynamic: its libraries come along. */
const runcLibraries = ["libseccomp.so.2", "libc.so.6"].map((name) => `usr/lib/x86_64-linux-gnu/${name}`);

/** @throws BakeError BK309 when Debian has moved on to another release of Docker or buildx than the trial's lock names. */
const requireVersions = (found: readonly DebianPackage[]): void => {
  for (const [name, wanted] of [
    ["docker.io", trialVersions.docker],
    ["docker-buildx", trialVersions.buildx],
  ] as const) {
    const version = found.find((entry) => entry.name === name)?.version;
    if (version !== undefined && /^[\d.]+\d/.exec(version)?.[0] === wanted) continue;
    throw new BakeError(
      "BK309",
      `Debian ${suite} has ${name} ${version ?? "no more"}; the trial is made for ${wanted}`,
      `Set BAKE_DEBIAN_MIRROR to a mirror that has ${wanted}, or take a newer bake.`,
    );
  }
};

const assemble = async (host: Host, store: Store, folder: string): Promise<Artifact[]> => {
  const { progress } = host;
  const tools = await buildGoTools(host, goTools);
  const tree = await progress.step("trial:packages", `download ${packages.length} Debian packages`, async () => {
    const downloaded = await downloadPackages(host, packages, folder);
    requireVersions(downloaded);
    return unpack(host, downloaded, folder);
  });
  return progress.step("trial:assemble", "assemble artifacts in their official layouts", async (update) => {
    const artifacts: Artifact[] = [];
    // What the store has is not written again: a stored file that was changed stays, to be refused by name.
    const keep = async (file: string): Promise<{ sha256: string; size: number }> => {
      const found = await sha256File(file);
      if (!(await store.has(found.sha256))) await store.add(file);
      return found;
    };
    const architecture = "x86_64";
    const add = async (entry: Pick<Release, "kind" | "name" | "version">, file: string): Promise<void> => {
      update(entry.name);
      const { name, version } = entry;
      const url = `${trialSource}/${name}/${version}`;
      artifacts.push({ ...entry, architecture, asked: version, url, trust: "first-use", ...(await keep(file)) });
    };
    const addImage = async (name: string, image: PackedImage): Promise<void> => {
      update(name);
      const version = name.slice(name.lastIndexOf(":") + 1);
      for (const { text } of [image.manifest, image.config]) {
        const file = join(folder, "blob");
        await writeFile(file, text);
        await keep(file);
      }
      await keep(image.layer.file);
      const blob = ({ digest, size, mediaType }: Blob): Blob => ({ digest, size, mediaType });
      artifacts.push({
        kind: "container-image",
        name,
        architecture,
        version,
        asked: name,
        registry: "trial.bake.invalid",
        repository: name.slice(0, name.lastIndexOf(":")),
        tagDigest: image.manifest.digest,
        manifest: blob(image.manifest),
        config: blob(image.config),
        layers: [blob(image.layer)],
      });
    };
    const work = async (name: string): Promise<string> => {
      const path = join(folder, name);
      await mkdir(path, { recursive: true });
      return path;
    };

    const docker = await work("docker-archive");
    for (const [name, from] of Object.entries(dockerFiles))
      await install(join(tree, from), join(docker, "docker", name));
    await add(
      {
        kind: "docker-static",
        name: "docker",
        version: trialVersions.docker,
      },
      await packArchive(host, docker, ["docker"], join(folder, "docker.tgz")),
    );
    await add(
      { kind: "buildx", name: "buildx", version: trialVersions.buildx },
      join(tree, "usr/libexec/docker/cli-plugins/docker-buildx"),
    );

    const agent = await work("agent-archive");
    await install(tools["buildkite-agent"], join(agent, "buildkite-agent"));
    await writeFile(join(agent, "buildkite-agent.cfg"), "# Replaced by the node's own.\n");
    await writeFile(join(agent, "bootstrap.sh"), "#!/bin/sh\nexec buildkite-agent bootstrap\n", { mode: 0o755 });
    await mkdir(join(agent, "hooks"));
    for (const hook of ["environment", "pre-command", "pre-exit"]) {
      await writeFile(
        join(agent, "hooks", `${hook}.sample`),
        "#!/bin/bash\n# A sample; remove the ending to use it.\n",
      );
    }
    await add(
      {
        kind: "buildkite-agent",
        name: "buildkite-agent",
        version: trialVersions.agent,
      },
      await packArchive(
        host,
        agent,
        ["bootstrap.sh", "buildkite-agent", "buildkite-agent.cfg", "hooks"],
        join(folder, "agent.tgz"),
      ),
    );
    await add({ kind: "goss", name: "goss", version: trialVersions.goss }, tools.goss);

    const environment = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"];
    const buildkit = await work("buildkit-root");
    await busyboxTree(tree, buildkit);
    await install(tools.buildkitd, join(buildkit, "usr/bin/buildkitd"));
    await install(tools.buildctl, join(buildkit, "usr/bin/buildctl"));
    await install(join(tree, "usr/sbin/runc"), join(buildkit, "usr/bin/buildkit-runc"));
    for (const library of runcLibraries) await cp(join(tree, library), join(buildkit, library), { dereference: true });
    await cp(join(tree, "usr/lib64/ld-linux-x86-64.so.2"), join(buildkit, "lib64/ld-linux-x86-64.so.2"), {
      dereference: true,
    });
    await addImage(
      trialVersions.buildkitImage,
      await packImage(host, { tree: buildkit, folder, config: { Entrypoint: ["buildkitd"], Env: environment } }),
    );

    const small = await work("small-root");
    await busyboxTree(tree, small);
    await addImage(
      trialVersions.smallImage,
      await packImage(host, { tree: small, folder, config: { Cmd: ["sh"], Env: environment } }),
    );
    return artifacts;
  });
};

/** What an earlier run assembled; undefined when there is none or its record cannot be read. */
const readRecord = async (path: string): Promise<Artifact[] | undefined> => {
  try {
    return Lock.shape.artifacts.parse(JSON.parse(await readFile(path, "utf8")));
  } catch {
    return undefined;
  }
};

/**
 * The artifacts of every trial, from the store when they were assembled before: then neither network nor work is needed.
 * A stored file that was changed since is left as it is: `bake image` compares and refuses it.
 * @throws BakeError BK305 without a Debian mirror, BK309 when it has other versions, and what `ensureTools` throws.
 */
export const assembleTrialArtifacts = async (host: Host, store: Store): Promise<Artifact[]> => {
  const digests = await Promise.all(goTools.map((tool) => toolDigest(tool)));
  const key = createHash("sha256")
    .update(JSON.stringify({ recipeVersion, suite, packages, trialVersions, digests }))
    .digest("hex");
  const record = join(host.cacheDir, "trial", `artifacts-${key}.json`);
  const known = await readRecord(record);
  if (known !== undefined) {
    const there = await Promise.all(known.flatMap(filesOf).map(({ sha256 }) => store.has(sha256)));
    if (there.every(Boolean)) return known;
  }
  const folder = join(host.cacheDir, "trial", `work-${process.pid}`);
  try {
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    const artifacts = await assemble(host, store, folder);
    await writeFile(`${record}.new`, JSON.stringify(artifacts, null, 2));
    await rename(`${record}.new`, record);
    return artifacts;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};
