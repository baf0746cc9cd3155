/**
 * Images that the golden image does not carry: bake-images as rendered, a real dockerd with its data on a small disk, curl, and a mirror
 * that lies, breaks off, is slow or down, and comes back.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import type { Blob, ContainerImage } from "../../src/artifact.ts";
import { planFor } from "../../src/commands/plan.ts";
import type { NodePlan } from "../../src/plan/node-plan.ts";
import { substitute, trialVersions } from "../../src/trial/substitutions.ts";
import { type DockerDaemon, startDockerDaemon } from "../docker-daemon.ts";
import { type Mirror, openMirror } from "../models.ts";
import { needs, toolPath } from "../needs.ts";
import { readProfile, render, trialLock } from "../plan-of.ts";
import { startRegistry, type TestRegistry } from "../registry.ts";

const folder = mkdtempSync(join(tmpdir(), "bake-mirror-"));
const at = (path: string): string => join(folder, path);
const put = (path: string, content: string | Buffer, mode = 0o644): void => {
  mkdirSync(dirname(at(path)), { recursive: true });
  writeFileSync(at(path), content, { mode });
};
/** The data disk; Docker's data-root is all of it. */
const disk = at("daemon/data");
const state = `${disk}/.bake/images`;

/** Bytes by digest, of all blobs. */
const contents = new Map<string, Buffer>();
const blob = (bytes: Buffer): Blob => {
  const hex = createHash("sha256").update(bytes).digest("hex");
  contents.set(hex, bytes);
  return { digest: `sha256:${hex}`, size: bytes.length, mediaType: "application/vnd.oci.image.layer.v1.tar" };
};
const hexOf = ({ digest }: Blob): string => digest.slice("sha256:".length);

let layerCount = 0;
/** A layer with a file of so many bytes, which nothing packs. */
const layer = (bytes: number): Blob => {
  const name = `layer-${layerCount++}`;
  put(`${name}/${name}`, randomBytes(bytes));
  return blob(execFileSync("tar", ["-C", at(name), "-cf", "-", "."], { maxBuffer: 2 ** 28 }));
};
const image = (name: string, layers: readonly Blob[]): ContainerImage => {
  const config = { architecture: "amd64", os: "linux", config: { Cmd: ["/x"], Labels: { name } } };
  const rootfs = { type: "layers", diff_ids: layers.map(({ digest }) => digest) };
  const described = blob(Buffer.from(JSON.stringify({ ...config, rootfs })));
  return {
    kind: "container-image",
    ...{ name, architecture: "x86_64", version: "1", asked: name, registry: "127.0.0.1:9", repository: "none" },
    ...{ tagDigest: described.digest, manifest: described, config: described },
    layers: [...layers],
  };
};

const shared = layer(400_000);
const carried = image(trialVersions.buildkitImage, [layer(1000)]);
const one = image("quay.io/ascend/cann:9.1.0", [shared, layer(3_000_000), layer(20_000)]);
const two = image("team/tools:2", [shared, layer(50_000)]);
const onlyOf = ({ config, layers }: ContainerImage): Blob[] => [config, ...layers];

/** A node of these images from the mirror, and the builders' own, which is carried. */
const planOf = (images: readonly ContainerImage[], mirror: string): NodePlan => {
  const { profile } = substitute(readProfile());
  return planFor({
    name: "2cards",
    trial: true,
    profile: {
      ...profile,
      storage: { ...profile.storage, mount: disk },
      network: { ...profile.network, artifactMirror: mirror },
      images: images.map(({ name }) => ({ image: name, from: "mirror" })),
    },
    lock: {
      ...trialLock,
      artifacts: [...trialLock.artifacts.filter(({ kind }) => kind !== "container-image"), carried, ...images],
    },
  });
};

/** Lays what the node has of it; `/opt/bake` and its like lie below the folder. */
const lay = (plan: NodePlan, retrySeconds = 0): void => {
  for (const path of ["opt", "etc", "var"]) rmSync(at(path), { recursive: true, force: true });
  for (const { path, content } of render(plan).nodeFiles) {
    if (!/^\/(opt\/bake\/images|opt\/bake\/bin\/(bake-images|fetch-blobs\.sh)$|etc\/bake\/images\.env)/.test(path))
      continue;
    const here = content
      .replace(/(?<![\w$}])\/(opt|run|etc|var\/lib)\/bake/g, `${folder}/$1/bake`)
      .replace(/RETRY_SECONDS="2"/, `RETRY_SECONDS="${retrySeconds}"`)
      .replace(/PROGRESS_SECONDS="10"/, 'PROGRESS_SECONDS="1"');
    put(path, path.endsWith("manifest.json") ? content : here, path.includes("/bin/") ? 0o755 : 0o644);
  }
  for (const each of onlyOf(carried))
    put(`opt/bake/images/blobs/sha256/${hexOf(each)}`, contents.get(hexOf(each)) ?? "");
};

interface Ran {
  readonly code: number | null;
  readonly output: string;
}

needs("root", "docker", "docker-registry").describe("images from a mirror", () => {
  let daemon: DockerDaemon;
  let registry: TestRegistry;
  let mirror: Mirror;
  let space: ChildProcess | undefined;
  let inside: readonly string[] = [];

  /** Shell where the data disk is mounted. The mirror lives in this process: nothing may block it. */
  const shell = (script: string): Promise<Ran> =>
    new Promise((done) => {
      const [file = "", ...words] = inside;
      const tree = toolPath("docker");
      const child = spawn(
        file,
        [...words, "bash", "--norc", "-c", `images=${at("opt/bake/bin/bake-images")}\n${script}`],
        {
          detached: true,
          stdio: ["ignore", "pipe", "pipe"],
          env: {
            PATH: `${tree}/usr/bin:${process.env["PATH"] ?? ""}`,
            DOCKER_HOST: daemon.host,
            HOME: folder,
            no_proxy: "*",
          },
        },
      );
      let output = "";
      for (const stream of [child.stdout, child.stderr])
        stream?.on("data", (data: Buffer) => (output += data.toString()));
      const end = (): boolean => child.pid !== undefined && process.kill(-child.pid, "SIGKILL");
      const timer = setTimeout(end, 50_000);
      child.on("close", (code) => {
        clearTimeout(timer);
        done({ code, output });
      });
    });
  const bring = (): Promise<Ran> => shell("$images 2>&1");
  const idOf = ({ name }: ContainerImage): Promise<string> =>
    daemon.docker("image", "inspect", "--format", "{{.Id}}", name).catch(() => "");
  const expectThere = async (...images: readonly ContainerImage[]): Promise<void> => {
    for (const each of images) expect(await idOf(each), each.name).toBe(each.config.digest);
  };
  /** What is left of a fetch on the data disk. */
  const left = async (): Promise<string> => (await shell(`cd ${state} && find . -type f -path '*/*/*' | sort`)).output;
  const askedFor = (each: Blob): string[] => mirror.asked.filter((line) => line.startsWith(hexOf(each)));

  beforeAll(async () => {
    mkdirSync(disk, { recursive: true });
    space = spawn(
      "unshare",
      [
        ...["--mount", "--kill-child", "bash", "--norc", "-euc"],
        `truncate -s 150M ${at("disk")}; mkfs.ext4 -qF -m 0 -J size=4 ${at("disk")}; mount -o loop ${at("disk")} ${disk}; echo up; exec sleep 3600`,
      ],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    if (space.stdout === null) throw new Error("no output");
    await once(space.stdout, "data");
    inside = ["nsenter", `--mount=/proc/${space.pid}/ns/mnt`];
    daemon = await startDockerDaemon(at("daemon"), {
      args: ["--storage-driver=overlay2"],
      run: (command) => [...inside, ...command],
    });
    registry = await startRegistry(at("registry"), "open");
  }, 60_000);
  afterAll(async () => {
    await daemon?.stop();
    await registry?.stop();
    space?.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  }, 30_000);
  beforeEach(async () => {
    mirror = await openMirror();
    for (const [hex, bytes] of contents) mirror.contents.set(hex, bytes);
    await shell(
      `docker image ls -aq | sort -u | xargs -r docker image rm -f; rm -rf ${disk}/.bake ${disk}/fill; mkdir ${disk}/.bake`,
    );
    lay(planOf([one, two], mirror.url));
  });
  afterEach(() => mirror.close());

  it("come by digest, what they share once, and are loaded; what is carried comes first; then nothing is asked", async () => {
    const { code, output } = await bring();
    expect(code, output).toBe(0);
    await expectThere(carried, one, two);
    const all = new Set([...onlyOf(one), ...onlyOf(two)].map(hexOf));
    expect(mirror.asked.toSorted()).toEqual([...all].map((hex) => `${hex} 0`).toSorted());
    expect(output.split("\n").filter((line) => line.startsWith("bake-images: "))).toEqual([
      `bake-images: loading ${carried.name}`,
      `bake-images: fetching 4 blobs of ${one.name}, 3.3MiB, from ${mirror.url}`,
      `bake-images: loading ${one.name}`,
      expect.stringMatching(/^bake-images: fetching 2 blobs of team\/tools:2, \d+KiB, from /),
      `bake-images: loading ${two.name}`,
    ]);
    expect(await left()).toBe("");
    expect((await shell(`ls ${at("run/bake")}`)).output).toBe("");
    const again = await bring();
    expect(again.output).toBe([carried, one, two].map(({ name }) => `bake-images: ${name} is there\n`).join(""));
    expect(mirror.asked).toHaveLength(all.size);
  });

  it("say bytes, rate and time left while they come, also to whoever asks for the status", async () => {
    mirror.rate = 1_000_000;
    const { code, output } = await shell(
      `$images & while kill -0 $! 2>/dev/null; do cat ${at("run/bake/images.txt")} 2>/dev/null | sed 's/^/status: /'; sleep 0.3; done; wait $!`,
    );
    expect(code, output).toBe(0);
    expect(output).toMatch(/^bake-images: [\d.]+MiB of 3\.3MiB, [\d.]+[KM]iB\/s, 0 min left$/m);
    expect(output).toMatch(/^status: [\d.]+MiB of 3\.3MiB, [\d.]+[KM]iB\/s, 0 min left$/m);
  });

  /** Killed with all that it started, once it has so many bytes of a blob. */
  const cutAt = (each: Blob, bytes: number): Promise<Ran> =>
    shell(`$images & part=${state}/parts/${hexOf(each)}
until [ "$(stat -c %s $part 2>/dev/null || echo 0)" -ge ${bytes} ]; do sleep 0.02; done; kill -KILL 0`);

  it("killed at any point it goes on where it was, and ends with the right images", async () => {
    const large = one.layers[1] ?? shared;
    const cuts = [1, 500_000, 1_500_000, 2_900_000];
    mirror.rate = 1_000_000;
    for (const bytes of cuts) expect((await cutAt(large, bytes)).code, "it ended before it was cut").toBeNull();
    mirror.rate = 0;
    const { code, output } = await bring();
    expect(code, output).toBe(0);
    await expectThere(carried, one, two);
    // Each time from where it was cut.
    const starts = askedFor(large).map((line) => Number(line.split(" ")[1]));
    expect(starts[0]).toBe(0);
    for (const [index, bytes] of cuts.entries()) expect(starts[index + 1]).toBeGreaterThanOrEqual(bytes);
    expect(starts).toHaveLength(cuts.length + 1);
    expect(await left()).toBe("");
  });

  it.each([
    [
      "other bytes",
      "the mirror has other bytes: expected sha256",
      (bytes: Buffer) => ({ body: randomBytes(bytes.length) }),
    ],
    ["more bytes", "the mirror has more than the", (bytes: Buffer) => ({ body: Buffer.concat([bytes, bytes]) })],
    ["fewer bytes", "no more come from", (bytes: Buffer) => ({ body: bytes.subarray(0, 1000) })],
    ["none", "is not in the mirror", () => ({ status: 404, body: Buffer.from("no") })],
    ["an error", "no more come from", () => ({ status: 500, body: Buffer.from("no") })],
  ] as const)(
    "of a mirror with %s: said, the image is not there, others are; the next run goes on",
    async (_name, said, answer) => {
      const large = one.layers[1] ?? shared;
      mirror.faults.set(hexOf(large), (content, response, start) => {
        const { status = start > 0 ? 206 : 200, body } = { status: undefined, ...answer(content) };
        response.writeHead(status).end(status < 300 ? body.subarray(start) : body);
      });
      const { code, output } = await bring();
      expect(code, output).toBe(1);
      expect(output).toContain(`bake-images: ${one.name}, blob ${hexOf(large).slice(0, 12)}`);
      expect(output).toContain(said);
      expect(output).toContain(
        `bake-images: ${one.name} is not whole: what it lacks is said above\nbake-images: pulling 127.0.0.1:9/none@`,
      );
      expect(output).toContain(`bake-images: ${one.name} is not there, the lock says ${one.config.digest}\n`);
      expect(await idOf(one)).toBe("");
      await expectThere(carried, two);
      mirror.faults.clear();
      mirror.asked.length = 0;
      const next = await bring();
      expect(next.code, next.output).toBe(0);
      await expectThere(one);
      // All the rest was there.
      expect(mirror.asked).toEqual([expect.stringMatching(hexOf(large))]);
    },
  );

  it("of a mirror that is down: asked once, then the registry by digest; what that has not is said", async () => {
    const { host } = registry;
    await bring();
    await daemon.docker("tag", one.name, `${host}/one:1`);
    const pushed = /digest: (sha256:[0-9a-f]{64})/.exec(await daemon.docker("push", `${host}/one:1`))?.[1] ?? "";
    await shell("docker system prune -af");
    const there = { ...one, registry: host, repository: "one", manifest: { ...one.manifest, digest: pushed } };
    lay(planOf([there, two], "http://127.0.0.1:9/mirror"));
    const { code, output } = await bring();
    expect(code, output).toBe(1);
    expect(output).toMatch(
      /^bake-images: \S+, blob [0-9a-f]{12}: 0 of \d+ bytes, and no more come from http:\/\/127\.0\.0\.1:9\/mirror: curl: \(7\)/m,
    );
    expect(output).toContain(`bake-images: pulling ${host}/one@${pushed}\n`);
    expect(output).toContain(
      `bake-images: ${two.name} is not fetched: http://127.0.0.1:9/mirror did not answer\nbake-images: pulling 127.0.0.1:9/none@`,
    );
    expect(output).toContain(`bake-images: ${two.name} is not there, the lock says ${two.config.digest}\n`);
    await expectThere(carried, one);
    expect(await idOf(two)).toBe("");
  });

  it("a prune of all brings them back the same way", async () => {
    await bring();
    await shell("docker system prune -af");
    expect(await idOf(one)).toBe("");
    mirror.asked.length = 0;
    // Killed in the middle, with notes of an earlier load on the disk.
    mirror.rate = 1_000_000;
    expect((await cutAt(one.layers[1] ?? shared, 1_000_000)).code).toBeNull();
    mirror.rate = 0;
    const { code, output } = await bring();
    expect(code, output).toBe(0);
    await expectThere(carried, one, two);
    expect(askedFor(shared).filter((line) => line.endsWith(" 0"))).toHaveLength(1);
    expect(await left()).toBe("");
  });

  it("no room is said before anything is fetched, with all numbers", async () => {
    await shell(
      `read -r free < <(df -B1 --output=avail ${disk} | tail -n 1); fallocate -l $((free - 5000000)) ${disk}/fill`,
    );
    const { code, output } = await bring();
    expect(code).toBe(1);
    expect(output).toMatch(
      /^bake-images: no room: quay\.io\/ascend\/cann:9\.1\.0 needs 3\.3MiB to be fetched and another 3\.3MiB while it is loaded, and \S+ has [45]\.\dMiB free$/m,
    );
    expect(askedFor(one.config)).toEqual([]);
    // The small one fits.
    await expectThere(two);
  });

  it("bytes that went wrong on the data disk are found when they are loaded, and fetched anew", async () => {
    const large = one.layers[1] ?? shared;
    await shell(
      `mkdir -p ${state}/blobs/sha256; head -c ${large.size} /dev/zero >${state}/blobs/sha256/${hexOf(large)}`,
    );
    const { code, output } = await bring();
    expect(code, output).toBe(0);
    expect(output).toContain(
      `bake-images: ${one.name}, blob ${hexOf(large).slice(0, 12)}: wrong bytes on the data disk\n`,
    );
    expect(askedFor(large)).toEqual([`${hexOf(large)} 0`]);
    await expectThere(one, two);
  });

  it("what another lock had begun goes; what waits for the mirror stays", async () => {
    const large = one.layers[1] ?? shared;
    await shell(`mkdir -p ${state}/parts; echo x >${state}/parts/${"a".repeat(64)}`);
    mirror.faults.set(hexOf(large), (content, response) =>
      response
        .writeHead(200, { "content-length": content.length })
        .write(content.subarray(0, 100_000), () => response.destroy()),
    );
    expect((await bring()).code).toBe(1);
    expect((await left()).trim().split("\n")).toEqual(
      [
        ...onlyOf(one)
          .filter((each) => each !== large)
          .map((each) => `./blobs/sha256/${hexOf(each)}`),
        `./parts/${hexOf(large)}`,
      ].toSorted(),
    );
    lay(planOf([two], mirror.url));
    expect((await bring()).code).toBe(0);
    expect(await left()).toBe("");
  });

  it("two at the same time ask for each blob once", async () => {
    mirror.rate = 3_000_000;
    const { code, output } = await shell("$images & first=$!; $images & second=$!; wait $first && wait $second");
    expect(code, output).toBe(0);
    await expectThere(one, two);
    expect(new Set(mirror.asked).size).toBe(mirror.asked.length);
    // Folders of one that fetches are its own.
    const held = await shell(
      `mkdir -p ${state}/parts; (flock 9; $images 9>&- >/dev/null; ls -d ${state}/parts) 9>>${state}/lock; $images >/dev/null; ls ${state}`,
    );
    expect(held.output).toMatch(new RegExp(`^${state}/parts\n(?!.*^parts$)`, "ms"));
  });

  it("while the image is made only what it carries is loaded, and nobody is asked", async () => {
    const { code, output } = await shell("$images carried");
    expect([code, output]).toEqual([0, expect.stringMatching(/^bake-images: loading \S+\nLoaded image: \S+\n$/)]);
    await expectThere(carried);
    expect(await idOf(one)).toBe("");
    expect(mirror.asked).toEqual([]);
  });

  it("a host with a stock image asks the mirror that it was made from; without any, and without the data disk, that is said", async () => {
    lay(planOf([two], mirror.url));
    const settings = at("etc/bake/images.env");
    await shell(`sed -i '/MIRROR/s/=.*/=""/' ${settings}`);
    const none = await bring();
    expect(none.output).toContain(
      `bake-images: ${two.name} can be fetched from nowhere: no mirror is named (network.artifactMirror)\n`,
    );
    put("var/lib/bake/stock/stock.env", `STOCK_MIRROR='${mirror.url}/'\n`);
    await shell(`sed -i 's|^IMAGES_MOUNT=.*|IMAGES_MOUNT="${folder}"|' ${settings}`);
    const unmounted = await bring();
    expect([unmounted.code, unmounted.output]).toEqual([1, expect.stringContaining(`${folder} is not mounted`)]);
    expect(mirror.asked).toEqual([]);
    await shell(`sed -i 's|^IMAGES_MOUNT=.*|IMAGES_MOUNT="${disk}"|' ${settings}`);
    const found = await bring();
    expect(found.code, found.output).toBe(0);
    await expectThere(two);
  });
});
