/**
 * Scripts of a node beside a docker that says what no real one can be brought to say at a wish: one that hangs up in the middle, an
 * image that comes into use between two questions, a disk that is short of inodes alone.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { environmentFile } from "../../src/formats/lines.ts";
import { root } from "../../src/host/root.ts";

let folder = "";
const at = (path: string): string => join(folder, path);
const put = (path: string, text: string, mode = 0o644): void => {
  mkdirSync(dirname(at(path)), { recursive: true });
  writeFileSync(at(path), text, { mode });
};
/** Shell that stands for a program; what it was asked is noted. */
const program = (name: string, script: string): void =>
  put(`bin/${name}`, `#!/bin/bash\necho "${name} $*" >>${at("asked")}\n${script}\n`, 0o755);
const asked = (): string => (existsSync(at("asked")) ? readFileSync(at("asked"), "utf8") : "");
const run = (script: string): { readonly code: number | null; readonly output: string } => {
  const text = readFileSync(join(root, "templates/node", script), "utf8");
  put(`opt/bake/bin/${script}`, text.replace(/\/(opt|run|etc)\/bake/g, `${folder}/$1/bake`), 0o755);
  const { status, stdout } = spawnSync("bash", ["--norc", "-c", `exec ${at(`opt/bake/bin/${script}`)} 2>&1`], {
    encoding: "utf8",
    timeout: 60_000,
    env: { ...process.env, PATH: `${at("bin")}:${process.env["PATH"] ?? ""}` },
  });
  return { code: status, output: stdout };
};
const id = (digit: string): string => `sha256:${digit.repeat(64)}`;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bake-stand-in-"));
  program("systemctl", '[ "$1" != show ] || echo inactive');
  mkdirSync(at("disk/.bake/images"), { recursive: true });
  put("etc/bake/images.env", `IMAGES_FOLDER="${at("disk/.bake/images")}"\n`);
  put("opt/bake/images.tsv", "");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("bake-images", () => {
  const mark = (digit: string): string => `disk/.bake/images/${id(digit).slice(7)}`;

  it("a Docker that answers nothing more has lost no image: what is known of an earlier lock stays", () => {
    put(mark("1"), "");
    program("docker", "exit 1");
    expect(run("bake-images")).toEqual({ code: 0, output: "" });
    expect(existsSync(at(mark("1")))).toBe(true);
    // One that answers and does not have it has lost it.
    program("docker", '[ "$1 $2" = "image ls" ]');
    expect(run("bake-images")).toEqual({ code: 0, output: "" });
    expect(existsSync(at(mark("1")))).toBe(false);
  });

  it("who uses an image cannot be asked: it stays, also where the profile wants it removed", () => {
    put(mark("1"), "");
    put("etc/bake/images.env", `IMAGES_FOLDER="${at("disk/.bake/images")}"\nIMAGES_REMOVE_OTHERS="true"\n`);
    program(
      "docker",
      `case "$*" in *Size*) echo "1048576 old:1 " ;; "image inspect"*) echo ${id("1")} ;; *) exit 1 ;; esac`,
    );
    expect(run("bake-images")).toEqual({
      code: 0,
      output: "bake-images: old:1, 1.0MiB, is not of this lock and is in use: it stays\n",
    });
    expect(asked()).not.toContain("image rm");
    expect(existsSync(at(mark("1")))).toBe(true);
  });

  /** Two images, of which the seed has both; their node's Docker takes the second alone from it. */
  const fromSeed = (
    open: string,
  ): { readonly code: number | null; readonly output: string; readonly order: string[] } => {
    put(
      "opt/bake/images.tsv",
      ["1", "2"]
        .map((digit) => `${digit}:1\t${id(digit)}\t${at(`opt/bake/images/${digit}`)}\thub/${digit}@x\n`)
        .join(""),
    );
    put(
      "opt/bake/bin/bake-seed",
      `#!/bin/bash\necho "bake-seed $*" >>${at("asked")}\n[ "$1" = close ] || { ${open}; }\n`,
      0o755,
    );
    program(
      "docker",
      `there=${at("there")}; touch $there
case "$*" in
  *"save 1:1") echo 1 ;;
  *"save 2:1") echo 2 ;;
  "load --quiet") read -r what; if [ "$what" = 1 ]; then echo "no space left on device" >&2; exit 1; fi; echo 2 >>$there ;;
  "pull --quiet"*) case $3 in hub/1*) echo 1 >>$there ;; hub/2*) echo 2 >>$there ;; esac ;;
  "--host sock image inspect"*1:1 | "--host sock image inspect"*2:1) echo ${id("0").slice(0, 7)}$(printf '%064d' 0 | tr 0 \${7%%:*}) ;;
  "image inspect"*) name=\${5#sha256:}; grep -qx "\${name:0:1}" $there && echo sha256:$(printf '%064d' 0 | tr 0 "\${name:0:1}") ;;
esac`,
    );
    const ended = run("bake-images");
    return {
      ...ended,
      order: asked()
        .split("\n")
        .filter((line) => /^bake-seed|^docker (pull|load)/.test(line)),
    };
  };

  it("an image that cannot be handed over from the seed is pulled, with the seed's room free; the next one comes from it", () => {
    const { code, output, order } = fromSeed("echo sock");
    expect(output).toBe(`bake-images: loading 1:1
no space left on device
bake-images: 1:1 was not handed over from the seed: the lines above say why
bake-images: pulling hub/1@x
bake-images: loading 2:1
`);
    expect(code).toBe(0);
    expect(order).toEqual([
      "bake-seed open",
      "docker load --quiet",
      "bake-seed close",
      "docker pull --quiet hub/1@x",
      "bake-seed open",
      "docker load --quiet",
      "bake-seed close",
    ]);
  });

  it("a seed that cannot be opened is closed before anything is pulled, and not asked again", () => {
    const { code, output, order } = fromSeed('echo "bake-seed: /mnt has 1MiB free"; exit 1');
    expect(output).toContain("bake-images: /mnt has 1MiB free\nbake-images: pulling hub/1@x\n");
    expect(code).toBe(0);
    expect(order).toEqual([
      "bake-seed open",
      "bake-seed close",
      "docker pull --quiet hub/1@x",
      "docker pull --quiet hub/2@x",
    ]);
  });

  it("an image of the lock that a silent Docker does not load is named, and the run fails", () => {
    put("opt/bake/images.tsv", `one:1\t${id("1")}\t${at("opt/bake/images/1")}\t127.0.0.1:9/one@${id("1")}\n`);
    mkdirSync(at("opt/bake/images/blobs"), { recursive: true });
    put("opt/bake/images/1/manifest.json", "[]");
    put("opt/bake/images/1/blobs.txt", "");
    program("docker", "cat >/dev/null; exit 1");
    const { code, output } = run("bake-images");
    expect(output).toContain(`bake-images: one:1 is not there, the lock says ${id("1")}\n`);
    expect(code).toBe(1);
    expect(existsSync(at(mark("1")))).toBe(false);
    // Docker may have registered what is not whole: the next run looks.
    expect(existsSync(at("disk/.bake/images/loading"))).toBe(true);
  });
});

describe("bake-garbage", () => {
  const long = Math.floor(Date.now() / 1000) - 90 * 86_400;
  beforeEach(() => {
    put("run/bake/status.json", '"checkedAt": "2026-01-01T00:00:00Z",\n');
    put("etc/bake/builders.env", 'BUILDER_NAMES="cachebuilder1 cachebuilder2"\nBUILDER_LOCAL_IMAGE=""\n');
    put(
      "etc/bake/garbage.env",
      environmentFile({
        GARBAGE_MOUNT: at("disk"),
        GARBAGE_FOLDER: at("disk/.bake/garbage"),
        GARBAGE_DATA_ROOT: at("disk"),
        GARBAGE_CACHES: "",
        GARBAGE_HIGH: "85",
        GARBAGE_LOW: "80",
        GARBAGE_MIN_FREE: "1000000",
        GARBAGE_MIN_AGE: "7200",
        GARBAGE_REMOVE_OTHERS: "false",
      }),
    );
    program("mountpoint", "exit 0");
    disk(50, 90);
  });
  /** How full the disk of 10 GiB is, in percent of bytes and of inodes. */
  const disk = (bytes: number, inodes: number): void =>
    program(
      "df",
      `echo x; echo ${Math.floor((bytes / 100) * 1e10)} ${Math.floor((1 - bytes / 100) * 1e10)} ${inodes * 1000} ${(100 - inodes) * 1000}`,
    );
  interface Image {
    readonly digit: string;
    readonly names: string;
  }
  /** A docker with these images, long unused, and answers of its own. */
  const docker = (images: readonly Image[], answers: string): void => {
    for (const { digit } of images) {
      put(`disk/image/overlay2/imagedb/content/sha256/${id(digit).slice(7)}`, "{}");
      spawnSync("touch", ["-d", `@${long}`, at(`disk/image/overlay2/imagedb/content/sha256/${id(digit).slice(7)}`)]);
    }
    program(
      "docker",
      `case "$*" in
${answers}
"image ls"*) printf '%s\\n' ${images.map(({ digit }) => id(digit)).join(" ")} ;;
"image inspect --format {{.Id}}|"*) cat <<'END'
${images.map(({ digit, names }) => `${id(digit)}|1048576|"0001-01-01T00:00:00Z"|${names} `).join("\n")}
END
;;
"ps"*) ;;
esac`,
    );
  };

  it("inodes alone are short: names go one by one, a digest last, and builders give back all that is old enough", () => {
    docker(
      [{ digit: "1", names: "old:1 old:2 old@sha256:aa" }],
      `"image inspect --format {{.Id}} old"*) echo ${id("1")} ;;
"image inspect ${id("1")}") exit 1 ;;
"image rm old@"*) echo "Error: No such image: old@sha256:aa" >&2; exit 1 ;;
"buildx du"*) printf 'Total:\\t\\t\\t2.5GB\\n' ;;
"buildx prune"*) printf 'Total:\\t\\t\\t1.5GB\\n' ;;`,
    );
    const { code, output } = run("bake-garbage");
    expect(output).toMatch(
      /^bake-garbage: 90 % used, .*: collecting below 80 %\nbake-garbage: image old:1, 1\.0MiB, not used for (89|90) days\nbake-garbage: builder cachebuilder1: 1\.5GB of its cache\nbake-garbage: builder cachebuilder2: 1\.5GB of its cache\nbake-garbage: 0B came free, 3 things removed: 90 % used, /,
    );
    expect(code).toBe(0);
    expect([...asked().matchAll(/^docker image rm (.*)$/gm)].map(([, name]) => name)).toEqual([
      "old:1",
      "old:2",
      "old@sha256:aa",
    ]);
    // Bytes say nothing of inodes.
    expect(asked()).toMatch(/buildx prune --builder cachebuilder1 --force --filter until=7200s --keep-storage 0$/m);
  });

  it("an image that came into use since keeps its further names, and what Docker said is told", () => {
    docker(
      [{ digit: "1", names: "old:1 old:2" }],
      `"image inspect --format {{.Id}} old"*) echo ${id("1")} ;;
"image inspect ${id("1")}") ;;
"image rm"*) echo "Error response from daemon: conflict: container 5f is using it" >&2; exit 1 ;;`,
    );
    const { code, output } = run("bake-garbage");
    expect(output).toContain(
      "bake-garbage: image old:1 stays: Error response from daemon: conflict: container 5f is using it\n",
    );
    expect(asked().match(/^docker image rm /gm)).toHaveLength(1);
    expect(output).toMatch(/bake-garbage: 0B came free, 0 things removed/);
    expect(code).toBe(0);
  });

  it("a name that means another image since is not taken; one without names goes by its ID", () => {
    docker(
      [
        { digit: "1", names: "old:1" },
        { digit: "2", names: "" },
      ],
      `"image inspect --format {{.Id}} old:1") echo ${id("3")} ;;
"image inspect --format {{.Id}} ${id("2")}") echo ${id("2")} ;;
"image inspect ${id("1")}") ;;
"image inspect ${id("2")}") exit 1 ;;`,
    );
    const { output } = run("bake-garbage");
    expect(output).toMatch(/^bake-garbage: image sha256:222222222222, 1\.0MiB, not used for (89|90) days$/m);
    expect(output).toContain("bake-garbage: image old:1 stays: other images are made from it\n");
    expect(asked()).not.toContain("image rm old:1");
  });

  it.each([
    ["for its images", `"image ls"*) exit 1 ;;`],
    ["for who uses them", `"ps --all"*) exit 1 ;;`],
  ])("Docker falls silent when it is asked %s: nothing is collected, and that is no failure", (_, answers) => {
    docker([{ digit: "1", names: "old:1" }], answers);
    const { code, output } = run("bake-garbage");
    expect(output).toMatch(/^bake-garbage: 90 % used, .*; Docker does not answer: nothing is collected\n$/);
    expect(code).toBe(0);
    expect(asked()).not.toMatch(/image rm|prune/);
  });

  it("a file system without a table of inodes is asked for its bytes alone", () => {
    program("df", "echo x; echo 5000000000 5000000000 - -");
    docker([{ digit: "1", names: "old:1" }], "");
    expect(run("bake-garbage")).toEqual({ code: 0, output: "" });
    program("df", "echo x; echo 9000000000 1000000000 - -");
    docker([{ digit: "1", names: "old:1" }], `"image ls"*) exit 1 ;;`);
    expect(run("bake-garbage").output).toContain("90 % used");
  });
});
