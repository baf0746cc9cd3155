/** bake-models on a real ext4, with real overlays, curl and a mirror that lies, breaks off and comes back. */
import { randomBytes } from "node:crypto";
import { describe, expect } from "vitest";
import { eachWithModelNode, lockedModelOf, type Mirror, type ModelNode, planWith, sha256 } from "../models.ts";
import { needs } from "../needs.ts";

const { test } = needs("root");

const odd = ["a/b/字 𝛼 \"'%.txt", " blank at both ends ", "-dash", "a$(touch x)`id`", "#{}[]*?~!&;|<>", "@:,="];
const weights = randomBytes(300_000);
const contents: Record<string, Buffer | string> = {
  "config.json": "{}",
  "model.safetensors": weights,
  "copy/model.safetensors": weights,
  "empty.txt": "",
  ...Object.fromEntries(odd.map((path, index) => [path, `odd ${index}`])),
};
const scope = lockedModelOf("modelscope", "Qwen/Qwen3-0.6B", contents);
const face = lockedModelOf("huggingface", "org/small", contents);

let node: ModelNode;
let mirror: Mirror;
eachWithModelNode(contents, (opened) => ({ node, mirror } = opened));

const idOf = (plan: ReturnType<typeof planWith>, index = 0): string => plan.facts.models[index]?.locked?.id ?? "";
/** Every file and link below a folder, with digests and targets, sorted. */
const tree = (folder: string): string =>
  `(cd ${folder} && find . -type f -printf '%P\\0' | sort -z | xargs -0 -r sha256sum -z -- | tr '\\0' '\\n'; cd ${folder} && find . -type l -printf '%P -> %l\\n' | sort)`;

describe("filling", () => {
  test("both hubs' trees, whatever the names; the same bytes once; and never again", async () => {
    const plan = planWith(node.mount, [{ model: scope }, { model: face, from: "mirror" }]);
    node.lay(plan);
    const models = `${node.mount}/.bake/models`;
    const first = await node.run(`$models fetch ${mirror.url} image || exit 1
[ ! -e ${models}/huggingface ] || exit 2
$models whole '${idOf(plan)}' && ! $models whole '${idOf(plan, 1)}' && exit 0`);
    expect(first).toMatchObject({ code: 0 });
    expect(first.output).toContain("not whole");
    const asked = mirror.asked.length;
    // Each content once, and nothing is asked for the empty one.
    expect(asked).toBe(new Set(Object.values(contents).map(sha256)).size - 1);
    const second = await node.run(`umask 077; $models fetch ${mirror.url}/ && $models verify || exit 1
find ${models} -name model.safetensors -printf '%n %i %m\\n' | sort -u
echo "${"=".repeat(3)}"; ${tree(`'${models}/${idOf(plan)}/tree'`)}
echo "${"=".repeat(3)}"; ${tree(`'${models}/${idOf(plan, 1)}/tree'`)}
stat -c '%a' ${node.mount}/.bake ${models}/*/*/tree | sort -u`);
    expect(second.code, second.output).toBe(0);
    // All that the other model needs was there.
    expect(mirror.asked).toHaveLength(asked);
    const [links, inScope = "", inFace = ""] = second.output.split("===\n");
    // One content: two files of the one model, the store's, and the blob of the other.
    expect(links).toMatch(/\n4 \d+ 644\n$/);
    for (const [path, bytes] of Object.entries(contents)) {
      expect(inScope).toContain(`${sha256(bytes)}  ${path}\n`);
      expect(inFace).toContain(`snapshots/${face.version}/${path} -> `);
    }
    expect(inScope).toContain("  .msc\n");
    expect(second.output).toMatch(/\n700\n755\n$/);
  });

  test("killed at any point it goes on, and ends with the right bytes", async () => {
    const large = randomBytes(3_000_000);
    const model = lockedModelOf("modelscope", "Qwen/Qwen3-0.6B", {
      ...contents,
      ...Object.fromEntries(
        Array.from({ length: 4 }, (_, index) => [`part-${index}`, Buffer.concat([large, Buffer.from([index])])]),
      ),
    });
    for (let index = 0; index < 4; index++) {
      const bytes = Buffer.concat([large, Buffer.from([index])]);
      mirror.contents.set(sha256(bytes), bytes);
    }
    const plan = planWith(node.mount, [{ model }]);
    node.lay(plan);
    mirror.rate = 2_000_000;
    let cuts = 0;
    for (; cuts < 6; cuts++) {
      const { code, output } = await node.run(
        `$models fetch ${mirror.url}; echo "ended $?"; sync --file-system ${node.mount}`,
        {
          killAfter: 300 + Math.random() * 500,
        },
      );
      expect(code === null || output.includes("ended 0"), output).toBe(true);
    }
    mirror.rate = 0;
    const last = await node.run(`$models fetch ${mirror.url} && $models verify && ls ${node.mount}/.bake/models/parts`);
    expect(last, last.output).toMatchObject({ code: 0 });
    expect(last.output).toMatch(/every byte is right\n$/);
    expect(mirror.asked.some((each) => !each.endsWith(" 0"))).toBe(true);
  });

  const only = lockedModelOf("modelscope", "Qwen/Qwen3-0.6B", { "model.safetensors": weights, "config.json": "{}" });
  const digest = sha256(weights);
  test.each([
    [
      "other bytes",
      "the mirror has other bytes: expected sha256",
      (content: Buffer) => ({ body: randomBytes(content.length) }),
    ],
    [
      "more bytes",
      "the mirror has more than the 300000 bytes",
      (content: Buffer) => ({ body: Buffer.concat([content, content]) }),
    ],
    ["fewer bytes", "no more come from", (content: Buffer) => ({ body: content.subarray(0, 1000) })],
    ["none", "is not in the mirror", () => ({ status: 404, body: Buffer.from("no") })],
    ["forbidden", "is not in the mirror", () => ({ status: 403, body: Buffer.from("no") })],
    ["an error", "no more come from", () => ({ status: 500, body: Buffer.from("no") })],
  ] as const)("a mirror with %s: said, and nothing is whole", async (_name, said, answer) => {
    node.lay(planWith(node.mount, [{ model: only }]));
    mirror.faults.set(digest, (content, response, start) => {
      const { status = start > 0 ? 206 : 200, body } = { status: undefined, ...answer(content) };
      response.writeHead(status).end(status < 300 ? body.subarray(start) : body);
    });
    const wrong = await node.run(`$models fetch ${mirror.url}`);
    expect(wrong.code, wrong.output).toBe(1);
    expect(wrong.output).toContain(`Qwen/Qwen3-0.6B model.safetensors`);
    expect(wrong.output).toContain(said);
    expect(wrong.output).toContain("Qwen/Qwen3-0.6B is not whole");
    mirror.faults.clear();
    expect(await node.run(`$models fetch ${mirror.url} && $models verify`)).toMatchObject({ code: 0 });
  });

  test("a mirror that breaks off again and again, and one that cannot begin in the middle", async () => {
    node.lay(planWith(node.mount, [{ model: only }]));
    let answers = 0;
    mirror.faults.set(digest, (content, response, start) => {
      answers++;
      if (answers > 3) mirror.faults.delete(digest);
      response.writeHead(start > 0 ? 206 : 200, {
        "content-length": content.length - start,
        ...(start > 0 && { "content-range": `bytes ${start}-${content.length - 1}/${content.length}` }),
      });
      response.write(content.subarray(start, start + 50_000), () => response.destroy());
    });
    expect(await node.run(`$models fetch ${mirror.url} && $models verify`)).toMatchObject({ code: 0 });
    const part = `${node.mount}/.bake/models/parts/${digest}`;
    mirror.faults.set(digest, (content, response) => response.writeHead(200).end(content));
    const again =
      await node.run(`rm -rf ${node.mount}/.bake/models/*; mkdir -p ${node.mount}/.bake/models/parts; echo begun >${part}
$models fetch ${mirror.url} && $models verify`);
    expect(again, again.output).toMatchObject({ code: 0 });
  });

  test("fetches that are killed, all at once, are said; the next run goes on", async () => {
    const shards = Object.fromEntries(
      Array.from({ length: 4 }, (_, index) => [`shard-${index}`, randomBytes(400_000)]),
    );
    const model = lockedModelOf("modelscope", "Qwen/Qwen3-0.6B", shards);
    for (const bytes of Object.values(shards)) mirror.contents.set(sha256(bytes), bytes);
    node.lay(planWith(node.mount, [{ model }]));
    mirror.rate = 100_000;
    // As a kernel does that is short of memory: the shells that look after a curl each, while all four are under way.
    const { code, output } = await node.run(
      `$models fetch ${mirror.url} & main=$!
until [ "$(pgrep -xc curl)" = 4 ]; do sleep 0.1; done
kill -KILL $(pgrep -x curl | xargs -n 1 ps -o ppid= -p | sort -u); pkill -x curl; wait $main; echo "ended $?"; [ ! -e ${node.folder}/run/bake/models.txt ]`,
      { killAfter: 15_000 },
    );
    expect(code, output).toBe(0);
    expect(output).toContain("bake-models: 4 fetches were killed: dmesg says whether memory ran out\n");
    expect(output).toMatch(/Qwen\/Qwen3-0\.6B is not whole: what it lacks is said above\nended 1\n$/);
    mirror.rate = 0;
    expect(await node.run(`$models fetch ${mirror.url} && $models verify`)).toMatchObject({ code: 0 });
  });

  test("a part of which the power left zeros is fetched once more; one of nobody's is removed", async () => {
    node.lay(planWith(node.mount, [{ model: only }]));
    const parts = `${node.mount}/.bake/models/parts`;
    const { code, output } =
      await node.run(`mkdir -p ${parts}; head -c 200000 /dev/zero >${parts}/${digest}; echo x >${parts}/${"a".repeat(64)}
$models fetch ${mirror.url} && $models verify && ls ${parts} | wc -l`);
    expect(code, output).toBe(0);
    expect(output).toMatch(/\n0\n$/);
    expect(mirror.asked.filter((each) => each.startsWith(digest))).toEqual([`${digest} 200000`, `${digest} 0`]);
  });

  test("of thousands of files, what was begun is gone on with", async () => {
    const many = Object.fromEntries(Array.from({ length: 3000 }, (_, index) => [`shard-${index}`, `shard ${index}`]));
    const model = lockedModelOf("modelscope", "Qwen/Qwen3-0.6B", { ...many, "model.safetensors": weights });
    node.lay(planWith(node.mount, [{ model }]));
    const parts = `${node.mount}/.bake/models/parts`;
    // The mirror has none of the others.
    const { code, output } = await node.run(
      `mkdir -p ${parts}; head -c 200000 /dev/zero >${parts}/${digest}; $models fetch ${mirror.url}`,
    );
    expect(code, output).toBe(1);
    expect(mirror.asked).toContain(`${digest} 200000`);
  });

  test("no room is said before anything is fetched, with both numbers", async () => {
    const bytes = Buffer.alloc(1);
    const model = lockedModelOf("huggingface", "org/large", { "model.safetensors": bytes });
    const [file] = model.files;
    if (file === undefined) throw new Error("it has a file");
    node.lay(planWith(node.mount, [{ model: { ...model, files: [{ ...file, size: 10 ** 12 }] } }]));
    const { code, output } = await node.run(`$models fetch ${mirror.url}`);
    expect(code).toBe(1);
    expect(output).toMatch(/no room: models need another 932GiB, and \S+ has 2\d\dMiB free/);
    expect(mirror.asked).toEqual([]);
  });

  test("what it had unpacked of the seed goes, also when there is no room or it is ended in the middle", async () => {
    const large = lockedModelOf("huggingface", "org/large", { "model.safetensors": Buffer.alloc(1) });
    const [file] = large.files;
    if (file === undefined) throw new Error("it has a file");
    const root = `${node.folder}/unpacked`;
    const asked = `${node.folder}/asked`;
    const seed = `mkdir -p ${node.folder}/opt/bake/seed; touch ${node.folder}/opt/bake/seed/map.tsv
printf '#!/bin/sh\\necho $1 >>${asked}; [ $1 = close ] || echo ${root}\\n' >${node.folder}/opt/bake/bin/bake-seed; chmod 755 ${node.folder}/opt/bake/bin/bake-seed
`;
    node.lay(planWith(node.mount, [{ model: { ...large, files: [{ ...file, size: 10 ** 12 }] } }]));
    const full = await node.run(`${seed}$models start; cat ${asked}; rm ${asked}`);
    expect(full.output).toMatch(/no room: models need another 932GiB, and \S+ has 2\d\dMiB free\nunpack\nclose\n$/);
    node.lay(planWith(node.mount, [{ model: only }]));
    // Nobody writes to it: whoever reads waits.
    const blob = `${root}/.bake/models/sha256/${digest.slice(0, 2)}/${digest.slice(2)}`;
    const ended = await node.run(
      `${seed}mkdir -p "$(dirname ${blob})"; mkfifo ${blob}; $models start & main=$!
until pgrep -x curl >/dev/null; do sleep 0.1; done; kill $main; wait $main; echo "ended $?"; cat ${asked}`,
      { killAfter: 15_000 },
    );
    expect(ended.output).toMatch(/\nended 143\nunpack\nclose\n$/);
  });

  test("the folder of another disk is a mirror, too; no mount, no models", async () => {
    const plan = planWith(node.mount, [{ model: scope }, { model: face }]);
    node.lay(plan);
    const { code, output } = await node.run(`$models fetch ${mirror.url} || exit 1
mkdir ${node.folder}/seed; cp -a ${node.mount}/.bake/models ${node.folder}/seed/models
rm -rf ${node.mount}/.bake; $models fetch file://${node.folder}/seed/models && $models verify || exit 2
rm -rf ${node.mount}/.bake ${node.folder}/seed/models/sha256/*; $models fetch file://${node.folder}/seed/models && exit 3
umount ${node.mount}; $models fetch ${mirror.url} && exit 4; [ ! -e ${node.mount}/.bake ]`);
    expect(code, output).toBe(0);
    expect(output).toMatch(/is not in file:/);
    expect(output).toContain(`${node.mount} is not mounted`);
  });
});

describe("views", () => {
  const views = (agent: number): { scope: string; face: string } => ({
    scope: `${node.mount}/modelscope${agent}/hub/models/Qwen/Qwen3-0___6B`,
    face: `${node.mount}/hf_cache${agent}/hub/models--org--small`,
  });
  const ready = (plan: ReturnType<typeof planWith>): string => {
    node.lay(plan);
    return `$models fetch ${mirror.url} >/dev/null && $models mount || exit 90\n`;
  };
  const both = () => planWith(node.mount, [{ model: scope }, { model: face }]);

  test("of all agents, as often as wanted; what one's job does reaches neither the model nor another's view", async () => {
    const plan = both();
    const [mine, other] = [views(1), views(2)];
    const lower = `${node.mount}/.bake/models/${idOf(plan)}/tree`;
    const { code, output } = await node.run(`${ready(plan)}
$models mount; [ "$(grep -c 'overlay bake-models' /proc/self/mountinfo)" = 8 ] || exit 1
for agent in 1 2 3 4; do [ "$($models seen $agent)" = "sees 2 models" ] || exit 2; done
grep -c index=off,.*redirect_dir=off /proc/self/mountinfo >/dev/null || grep -q 'overlay bake-models' /proc/self/mountinfo || exit 3
stat -c '%a %U' ${node.mount}/modelscope1 ${node.mount}/modelscope1/hub ${mine.scope} | sort -u >${node.folder}/modes
before=$(${tree(`'${lower}'`)}); seen=$(${tree(`'${other.scope}'`)}); [ "$before" = "$seen" ] || exit 4
touch ${mine.scope}/config.json; echo more >>${mine.scope}/model.safetensors; echo new >${mine.scope}/new
chown -R 1000:1000 ${mine.scope}; chmod -R o+w ${mine.scope}; rm -rf ${mine.face} 2>/dev/null; [ -z "$(ls -A ${mine.face})" ] || exit 5
[ "$before" = "$(${tree(`'${lower}'`)})" ] && [ "$seen" = "$(${tree(`'${other.scope}'`)})" ] || exit 6
$models verify >/dev/null || exit 7
$models status; $models seen 1 || exit 8
$models reset 2; [ -e ${mine.scope}/new ] || exit 9
$models reset; [ ! -e ${mine.scope}/new ] && [ "$seen" = "$(${tree(`'${mine.scope}'`)})" ] && [ -n "$(ls -A ${mine.face})" ] || exit 10
[ "$(stat -c '%u %g %a' ${mine.scope})" = "0 0 755" ] || exit 11
echo "= then"; $models status; $models seen 1; cat ${node.folder}/modes`);
    expect(code, output).toBe(0);
    const [before, after = ""] = output.split("= then\n");
    expect(before).toMatch(/agent 1 changed Qwen\/Qwen3-0\.6B: \d+ files of its own, \d+ bytes\n/);
    expect(before).toMatch(/agent 1 changed org\/small: 3 removed\n/);
    expect(before).toMatch(/agent 1, org\/small: jobs had changed 3 removed: taken back\n/);
    expect(after).not.toContain("changed");
    expect(after).toMatch(/sees 2 models\n755 root\n$/);
  });

  test("of many models: each is seen whenever it is asked for, and a reset leaves the views as they were", async () => {
    const many = Array.from({ length: 8 }, (_, index) => ({
      model: lockedModelOf("huggingface", `org/model-${index}`, { "config.json": "{}" }),
    }));
    const view = `${node.mount}/hf_cache1/hub/models--org--model-0`;
    const { code, output } = await node.run(`${ready(planWith(node.mount, many))}
for turn in $(seq 20); do [ "$($models seen 1)" = "sees 8 models" ] || exit 1; done
for turn in $(seq 10); do
  touch ${view}/mine; $models reset 1 >/dev/null && [ ! -e ${view}/mine ] && touch ${view}/mine || exit 2
done
[ "$(grep -c 'overlay bake-models' /proc/self/mountinfo)" = 32 ]`);
    expect(code, output).toBe(0);
  });

  test("what a container uses stays, and is taken back after it; a boot takes back everything", async () => {
    const plan = both();
    const { scope: view } = views(1);
    const { code, output } = await node.run(`${ready(plan)}
echo mine >${view}/config.json; echo theirs >${views(2).scope}/config.json
unshare --mount --propagation private sleep 100 & sleep 0.5
$models reset 1 && exit 1
[ "$(cat ${view}/config.json)" = mine ] || exit 2
kill %1; wait
$models reset 1 || exit 3
[ "$(cat ${view}/config.json)" = {} ] && [ "$(cat ${views(2).scope}/config.json)" = theirs ] || exit 4
exec 5<${views(2).scope}/config.json; $models reset 2 && exit 5; exec 5<&-
[ "$(cat ${views(2).scope}/config.json)" = theirs ] || exit 6`);
    expect(code, output).toBe(0);
    expect(output).toContain("agent 1, Qwen/Qwen3-0.6B: a container uses it: 1 files of its own, 5 bytes stay");
    const boot = await node.run(
      `$models start || exit 1; [ "$(cat ${views(2).scope}/config.json)" = {} ] && $models seen 2`,
    );
    expect(boot, boot.output).toMatchObject({ code: 0 });
    expect(boot.output).toMatch(/agent 2, modelscope\/\S+: jobs had changed 1 files of its own, 7 bytes: taken back/);
  });

  test("a new revision is another folder and another view; the old one stays until the profile says otherwise", async () => {
    const next = lockedModelOf(
      "modelscope",
      "Qwen/Qwen3-0.6B",
      { ...contents, "config.json": "{ }" },
      { version: "3c".repeat(20) },
    );
    mirror.contents.set(sha256("{ }"), Buffer.from("{ }"));
    const [old, fresh] = [planWith(node.mount, [{ model: scope }]), planWith(node.mount, [{ model: next }])];
    node.lay(old, "old");
    node.lay(fresh, "fresh");
    node.lay(planWith(node.mount, [{ model: next }], { removeOtherModels: true }), "removing");
    node.lay(planWith(node.mount, []), "none");
    const view = `${node.mount}/modelscope1/hub/models/Qwen/Qwen3-0___6B`;
    const models = `${node.mount}/.bake/models`;
    const { code, output } = await node.run(`use old; $models fetch ${mirror.url} && $models mount || exit 1
unshare --mount --propagation private sleep 100 & sleep 0.5
use fresh; $models fetch ${mirror.url} && $models mount || exit 2
[ "$(cat ${view}/config.json)" = "{ }" ] && [ "$(nsenter --mount --target "$!" cat ${view}/config.json)" = "{}" ] || exit 3
use removing; $models mount && [ "$(ls ${models}/modelscope | wc -l)" = 2 ] || exit 4
kill %1; wait; use fresh; $models mount || exit 4
[ "$(cat ${view}/config.json)" = "{ }" ] && [ "$($models seen 1)" = "sees 1 models" ] || exit 5
[ "$(ls ${models}/modelscope | wc -l)" = 2 ] || exit 6
use removing; $models mount && $models verify && [ "$(ls ${models}/modelscope)" = '${idOf(fresh).slice("modelscope/".length)}' ] || exit 7
[ "$(find ${models}/sha256 -type f | wc -l)" = ${new Set(next.files.map((file) => file.sha256)).size} ] || exit 10
use none; $models start || exit 8
grep 'overlay bake-models' /proc/self/mountinfo && exit 9
ls ${models}/modelscope`);
    expect(code, output).toBe(0);
    expect(output).toContain(`${view} was not of this lock: unmounted; a container still has it`);
    expect(output).toContain(`${idOf(old)} is not of this lock and is in use: it stays`);
    expect(output).toContain(`${idOf(old)} is not of this lock and stays`);
    expect(output).toContain(`${idOf(old)} is not of this lock: removing it`);
    expect(output).toContain(`${idOf(fresh)} is not of this lock and stays`);
  });

  test("a folder that a job moved or replaced is put right, and nothing is followed or lost", async () => {
    const hub = `${node.mount}/modelscope1/hub`;
    const { code, output } = await node.run(`${ready(both())}
mv ${hub} '${node.mount}/modelscope1/my hub' && $models seen 1 && exit 1
mkdir ${node.folder}/elsewhere; ln -s ${node.folder}/elsewhere ${hub}
echo kept >${node.mount}/modelscope1/note
$models start && [ "$($models seen 1)" = "sees 2 models" ] || exit 2
[ -z "$(ls -A ${node.folder}/elsewhere)" ] && [ -d ${hub} ] && [ ! -L ${hub} ] || exit 3
[ "$(cat ${node.mount}/modelscope1/note)" = kept ] && ls -d ${hub}.bake-* || exit 4
umount ${views(3).scope}; echo before >${views(3).scope}/x; $models mount; [ ! -e ${views(3).scope}/x ] || exit 5`);
    expect(code, output).toBe(0);
    expect(output).toContain("my hub/models/Qwen/Qwen3-0___6B was not of this lock: unmounted");
    expect(output).toContain(`${hub} is not a folder`);
    expect(output).toContain("held files before: they stay below the view");
  });

  test("a damaged file is found, seen by the checks, and fetched anew once nobody uses it", async () => {
    const plan = both();
    const tree1 = `${node.mount}/.bake/models/${idOf(plan)}/tree`;
    const start = `sed -i 's|^MODELS_MIRROR=.*|MODELS_MIRROR="${mirror.url}"|' ${node.folder}/etc/bake/models.env`;
    const { code, output } = await node.run(`${ready(plan)}${start}
echo -n '[]' >${tree1}/config.json; $models whole '${idOf(plan)}' || exit 1
$models verify && exit 2
$models whole '${idOf(plan)}' && exit 3
unshare --mount --propagation private sleep 100 & sleep 0.5
$models start && exit 4
kill %1; wait; $models start || exit 5
[ "$(cat ${tree1}/config.json)" = {} ] && $models verify && [ "$($models seen 1)" = "sees 2 models" ] || exit 6
echo begun >${node.mount}/.bake/models/parts/${"a".repeat(64)}; $models start && [ -z "$(ls ${node.mount}/.bake/models/parts)" ] || exit 8
rm ${tree1}/config.json; $models whole '${idOf(plan)}' && exit 7
$models start && $models verify`);
    expect(code, output).toBe(0);
    expect(output).toContain("Qwen/Qwen3-0.6B: config.json has wrong bytes");
    expect(output).toContain("damaged: bake-models verify found wrong bytes");
    expect(output).toContain("is damaged, and");
  });

  test("without a mirror it says what is missing, and gives views of the rest", async () => {
    node.lay(planWith(node.mount, [{ model: scope }, { model: face, from: "mirror" }]));
    const { code, output } = await node.run(
      `$models fetch ${mirror.url} image && $models start && exit 1; ls ${views(1).scope} && ! $models seen 1`,
    );
    expect(code, output).toBe(0);
    expect(output).toContain("org/small is not whole: no views of it yet");
    expect(output).toContain("no mirror is named (network.artifactMirror)");
    expect(output).toContain(`${views(1).face} is not mounted`);
  });
});
