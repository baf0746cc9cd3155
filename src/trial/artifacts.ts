/** A trial's artifacts: Debian packages and Go modules, put into the layouts that the official releases have. */
import { createHash } from "node:crypto";
import { chmod, copyFile, cp, mkdir, rename, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type Architecture, goArchitecture } from "../artifact.ts";
import { makeFolder } from "../host/make-folder.ts";
import { BakeError } from "../errors.ts";
import type { Host } from "../host/host.ts";
import { imageReferenceOf } from "../formats/image-reference.ts";
import { sha256File } from "../store/store.ts";
import { buildGoTools } from "../toolchain/ensure.ts";
import { toolDigest } from "../toolchain/go.ts";
import { type DebianPackage, downloadPackages, suite, unpack } from "./debian.ts";
import { type PackedImage, packImage, reproducible, normalizeModes } from "./docker-archive.ts";
import { trialCache } from "./cache.ts";
import { trialModels } from "./models.ts";
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
];

/**
 * The libraries of Debian's Docker besides libc: runc's libseccomp.so.2, and dockerd's libsystemd.so.0, which brings libcap.
 * A minbase of trixie has both because its apt needs them. The base names them so that it does not depend on that.
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
const recipeVersion = 5;

const install = async (from: string, to: string): Promise<void> => {
  await makeFolder(join(to, ".."));
  await copyFile(from, to);
  await chmod(to, 0o755);
};

const packArchive = async (host: Host, folder: string, entries: readonly string[], target: string): Promise<string> => {
  await normalizeModes(folder);
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
  await makeFolder(join(root, "etc"));
  await writeFile(join(root, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n");
  await writeFile(join(root, "etc/group"), "root:x:0:\n");
};

/** Where Debian's libraries are, and what loads them: the path in the package, and the one that programs name. */
const debianLibraries: Readonly<Record<Architecture, { readonly folder: string; readonly loader: [string, string] }>> =
  {
    x86_64: {
      folder: "usr/lib/x86_64-linux-gnu",
      loader: ["usr/lib64/ld-linux-x86-64.so.2", "lib64/ld-linux-x86-64.so.2"],
    },
    aarch64: {
      folder: "usr/lib/aarch64-linux-gnu",
      loader: ["usr/lib/ld-linux-aarch64.so.1", "lib/ld-linux-aarch64.so.1"],
    },
  };

/** Debian's runc is dynamic: its libraries come along. */
const runcLibraries = (architecture: Architecture): string[] =>
  ["libseccomp.so.2", "libc.so.6"].map((name) => `${debianLibraries[architecture].folder}/${name}`);

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

const sha256Of = async (file: string): Promise<string> => (await sha256File(file)).sha256;

/** Puts files into `source` where the release hosts and registries have them. */
const layOut = (source: string) => {
  const put = async (path: string, file: string): Promise<string> => {
    const target = join(source, path);
    await makeFolder(dirname(target));
    await rename(file, target).catch(() => copyFile(file, target));
    return target;
  };
  const write = async (path: string, text: string | Buffer): Promise<void> => {
    await makeFolder(dirname(join(source, path)));
    await writeFile(join(source, path), text);
  };
  return { put, write };
};

/**
 * Makes everything that a trial fetches. Downloads Debian packages and builds Go modules.
 * @param architecture Of the nodes that they are for.
 * @param source An empty folder, which `serveSource` serves afterwards.
 * @param folder Where it works; the caller's to remove.
 * @throws BakeError BK305 without a Debian mirror, BK309 when it has other versions, and what `buildGoTools` throws.
 */
export const assembleSource = async (
  host: Host,
  architecture: Architecture,
  source: string,
  folder: string,
): Promise<void> => {
  const { progress } = host;
  const forGo = goArchitecture[architecture];
  const tools = await buildGoTools(host, goTools, architecture);
  const tree = await progress.step("trial:packages", `download ${packages.length} Debian packages`, async () => {
    const downloaded = await downloadPackages(host, packages, folder, architecture);
    requireVersions(downloaded);
    return unpack(host, downloaded, folder);
  });
  const { put, write } = layOut(source);
  const { docker: dockerVersion, buildx, agent: agentVersion, goss, buildkitImage, smallImage } = trialVersions;
  return progress.step("trial:assemble", "assemble artifacts in their official layouts", async (update) => {
    const addImage = async (reference: string, image: PackedImage): Promise<void> => {
      update(reference);
      const { repository, tag } = imageReferenceOf(reference);
      for (const name of [tag, image.manifest.digest])
        await write(`v2/${repository}/manifests/${name}`, image.manifest.text);
      await write(`v2/${repository}/blobs/${image.config.digest}`, image.config.text);
      await put(`v2/${repository}/blobs/${image.layer.digest}`, image.layer.file);
    };
    const work = async (name: string): Promise<string> => {
      const path = join(folder, name);
      await makeFolder(path);
      return path;
    };

    const docker = await work("docker-archive");
    for (const [name, from] of Object.entries(dockerFiles))
      await install(join(tree, from), join(docker, "docker", name));
    update("docker");
    await put(
      `docker/${architecture}/docker-${dockerVersion}.tgz`,
      await packArchive(host, docker, ["docker"], join(folder, "docker.tgz")),
    );
    update("buildx");
    const buildxName = `buildx-v${buildx}.linux-${forGo}`;
    const plugin = await put(
      `buildx/v${buildx}/${buildxName}`,
      join(tree, "usr/libexec/docker/cli-plugins/docker-buildx"),
    );
    await write(`buildx/v${buildx}/checksums.txt`, `${await sha256Of(plugin)} *${buildxName}\n`);

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
    update("buildkite-agent");
    const agentName = `buildkite-agent-linux-${forGo}-${agentVersion}.tar.gz`;
    const agentArchive = await put(
      `agent/v${agentVersion}/${agentName}`,
      await packArchive(
        host,
        agent,
        ["bootstrap.sh", "buildkite-agent", "buildkite-agent.cfg", "hooks"],
        join(folder, "agent.tgz"),
      ),
    );
    await write(
      `agent/v${agentVersion}/buildkite-agent-${agentVersion}.SHA256SUMS`,
      `${await sha256Of(agentArchive)}  ${agentName}\n`,
    );
    update("goss");
    const gossName = `goss-linux-${forGo}`;
    await copyFile(tools.goss, join(folder, gossName));
    const gossFile = await put(`goss/v${goss}/${gossName}`, join(folder, gossName));
    await write(`goss/v${goss}/${gossName}.sha256`, `${await sha256Of(gossFile)}  ${gossName}\n`);

    const environment = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"];
    const buildkit = await work("buildkit-root");
    await busyboxTree(tree, buildkit);
    await install(tools.buildkitd, join(buildkit, "usr/bin/buildkitd"));
    await install(tools.buildctl, join(buildkit, "usr/bin/buildctl"));
    await install(join(tree, "usr/sbin/runc"), join(buildkit, "usr/bin/buildkit-runc"));
    for (const library of runcLibraries(architecture))
      await cp(join(tree, library), join(buildkit, library), { dereference: true });
    const [loader, named] = debianLibraries[architecture].loader;
    await cp(join(tree, loader), join(buildkit, named), { dereference: true });
    await addImage(
      buildkitImage,
      await packImage(host, {
        tree: buildkit,
        folder,
        architecture,
        config: { Entrypoint: ["buildkitd"], Env: environment },
      }),
    );

    for (const file of trialModels()) await write(file.path, file.text);
    for (const file of trialCache()) await write(file.path, file.content);
    const small = await work("small-root");
    await busyboxTree(tree, small);
    await addImage(
      smallImage,
      await packImage(host, { tree: small, folder, architecture, config: { Cmd: ["sh"], Env: environment } }),
    );
  });
};

/**
 * Names what `assembleSource` would make: the same key, the same bytes. Reads the Go modules' files.
 * @returns a sha256.
 */
export const sourceKey = async (architecture: Architecture): Promise<string> => {
  const digests = await Promise.all(goTools.map((tool) => toolDigest(tool)));
  return createHash("sha256")
    .update(
      JSON.stringify({
        recipeVersion,
        suite,
        packages,
        trialVersions,
        digests,
        ...(architecture !== "x86_64" && { architecture }),
      }),
    )
    .digest("hex");
};
