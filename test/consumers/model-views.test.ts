/** The hubs' clients read models from two agents' views at once, without a network: overlays as a node mounts them. */
import { expect } from "vitest";
import { eachWithModelNode, lockedModelOf, type Mirror, type ModelNode, planWith, sha256 } from "../models.ts";
import { needs, type Tool, toolPath } from "../needs.ts";

const { test } = needs("root", "modelscope 1.35", "modelscope", "huggingface_hub");

const contents: Readonly<Record<string, string>> = {
  "config.json": "{}",
  "model.safetensors": "weights".repeat(100_000),
  "1_Pooling/config.json": "{}",
  "a/b/字 𝛼 \"'%.txt": "more",
};

let node: ModelNode;
let mirror: Mirror;
eachWithModelNode(contents, (opened) => ({ node, mirror } = opened));

const read = `
import json, os, hashlib
def digests(folder):
    found = {}
    for at, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(at, name)
            if not name.startswith("."):
                found[os.path.relpath(path, folder)] = hashlib.sha256(open(path, "rb").read()).hexdigest()
    return found
`;
const programs: Readonly<Record<string, string>> = {
  modelscope: `${read}
from modelscope import snapshot_download
print(json.dumps(digests(snapshot_download("Qwen/Qwen3-0.6B", local_files_only=True))))`,
  huggingface_hub: `${read}
from huggingface_hub import snapshot_download
print(json.dumps(digests(snapshot_download("Qwen/Qwen3-0.6B"))))`,
};

test.each([
  ["modelscope 1.35", "modelscope", "modelscope"],
  ["modelscope", "modelscope", "modelscope"],
  ["huggingface_hub", "huggingface", "hf_cache"],
] as const)("%s, two agents at once", async (client: Tool, hub, folder) => {
  const nowhere = "http://127.0.0.1:1";
  const program = programs[hub === "modelscope" ? "modelscope" : "huggingface_hub"] ?? "";
  node.lay(planWith(node.mount, [{ model: lockedModelOf(hub, "Qwen/Qwen3-0.6B", contents) }]));
  const cache = hub === "modelscope" ? ".cache/modelscope" : ".cache/huggingface";
  // As a job mounts its agent's folder: with what is mounted in it.
  const load = (agent: number): string => `(
mkdir -p ${node.folder}/home${agent}/${cache}; mount --rbind ${node.mount}/${folder}${agent} ${node.folder}/home${agent}/${cache} || exit 1
export HOME=${node.folder}/home${agent} PYTHONPATH='${toolPath(client)}' PYTHONUTF8=1 HF_HUB_OFFLINE=1
export HTTP_PROXY=${nowhere} HTTPS_PROXY=${nowhere} https_proxy=${nowhere} http_proxy=${nowhere}
python3 - >${node.folder}/answer${agent} 2>${node.folder}/said${agent} <<'PYTHON'
${program}
PYTHON
) &`;
  const { code, output } = await node.run(`$models fetch ${mirror.url} && $models mount || exit 1
${load(1)}
${load(2)}
wait
cat ${node.folder}/answer1 ${node.folder}/answer2 || cat ${node.folder}/said*
$models verify || exit 2
# No copy of the weights in what the jobs changed.
find ${node.mount}/.bake/views -type f -size +100k | grep . && exit 3
$models reset >/dev/null; $models seen 2`);
  expect(code, output).toBe(0);
  const answers = output.split("\n").filter((line) => line.startsWith("{"));
  const expected = Object.fromEntries(Object.entries(contents).map(([path, bytes]) => [path, sha256(bytes)]));
  expect(answers.map((answer) => JSON.parse(answer) as unknown)).toEqual([expected, expected]);
});
