/** A trial's models by the resolvers of both hubs, from the trial's own source. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { huggingface } from "../../src/lock/sources/huggingface.ts";
import { modelscope } from "../../src/lock/sources/modelscope.ts";
import { trialModels } from "../../src/trial/models.ts";
import { serveSource } from "../../src/trial/source-server.ts";
import { trialVersions } from "../../src/trial/substitutions.ts";
import { endSources, serveSources } from "../source-context.ts";

test("they are locked as those of the hubs are, and each file is where its URL says", async () => {
  const folder = mkdtempSync(join(tmpdir(), "bake-trial-models-"));
  for (const { path, text } of trialModels()) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  const server = await serveSource(folder);
  try {
    const here = `http://127.0.0.1:${server.port}`;
    const { context: any } = await serveSources({});
    const context = {
      ...any,
      sources: { ...any.sources, modelscope: `${here}/modelscope`, huggingface: `${here}/huggingface` },
    };
    const asked = { kind: "model", path: ["models", 0] } as const;
    const models = [
      await modelscope.resolve(
        { ...asked, hub: "modelscope", name: trialVersions.modelscopeModel, asked: "master" },
        context,
      ),
      await huggingface.resolve(
        { ...asked, hub: "huggingface", name: trialVersions.huggingfaceModel, asked: "main" },
        context,
      ),
    ];
    for (const { files } of models) {
      expect(files.map(({ path }) => path)).toEqual(["1_Pooling/config.json", "config.json", "model.safetensors"]);
      for (const { url, size } of files) expect((await (await fetch(url)).arrayBuffer()).byteLength).toBe(size);
    }
    expect(models[0]?.files.map(({ sha256 }) => sha256)).toEqual(models[1]?.files.map(({ sha256 }) => sha256));
  } finally {
    await endSources();
    await server.close();
    rmSync(folder, { recursive: true, force: true });
  }
});
