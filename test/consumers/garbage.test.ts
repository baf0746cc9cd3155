/**
 * Garbage on the data disk of a node, with the node's own script: a real dockerd whose data lie on a small disk, and a real buildkitd
 * whose caches lie there, too.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { environmentFile } from "../../src/formats/lines.ts";
import { root } from "../../src/host/root.ts";
import { type Buildkitd, startBuildkitd } from "../buildkitd.ts";
import { type DockerDaemon, startDockerDaemon } from "../docker-daemon.ts";
import { needs, toolPath } from "../needs.ts";

const folder = mkdtempSync(join(tmpdir(), "bake-garbage-"));
const at = (path: string): string => join(folder, path);
const put = (path: string, text: string, mode = 0o644): void => {
  mkdirSync(dirname(at(path)), { recursive: true });
  writeFileSync(at(path), text, { mode });
};
/** The data disk; Docker's data-root is all of it. */
const disk = at("daemon/data");
const hour = 3600;

const settings = {
  GARBAGE_MOUNT: disk,
  GARBAGE_FOLDER: `${disk}/.bake/garbage`,
  GARBAGE_DATA_ROOT: disk,
  GARBAGE_CACHES: `${disk}/docker-cache1 ${disk}/docker-cache2`,
  GARBAGE_HIGH: "60",
  GARBAGE_LOW: "50",
  GARBAGE_MIN_FREE: "1000000",
  GARBAGE_MIN_AGE: String(2 * hour),
  GARBAGE_REMOVE_OTHERS: "false",
};
const limits = (changed: Partial<typeof settings> = {}): void =>
  put("etc/bake/garbage.env", environmentFile({ ...settings, ...changed }));

needs("root", "docker").describe("garbage", () => {
  let daemon: DockerDaemon;
  let space: ChildProcess | undefined;
  let inside: readonly string[] = [];

  const start = (): Promise<DockerDaemon> =>
    startDockerDaemon(at("daemon"), {
      args: ["--storage-driver=overlay2"],
      run: (command) => [...inside, ...command],
    });
  const env = () => ({
    ...process.env,
    PATH: `${at("bin")}:${toolPath("docker")}/usr/bin:${toolPath("docker")}/usr/sbin:${process.env["PATH"] ?? ""}`,
    DOCKER_HOST: `unix://${at("daemon/docker.sock")}`,
    HOME: folder,
  });
  const shell = (script: string): string => {
    const [file = "", ...words] = inside;
    const { status, stdout, stderr } = spawnSync(file, [...words, "bash", "--norc", "-euc", script], {
      encoding: "utf8",
      env: env(),
      timeout: 60_000,
    });
    expect(`${status} ${stderr}`, script).toBe("0 ");
    return stdout;
  };
  const collect = (...args: string[]): string =>
    shell(`${at("opt/bake/bin/bake-garbage")} ${args.join(" ")} 2>&1`).trimEnd();
  const imagesLeft = async (): Promise<string[]> =>
    (await daemon.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}")).split("\n").filter(Boolean).toSorted();

  /** An image that came so many hours ago. @returns its ID. */
  const image = async (name: string, hours: number, mib = 8): Promise<string> => {
    shell(`mkdir -p ${at("layer")}; head -c ${mib}M /dev/urandom >${at("layer/file")}
tar -C ${at("layer")} -cf ${at("layer.tar")} .`);
    const id = await daemon.docker("import", at("layer.tar"), ...(name === "" ? [] : [name]));
    aged(id, hours);
    return id;
  };
  const aged = (id: string, hours: number): void => {
    const hex = id.slice("sha256:".length);
    const when = Math.floor(Date.now() / 1000) - hours * hour;
    shell(`db=${disk}/image/overlay2/imagedb
touch -d @${when} $db/content/sha256/${hex}
[ ! -e $db/metadata/sha256/${hex}/lastUpdated ] || date -u -d @${when} +%Y-%m-%dT%H:%M:%S.%NZ | tr -d '\\n' >$db/metadata/sha256/${hex}/lastUpdated`);
  };
  const lock = (...rows: readonly (readonly [string, string])[]): void =>
    put("opt/bake/images.tsv", rows.map(([name, id]) => `${name}\t${id}\t/none\tnone\n`).join(""));

  beforeAll(async () => {
    const script = readFileSync(join(root, "templates/node/bake-garbage"), "utf8");
    put("opt/bake/bin/bake-garbage", script.replace(/\/(opt|run|etc)\/bake/g, `${folder}/$1/bake`), 0o755);
    put("etc/bake/images.env", `IMAGES_FOLDER="${disk}/.bake/images"\n`);
    put("etc/bake/builders.env", 'BUILDER_NAMES=""\nBUILDER_LOCAL_IMAGE="localhost:1/moby/buildkit:v1"\n');
    put("run/bake/status.json", '{\n"ready": true,\n"checkedAt": "2026-01-01T00:00:00Z",\n}\n');
    put(
      "bin/systemctl",
      `#!/bin/sh\n[ "$1" = is-active ] || cat ${at("unit-state")}\n[ "$(cat ${at("docker-state")})" = active ]\n`,
      0o755,
    );
    put("unit-state", "active\n");
    put("docker-state", "active\n");
    limits();
    mkdirSync(disk, { recursive: true });
    space = spawn(
      "unshare",
      [
        ...["--mount", "--kill-child", "bash", "--norc", "-euc"],
        `truncate -s 200M ${at("disk")}; mkfs.ext4 -qF -m 0 -J size=4 ${at("disk")}; mount -o loop ${at("disk")} ${disk}; echo up; exec sleep 3600`,
      ],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    if (space.stdout === null) throw new Error("no output");
    await once(space.stdout, "data");
    inside = ["nsenter", `--mount=/proc/${space.pid}/ns/mnt`];
    daemon = await start();
  }, 60_000);
  afterAll(async () => {
    await daemon?.stop();
    space?.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  }, 30_000);
  beforeEach(() => {
    limits();
    shell(`docker ps -aq | xargs -r docker rm -f >/dev/null; docker image ls -aq | sort -u | xargs -r docker image rm -f >/dev/null
rm -rf ${disk}/.bake ${disk}/fill ${disk}/docker-cache? ${at("run/bake")}/garbage*; mkdir -p ${disk}/.bake/images`);
    lock();
  });
  /** Bytes until the disk is so full. */
  const fill = (percent: number): string =>
    shell(`rm -f ${disk}/fill; read -r used free < <(df -B1 --output=used,avail ${disk} | tail -n 1)
more=$(((used + free) * ${percent} / 100 - used)); [ $more -le 0 ] || fallocate -l $more ${disk}/fill
df --output=pcent ${disk} | tail -n 1`);

  it("below its limits it asks nobody, and ends at once", async () => {
    await image("old:1", 1000);
    put("bin/docker", `#!/bin/sh\necho asked >>${at("asked")}\nexit 1\n`, 0o755);
    try {
      const begin = performance.now();
      expect(collect()).toBe("");
      // Bash and df; other tests run beside it.
      expect(performance.now() - begin).toBeLessThan(2000);
      expect(shell(`cat ${at("asked")} 2>/dev/null || true`)).toBe("");
    } finally {
      rmSync(at("bin/docker"));
    }
    expect(collect("status")).toMatch(/^\S+Z \d+ % used, [\d.]+MiB free: nothing to collect below 60 %$/);
    expect(await imagesLeft()).toEqual(["old:1"]);
  });

  it("takes what is longest unused until there is room, and never what is locked, in use or young", async () => {
    lock(["locked:1", await image("locked:1", 900)], ["moby/buildkit:v1", await image("moby/buildkit:v1", 900, 5)]);
    await daemon.docker("tag", "moby/buildkit:v1", "localhost:1/moby/buildkit:v1");
    await image("used:1", 800);
    await daemon.docker("create", "used:1", "x");
    await image("young:1", 1);
    await image("oldest:1", 700);
    await image("second:1", 600);
    await image("third:1", 500);
    await image("", 10);
    fill(61);
    const said = collect();
    // Without a name first, then by age: 11 % of 190 MiB are 21 MiB.
    expect(said.split("\n").map((line) => line.replace(/[\d.]+MiB/g, "N"))).toEqual([
      expect.stringMatching(/^bake-garbage: 6[12] % used, N free: collecting below 50 %$/),
      expect.stringMatching(/^bake-garbage: image sha256:[0-9a-f]{12}, N, not used for 10 h$/),
      "bake-garbage: image oldest:1, N, not used for 29 days",
      "bake-garbage: image second:1, N, not used for 25 days",
      expect.stringMatching(/^bake-garbage: N came free, 3 things removed: 4\d % used, N free$/),
    ]);
    expect(await imagesLeft()).toEqual([
      ...["localhost:1/moby/buildkit:v1", "locked:1", "moby/buildkit:v1", "third:1", "used:1", "young:1"],
    ]);
    expect(collect("status")).toMatch(
      /^\S+Z [\d.]+MiB came free, 3 .*\nlast collected: \S+Z [\d.]+MiB came free, 3 things removed: 4\d % used/,
    );
    // The next look finds room.
    expect(collect()).toBe("");
  }, 60_000);

  it("a name that a job gives to another image meanwhile is not taken", async () => {
    await image("oldest:1", 700);
    const before = await image("built:1", 600);
    fill(61);
    put(
      "bin/docker",
      `#!/bin/sh
if [ "$1 $2 $3" = "image rm oldest:1" ]; then head -c 1000 ${at("layer/file")} | tar -C ${at("layer")} -cf - . | ${toolPath("docker")}/usr/bin/docker import - built:1 >/dev/null; fi
exec ${toolPath("docker")}/usr/bin/docker "$@"
`,
      0o755,
    );
    try {
      limits({ GARBAGE_LOW: "1" });
      expect(collect()).toContain("image oldest:1, ");
    } finally {
      rmSync(at("bin/docker"));
    }
    const now = await daemon.docker("image", "inspect", "--format", "{{.Id}}", "built:1");
    expect(now).not.toBe(before);
    expect(await imagesLeft()).toContain("built:1");
  }, 60_000);

  it("nearly full: whatever may go goes, what the lock names stays under any name, and it says what stays", async () => {
    const locked = await image("locked:1", 900);
    const nameless = await image("", 900);
    lock(["locked:1", locked], ["lost-its-name:1", nameless], ["moved:1", `sha256:${"0".repeat(64)}`]);
    // A job gave the lock's name to another image, and another name to the lock's.
    await image("moved:1", 900);
    await daemon.docker("tag", "locked:1", "other:1");
    aged(locked, 900);
    await image("used:1", 900);
    await daemon.docker("create", "used:1", "x");
    await image("two:1", 900);
    await daemon.docker("tag", "two:1", "two:2");
    await image("two-other:1", 900);
    aged(await daemon.docker("image", "inspect", "--format", "{{.Id}}", "two:1"), 900);
    fill(99);
    const said = collect();
    expect(await imagesLeft()).toEqual(["<none>:<none>", "locked:1", "moved:1", "other:1", "used:1"]);
    expect(said).toMatch(
      /still above the limit, what stays: 2\dMiB of images of the lock, [89]\S*MiB of images that containers use, 0B of 0 images used within 2 h$/,
    );
    expect(await daemon.docker("image", "inspect", "--format", "{{.Id}}", nameless)).toBe(nameless);
  }, 60_000);

  it("begins before the node would take no more jobs, whatever the percentage", async () => {
    await image("old:1", 900, 30);
    limits({ GARBAGE_HIGH: "100", GARBAGE_LOW: "99", GARBAGE_MIN_FREE: String(150 << 20) });
    fill(30);
    expect(collect()).toContain("image old:1, ");
    expect(await imagesLeft()).toEqual([]);
  });

  it("a disk without inodes is as full as one without bytes", async () => {
    await image("old:1", 900);
    shell(`mkdir ${disk}/fill; cd ${disk}/fill; read -r used free < <(df --output=iused,iavail ${disk} | tail -n 1)
seq $(((used + free) * 62 / 100 - used)) | xargs touch`);
    expect(collect()).toMatch(/^bake-garbage: 6[12] % used, .*\nbake-garbage: image old:1, /);
  });

  it("a container that came and went between two looks, and a pull a moment ago, count as use", async () => {
    await image("job:1", 900);
    await image("old:1", 800);
    // Above the lower limit it remembers uses, though nothing is collected yet.
    fill(55);
    expect(collect()).toBe("");
    await daemon.docker("rm", await daemon.docker("create", "job:1", "x"));
    const pulled = await image("pulled:1", 900);
    shell(`touch ${disk}/image/overlay2/imagedb/content/sha256/${pulled.slice(7)}`);
    fill(90);
    const said = collect();
    expect(await imagesLeft()).toEqual(["job:1", "pulled:1"]);
    expect(said).toMatch(/1\dMiB of 2 images used within 2 h$/);
  }, 60_000);

  it("images of an earlier lock are told, and go when the profile says so", async () => {
    const earlier = await image("earlier:1", 900);
    shell(`: >${disk}/.bake/images/${earlier.slice(7)}`);
    fill(90);
    expect(collect()).toMatch(/; \S+MiB of images of an earlier lock: storage\.removeOtherImages would remove them$/);
    expect(await imagesLeft()).toEqual(["earlier:1"]);
    limits({ GARBAGE_REMOVE_OTHERS: "true" });
    expect(collect()).toContain("image earlier:1, ");
    expect(await imagesLeft()).toEqual([]);
  });

  it("bake-images tells the images of an earlier lock at each boot, and removes them when the profile says so", async () => {
    const script = readFileSync(join(root, "templates/node/bake-images"), "utf8");
    put("opt/bake/bin/bake-images", script.replace(/\/(opt|run|etc)\/bake/g, `${folder}/$1/bake`), 0o755);
    const [now, earlier, busy] = [
      await image("now:1", 9, 1),
      await image("earlier:1", 9, 1),
      await image("busy:1", 9, 1),
    ];
    await image("of-a-job:1", 9, 1);
    await daemon.docker("create", "busy:1", "x");
    shell(
      `for id in ${[now, earlier, busy].map((id) => id.slice(7)).join(" ")} ${"1".repeat(64)}; do : >${disk}/.bake/images/$id; done`,
    );
    lock(["now:1", now]);
    expect(shell(`${at("opt/bake/bin/bake-images")} | sort`)).toMatch(
      /^bake-images: busy:1, \S+MiB, is not of this lock and stays: storage\.removeOtherImages would remove it\nbake-images: earlier:1, .*\nbake-images: now:1 is there\n$/,
    );
    put("etc/bake/images.env", `IMAGES_FOLDER="${disk}/.bake/images"\nIMAGES_REMOVE_OTHERS="true"\n`);
    expect(shell(`${at("opt/bake/bin/bake-images")} | sort`)).toMatch(
      /^bake-images: busy:1, \S+MiB, is not of this lock and is in use: it stays\nbake-images: earlier:1, \S+MiB, is not of this lock: removing it\n/,
    );
    expect(await imagesLeft()).toEqual(["busy:1", "now:1", "of-a-job:1"]);
    put("etc/bake/images.env", `IMAGES_FOLDER="${disk}/.bake/images"\n`);
  });

  it("with Docker down, before the node was looked at, and beside another run it leaves everything as it is", async () => {
    await image("old:1", 900);
    fill(90);
    put("run/bake/status.json", '{\n"ready": false,\n"run": "seeding",\n}\n');
    expect(collect()).toBe("");
    put("run/bake/status.json", '{\n"ready": true,\n"checkedAt": "2026-01-01T00:00:00Z",\n}\n');
    put("unit-state", "activating\n");
    expect(collect()).toMatch(/^bake-garbage: \d+ % used, .* bake-images is at work: left to the next look$/);
    put("unit-state", "active\n");
    const held = `exec 8>>${at("run/bake/garbage-lock")}; flock 8; `;
    expect(shell(`${held} ${at("opt/bake/bin/bake-garbage")} 8>&-`)).toBe("bake-garbage: another run is at work\n");
    put("docker-state", "failed\n");
    expect(collect()).toMatch(/free; Docker does not run: nothing is collected$/);
    put("docker-state", "active\n");
    // Its unit runs, and nobody answers.
    await daemon.stop();
    expect(collect()).toMatch(/free; Docker does not answer: nothing is collected$/m);
    daemon = await start();
    expect(await imagesLeft()).toEqual(["old:1"]);
    // Two at the same moment: one of them collects.
    expect(shell(`${at("opt/bake/bin/bake-garbage")} & ${at("opt/bake/bin/bake-garbage")}; wait`)).toMatch(
      /^bake-garbage: image old:1, /m,
    );
    expect(await imagesLeft()).toEqual([]);
  }, 60_000);

  needs("root", "docker", "buildkitd", "buildctl", "buildx").describe("build caches", () => {
    let buildkitd: Buildkitd | undefined;
    const socket = `unix://${at("buildkitd/sock")}`;
    const build = (name: string, ...more: string[]): string => {
      mkdirSync(at(`context-${name}`), { recursive: true });
      put(`context-${name}/Dockerfile`, `FROM scratch\nCOPY file-${name} /\n`);
      shell(
        `[ -e ${at(`context-${name}/file-${name}`)} ] || head -c 8M /dev/urandom >${at(`context-${name}/file-${name}`)}`,
      );
      return shell(
        `${toolPath("buildctl")} --addr ${socket} build --progress=plain --frontend dockerfile.v0 --local context=${at(`context-${name}`)} --local dockerfile=${at(`context-${name}`)} ${more.join(" ")} 2>&1`,
      );
    };
    const blobs = (cache: string): number => Number(shell(`ls ${cache}/blobs/sha256 | wc -l`));

    beforeAll(async () => {
      buildkitd = await startBuildkitd(at("buildkitd"), {
        state: `${disk}/builder`,
        run: (command) => [...inside, ...command],
      });
    }, 60_000);
    afterAll(async () => {
      await buildkitd?.stop();
    }, 30_000);

    it("of an exported cache goes what its index does not name, and a build still hits it", () => {
      const cache = `${disk}/docker-cache1`;
      const exported = `--export-cache type=local,dest=${cache},mode=max`;
      build("one", exported);
      const first = shell(`ls ${cache}/blobs/sha256 | sort`);
      build("two", exported);
      const both = blobs(cache);
      shell(`mkdir -p ${cache}/ingest/cut ${disk}/docker-cache2/blobs/sha256; echo x >${cache}/ingest/cut/data
echo data >${disk}/docker-cache2/blobs/sha256/${"a".repeat(64)}; touch -d '3 hours ago' ${disk}/docker-cache2/blobs/sha256/*`);
      limits({ GARBAGE_HIGH: "1", GARBAGE_LOW: "0" });
      // Young: an export may be at work on it.
      expect(collect()).not.toContain("blobs");
      shell(`find ${cache} -exec touch -d '3 hours ago' {} +`);
      // Whoever names the folder may be at an export.
      expect(
        shell(
          `python3 -c 'import time; time.sleep(30)' ${cache} & sleep 0.2; ${at("opt/bake/bin/bake-garbage")}; kill $!`,
        ),
      ).toContain(`bake-garbage: ${cache} is in use: left to the next look\n`);
      expect(blobs(cache)).toBe(both);
      // A build of agent 12 has another.
      expect(
        shell(
          `python3 -c 'import time; time.sleep(30)' type=local,dest=${cache}2,mode=max & sleep 0.2; ${at("opt/bake/bin/bake-garbage")}; kill $!`,
        ),
      ).toMatch(new RegExp(`^bake-garbage: ${cache}: \\d+ blobs that its index does not name, \\S+MiB$`, "m"));
      const left = shell(`ls ${cache}/blobs/sha256 | sort`);
      expect(blobs(cache)).toBeLessThan(both);
      expect(first.split("\n").filter((blob) => blob !== "" && left.includes(blob)).length).toBeLessThan(3);
      expect(shell(`ls ${cache}/ingest`)).toBe("");
      // What has no index may be anything.
      expect(blobs(`${disk}/docker-cache2`)).toBe(1);
      shell(`${toolPath("buildctl")} --addr ${socket} prune --all >/dev/null 2>&1`);
      expect(build("two", `--import-cache type=local,src=${cache}`, `--output type=oci,dest=${at("out.tar")}`)).toMatch(
        /COPY file-two \/\n(#\d+ .*\n)*?#\d+ CACHED\n/,
      );
      // Whoever lays caches links blobs first, and writes the index last.
      shell(`mkdir -p ${disk}/.bake/caches; mv ${cache} ${disk}/docker-cache3; cp -r ${disk}/docker-cache3 ${cache}
echo data >${cache}/blobs/sha256/${"b".repeat(64)}; find ${cache} -exec touch -d '3 hours ago' {} +`);
      const laid = blobs(cache);
      expect(
        shell(`flock ${disk}/.bake/caches/lock ${at("opt/bake/bin/bake-garbage")}; rm ${disk}/.bake/caches/lock`),
      ).toContain("bake-garbage: bake-caches is at work: build caches are left to the next look\n");
      expect(blobs(cache)).toBe(laid);
      // What a link leads to is another's.
      shell(`rm -rf ${disk}/docker-cache2; mkdir ${disk}/docker-cache2; cp ${cache}/index.json ${disk}/docker-cache2
mv ${cache}/blobs ${disk}/elsewhere; ln -s ${disk}/elsewhere ${disk}/docker-cache2/blobs; ln -s ${disk}/elsewhere ${cache}/blobs`);
      expect(collect()).toContain(`bake-garbage: ${disk}/docker-cache2 is left alone: `);
      expect(blobs(cache)).toBe(laid);
      shell(`rm -rf ${cache} ${disk}/docker-cache2; mv ${disk}/docker-cache3 ${cache}; rm -rf ${disk}/elsewhere`);
      // An index that is no JSON: a person's, or one that an export is just writing.
      shell(
        `cp ${cache}/index.json ${at("index.json")}; head -c 20 ${at("index.json")} >${cache}/index.json; find ${cache} -exec touch -d '3 hours ago' {} +`,
      );
      const before = blobs(cache);
      expect(collect()).toContain(`bake-garbage: ${cache} is left alone: `);
      expect(blobs(cache)).toBe(before);
    }, 120_000);

    it("a builder gives back what was not used, as much as is missing", () => {
      put("etc/bake/builders.env", 'BUILDER_NAMES="cachebuilder1 gone"\nBUILDER_LOCAL_IMAGE=""\n');
      shell(`mkdir -p ${at(".docker/cli-plugins")}; ln -sf ${toolPath("buildx")} ${at(".docker/cli-plugins/docker-buildx")}
docker buildx create --name cachebuilder1 --driver remote ${socket} >/dev/null 2>&1`);
      const size = (): number =>
        Number(shell(`docker buildx du --builder cachebuilder1 | sed -n 's/^Total:[^0-9]*\\([0-9]*\\).*MB/\\1/p'`));
      shell(`${toolPath("buildctl")} --addr ${socket} prune --all >/dev/null 2>&1`);
      for (const name of ["one", "two", "three"]) build(name, `--output type=oci,dest=${at("out.tar")}`);
      const before = size();
      fill(60);
      // HOME is root's on a node.
      const run = (): string =>
        shell(
          `sed 's|^export HOME=/root|export HOME=${folder}|' ${at("opt/bake/bin/bake-garbage")} >${at("garbage-here")}; bash ${at("garbage-here")}`,
        );
      limits({ GARBAGE_HIGH: "60", GARBAGE_LOW: "58" });
      expect(run()).not.toContain("builder cachebuilder1");
      expect(size()).toBe(before);
      limits({ GARBAGE_HIGH: "60", GARBAGE_LOW: "58", GARBAGE_MIN_AGE: "1" });
      shell("sleep 1.5");
      expect(run()).toMatch(/^bake-garbage: builder cachebuilder1: [\d.]+MB of its cache$/m);
      expect(size()).toBeLessThan(before);
    }, 120_000);
  });
});
