/** Models of both hubs: exact locks from servers of the real shapes, and what is refused. */
import { createHash } from "node:crypto";
import { afterEach, describe, expect, test } from "vitest";
import { BakeError } from "../../src/errors.ts";
import { type Model } from "../../src/artifact.ts";
import { Lock } from "../../src/lock/lock.ts";
import { resolverOf } from "../../src/lock/sources/index.ts";
import { changedFiles } from "../../src/lock/sources/model-files.ts";
import type { Context } from "../../src/lock/sources/resolver.ts";
import type { ModelRequirement } from "../../src/node/requirement.ts";
import {
  huggingfaceEntry,
  huggingfaceRoutes,
  modelscopeAnswer,
  modelscopeListing,
  modelscopeRoutes,
  type ReleaseServer,
  type ServedFile,
} from "../release-server.ts";
import { endSources, serveSources } from "../source-context.ts";

afterEach(endSources);

const sha256 = (bytes: string | Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

const [first, second] = ["1a".repeat(20), "2b".repeat(20)];
const model = "Qwen/Qwen3-0.6B";

const requirement = (hub: ModelRequirement["hub"], asked: string, name = model): ModelRequirement => ({
  kind: "model",
  hub,
  name,
  asked,
  path: ["models", 0],
});

const resolve = async (wanted: ModelRequirement, context: Context): Promise<Model> => {
  const artifact = await resolverOf(wanted).resolve(wanted, context);
  expect(Lock.parse({ lockVersion: 1, profile: "x", artifacts: [artifact] }).artifacts).toEqual([artifact]);
  return artifact as Model;
};

const failure = async (promise: Promise<unknown>) => {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(BakeError);
  const { code, message, help } = error as BakeError;
  return { code, message, help };
};

const files: readonly ServedFile[] = [
  { path: "model.safetensors", bytes: "weights", commit: first, large: true },
  { path: "config.json", bytes: "{}", commit: second },
  { path: ".gitattributes", bytes: "*.bin lfs", commit: first },
  { path: "sub dir/a+b.txt", bytes: "", commit: first },
];

const unusablePaths: [string, string][] = [
  ["../x", 'the part ".."'],
  ["a/../x", 'the part ".."'],
  ["./x", 'the part "."'],
  ["a//x", 'the part ""'],
  ["/etc/passwd", "an absolute path"],
  ["a\\..\\x", "a backslash"],
  ["a\nb", "a control character"],
  ["", "an empty path"],
];

describe("ModelScope", () => {
  const list = `/modelscope/api/v1/models/${model}/repo/files`;
  const shown = (server: ReleaseServer): string => `${server.origin}${list}?…`;

  test("a branch: its commit, and each file at the commit that changed it last", async () => {
    const { server, context, stored } = await serveSources(modelscopeRoutes(model, "master", second, files));
    const url = (commit: string, path: string) =>
      `${server.origin}/modelscope/api/v1/models/${model}/repo?Revision=${commit}&FilePath=${path}`;
    expect(await resolve(requirement("modelscope", "master"), context)).toEqual({
      kind: "model",
      name: model,
      version: second,
      asked: "master",
      hub: "modelscope",
      files: [
        { path: "config.json", url: url(second, "config.json"), size: 2, sha256: sha256("{}"), revision: second },
        {
          path: "model.safetensors",
          url: url(first, "model.safetensors"),
          size: 7,
          sha256: sha256("weights"),
          revision: first,
        },
        {
          path: "sub dir/a+b.txt",
          url: url(first, "sub%20dir%2Fa%2Bb.txt"),
          size: 0,
          sha256: sha256(""),
          revision: first,
        },
      ],
    });
    expect(stored).toEqual([]);
    expect(server.requests).toEqual([`GET ${list}?Revision=master&Recursive=True`]);
  });

  test("what it names now", async () => {
    const { context } = await serveSources(modelscopeRoutes(model, "v1.0", first, files));
    const wanted = requirement("modelscope", "v1.0");
    expect(await resolverOf(wanted).versions(wanted, context)).toEqual([first]);
  });

  const answered = async (change: (data: ReturnType<typeof modelscopeListing>) => unknown, asked = "master") => {
    const served = await serveSources({ [list]: modelscopeAnswer(change(modelscopeListing(files, second))) });
    return { ...served, artifact: resolve(requirement("modelscope", asked), served.context) };
  };

  test.each([
    ["in full", { Id: first }, first],
    ["by its first digits", { Id: "", ShortId: first.slice(0, 8) }, first],
  ])("the commit is given %s", async (_, LatestCommitter, commit) => {
    const { artifact } = await answered((data) => ({ ...data, LatestCommitter }));
    expect((await artifact).version).toBe(commit);
  });

  test("a commit that is no file's: the newest of theirs stands for it", async () => {
    const { artifact } = await answered(({ Files }) => ({
      LatestCommitter: { ShortId: "99999999" },
      Files: Files.map((file) => ({ ...file, CommittedDate: file.Revision === first ? 20 : 10 })),
    }));
    expect((await artifact).version).toBe(first);
  });

  test("a commit that was asked for is the version", async () => {
    const { artifact } = await answered((data) => data, "77".repeat(20));
    expect((await artifact).version).toBe("77".repeat(20));
  });

  test("nothing says which commit it is", async () => {
    const { server, artifact } = await answered(({ Files }) => ({
      Files: Files.map(({ Name, Path, Type, Size, Sha256, Revision }) => ({
        Name,
        Path,
        Type,
        Size,
        Sha256,
        Revision,
      })),
    }));
    expect(await failure(artifact)).toEqual({
      code: "BK235",
      message: `${shown(server)} does not say which commit master is`,
      help: "Name a commit in the profile.",
    });
  });

  test("a file without a digest is hashed at its first download", async () => {
    const routes = modelscopeRoutes(model, "master", second, files);
    const listing = modelscopeListing(files, second);
    const Files = listing.Files.map((file) => (file.Path === "config.json" ? { ...file, Sha256: null } : file));
    const { context, stored } = await serveSources({
      ...routes,
      [`${list}?Revision=master&Recursive=True`]: modelscopeAnswer({ ...listing, Files }),
    });
    const locked = (await resolve(requirement("modelscope", "master"), context)).files;
    expect(locked[0]).toMatchObject({ sha256: sha256("{}"), size: 2, trust: "first-use" });
    // Of the others the hub says it.
    expect(locked.slice(1).map((file) => "trust" in file)).toEqual([false, false]);
    expect(stored).toEqual([`${model} config.json`]);
  });

  test("and is refused when it has another size than the list says", async () => {
    const routes = modelscopeRoutes(model, "master", second, files);
    const listing = modelscopeListing(files, second);
    const Files = listing.Files.map((file) => (file.Path === "config.json" ? { ...file, Sha256: "", Size: 3 } : file));
    const { server, context } = await serveSources({
      ...routes,
      [`${list}?Revision=master&Recursive=True`]: modelscopeAnswer({ ...listing, Files }),
    });
    expect(await failure(resolve(requirement("modelscope", "master"), context))).toEqual({
      code: "BK240",
      message: `model ${model}: config.json has 2 bytes, and ${shown(server)} says 3`,
      help: "Try again: it may be changing just now.",
    });
  });

  describe("a list that is not whole", () => {
    const help = "bake takes no model in part. Take it from Hugging Face, or name one with fewer files.";

    test("cut where the hub cuts", async () => {
      const many = Array.from({ length: 3000 }, (_, index) => ({ path: `f${index}`, bytes: "", commit: first }));
      const whole = await serveSources({ [list]: modelscopeAnswer(modelscopeListing(many.slice(1), first)) });
      expect((await resolve(requirement("modelscope", "master"), whole.context)).files).toHaveLength(2999);
      const { server, context } = await serveSources({ [list]: modelscopeAnswer(modelscopeListing(many, first)) });
      expect(await failure(resolve(requirement("modelscope", "master"), context))).toEqual({
        code: "BK237",
        message: `model ${model}: ${shown(server)} lists 3000 entries, where the hub cuts its lists`,
        help,
      });
    });

    test("fewer than it counts", async () => {
      const { server, artifact } = await answered((data) => ({ ...data, TotalCount: 6 }));
      expect(await failure(artifact)).toEqual({
        code: "BK237",
        message: `model ${model}: ${shown(server)} lists 5 of 6 entries`,
        help,
      });
    });

    test("a folder without its files", async () => {
      const { server, artifact } = await answered((data) => ({
        ...data,
        Files: data.Files.filter(({ Path }) => !Path.startsWith("sub dir/")),
      }));
      expect(await failure(artifact)).toEqual({
        code: "BK237",
        message: `model ${model}: ${shown(server)} names the folder "sub dir" without a file in it`,
        help,
      });
    });
  });

  test.each(unusablePaths)("the path %j", async (path, why) => {
    const { server, artifact } = await answered(({ Files }) => ({
      Files: Files.filter(({ Type }) => Type === "blob").map((file) =>
        file.Path === "config.json" ? { ...file, Path: path } : file,
      ),
    }));
    expect(await failure(artifact)).toEqual({
      code: "BK238",
      message: `model ${model}: ${JSON.stringify(path)} in ${shown(server)} has ${why}`,
      help: "Tell the model's owner.",
    });
  });

  test.each([
    ["twice", "config.json", '"config.json"', "a second entry"],
    ["below a file", "config.json/x", '"config.json/x"', "a file, config.json, as its folder"],
  ])("a path %s", async (_, path, named, why) => {
    const { server, artifact } = await answered(({ Files }) => ({
      Files: Files.map((file) => (file.Path === "model.safetensors" ? { ...file, Path: path } : file)),
    }));
    expect((await failure(artifact)).message).toBe(`model ${model}: ${named} in ${shown(server)} has ${why}`);
  });

  test("no such revision", async () => {
    const { server, context } = await serveSources(modelscopeRoutes(model, "master", second, files));
    expect(await failure(resolve(requirement("modelscope", "v9"), context))).toEqual({
      code: "BK243",
      message: `model ${model} has no revision v9, or no files in it (${shown(server)})`,
      help: "Look at its branches and tags on the hub.",
    });
  });

  test("nothing but what its client leaves out", async () => {
    const { artifact } = await answered((data) => ({
      ...data,
      Files: data.Files.filter(({ Name }) => Name === ".gitattributes"),
    }));
    expect((await failure(artifact)).code).toBe("BK243");
  });

  test("the hub refuses in an answer of its own", async () => {
    const { server, context } = await serveSources({ [list]: modelscopeAnswer(null, 10010205001, "no such\nmodel") });
    expect(await failure(resolve(requirement("modelscope", "master"), context))).toEqual({
      code: "BK243",
      message: `${shown(server)}: the hub refuses, code 10010205001: no such model`,
      help: "Look at the model's name and revision.",
    });
  });

  test.each([
    [404, "BK243"],
    [403, "BK239"],
    [401, "BK239"],
  ])("status %i is %s", async (status, code) => {
    const { context } = await serveSources({ [list]: { status } });
    expect((await failure(resolve(requirement("modelscope", "master"), context))).code).toBe(code);
  });

  test("a web page in place of the list", async () => {
    const { server, context } = await serveSources({ [list]: "<html></html>" });
    expect(await failure(resolve(requirement("modelscope", "master"), context))).toEqual({
      code: "BK235",
      message: `${shown(server)}: a web page came in place of JSON`,
      help: "Does a proxy or a mirror answer in its place? Open the URL in a browser on this machine.",
    });
  });

  test.each([
    ["no list", () => ({ Files: "none" }), "Files is not as expected (Invalid input: expected array, received string)"],
    [
      "a digest that is none",
      ({ Files }: ReturnType<typeof modelscopeListing>) => ({
        Files: Files.map((file) => ({ ...file, Sha256: "abc" })),
      }),
      "Files.0.Sha256 is not as expected (expected a sha256)",
    ],
  ])("an answer with %s", async (_, change, why) => {
    const { server, artifact } = await answered(change);
    expect((await failure(artifact)).message).toBe(`${shown(server)}: ${why}`);
  });

  test.each(["Qwen3", "../x", "Qwen/Qwen3/x", "Qwen/a b", "Qwen/.."])("%j is no name of a model", async (name) => {
    const { server, context } = await serveSources({});
    for (const hub of ["modelscope", "huggingface"] as const) {
      expect(await failure(resolve(requirement(hub, "master", name), context))).toEqual({
        code: "BK243",
        message: `${name} is no name of a model`,
        help: "It is owner/name, as in the hub's own URL.",
      });
    }
    expect(server.requests).toEqual([]);
  });
});

describe("Hugging Face", () => {
  const tree = `/huggingface/api/models/${model}/tree/${second}`;
  const revision = `/huggingface/api/models/${model}/revision/main`;
  const resolved = (path: string): string => `/huggingface/${model}/resolve/${second}/${path}`;

  test("a branch: its commit, large files by the hub's digest, small ones by git's", async () => {
    const { server, context, stored } = await serveSources(huggingfaceRoutes(model, "main", second, files));
    expect(await resolve(requirement("huggingface", "main"), context)).toEqual({
      kind: "model",
      name: model,
      version: second,
      asked: "main",
      hub: "huggingface",
      files: [
        [".gitattributes", "*.bin lfs", ".gitattributes"],
        ["config.json", "{}", "config.json"],
        ["model.safetensors", "weights", "model.safetensors"],
        ["sub dir/a+b.txt", "", "sub%20dir/a%2Bb.txt"],
      ].map(([path = "", bytes = "", inUrl = ""]) => ({
        path,
        url: server.origin + resolved(inUrl),
        size: bytes.length,
        sha256: sha256(bytes),
      })),
    });
    expect(stored).toEqual([]);
    expect(server.requests).not.toContain(`GET ${resolved("model.safetensors")}`);
  });

  test("a list in pages is read to its end", async () => {
    const { server, context } = await serveSources(huggingfaceRoutes(model, "main", second, files, 2));
    expect((await resolve(requirement("huggingface", "main"), context)).files).toHaveLength(4);
    expect(server.requests.slice(0, 4)).toEqual([
      `GET ${revision}`,
      `GET ${tree}?recursive=true`,
      `GET ${tree}?recursive=true&cursor=1`,
      `GET ${tree}?recursive=true&cursor=2`,
    ]);
  });

  test("a branch with a slash; what it names now", async () => {
    const { context } = await serveSources(huggingfaceRoutes(model, "refs%2Fpr%2F1", first, files));
    const wanted = requirement("huggingface", "refs/pr/1");
    expect(await resolverOf(wanted).versions(wanted, context)).toEqual([first]);
  });

  test("small files need not be text", async () => {
    const bytes = Uint8Array.of(0xff, 0, 0xfe);
    const { context } = await serveSources(
      huggingfaceRoutes(model, "main", second, [{ path: "a.png", bytes, commit: first }]),
    );
    expect((await resolve(requirement("huggingface", "main"), context)).files[0]).toMatchObject({
      size: 3,
      sha256: sha256(bytes),
    });
  });

  describe("bytes that differ from the list", () => {
    const help = "Try again; if it stays, does a mirror serve something else?";

    test("of a small file", async () => {
      const { server, context } = await serveSources({
        ...huggingfaceRoutes(model, "main", second, files),
        [resolved("config.json")]: "[]",
      });
      expect(await failure(resolve(requirement("huggingface", "main"), context))).toEqual({
        code: "BK240",
        message: `model ${model}: config.json is git object 0637a088a01e8ddab3bf3fa98dbe804cbde1a0dc, and the list says 9e26dfeeb6e641a33dae4961196235bdb965b21b (${server.origin}${tree}?…)`,
        help,
      });
    });

    test("in its size", async () => {
      const { server, context } = await serveSources({
        ...huggingfaceRoutes(model, "main", second, files),
        [resolved("config.json")]: "{ }",
      });
      expect(await failure(resolve(requirement("huggingface", "main"), context))).toEqual({
        code: "BK240",
        message: `model ${model}: config.json has 3 bytes, and the list says 2 (${server.origin}${tree}?…)`,
        help,
      });
    });

    test("a large file with two sizes", async () => {
      const entry = huggingfaceEntry({ path: "m.bin", bytes: "weights", commit: first, large: true });
      const { context } = await serveSources({
        ...huggingfaceRoutes(model, "main", second, files),
        [`${tree}?recursive=true`]: JSON.stringify([{ ...entry, size: 134 }]),
      });
      expect((await failure(resolve(requirement("huggingface", "main"), context))).message).toContain(
        "m.bin has two sizes in the list, 134 and 7 bytes",
      );
    });
  });

  describe("a closed model", () => {
    test.each([401, 403])("%i without a token", async (status) => {
      const { server, context } = await serveSources({ [revision]: { status } });
      expect(await failure(resolve(requirement("huggingface", "main"), context))).toEqual({
        code: "BK239",
        message: `model ${model} may not be read (${server.origin}${revision}, ${status})`,
        help: "Look at its name. If it is private, or its licence has to be accepted: set HF_TOKEN to a token of an account that may read it.",
      });
    });

    test("a token that may not, which is not shown", async () => {
      const { server, context } = await serveSources({
        ...huggingfaceRoutes(model, "main", second, files),
        [resolved("config.json")]: { status: 403 },
      });
      const error = await failure(
        resolve(requirement("huggingface", "main"), { ...context, huggingfaceToken: "hf_geheim" }),
      );
      expect(error).toEqual({
        code: "BK239",
        message: `model ${model} may not be read (${server.origin}${resolved("config.json")}, 403)`,
        help: "The account of HF_TOKEN may not read it: accept the model's licence on its page, or use a token that may read it.",
      });
    });

    test("a token goes with every request to the hub, and not into the lock", async () => {
      const { server, context } = await serveSources(huggingfaceRoutes(model, "main", second, files, 2));
      const locked = await resolve(requirement("huggingface", "main"), { ...context, huggingfaceToken: "hf_geheim" });
      expect(new Set(server.headers.map(({ authorization }) => authorization))).toEqual(new Set(["Bearer hf_geheim"]));
      expect(JSON.stringify(locked)).not.toContain("geheim");
    });
  });

  test("no such revision", async () => {
    const { server, context } = await serveSources(huggingfaceRoutes(model, "main", second, files));
    expect(await failure(resolve(requirement("huggingface", "v9"), context))).toEqual({
      code: "BK243",
      message: `${server.origin}/huggingface/api/models/${model}/revision/v9: no such model or revision`,
      help: "Look at the model's name and its branches and tags on the hub.",
    });
  });

  test.each([
    ["a page", revision, "<html></html>", "a web page came in place of JSON"],
    ["no commit", revision, '{"sha":"main"}', "sha is not as expected (expected a commit)"],
    [
      "no list",
      `${tree}?recursive=true`,
      "{}",
      "the answer is not as expected (Invalid input: expected array, received object)",
    ],
  ])("an answer with %s", async (_, route, body, why) => {
    const { server, context } = await serveSources({
      ...huggingfaceRoutes(model, "main", second, files),
      [route]: body,
    });
    const { code, message } = await failure(resolve(requirement("huggingface", "main"), context));
    expect([code, message]).toEqual(["BK235", `${server.origin}${route.replace(/\?.*/, "?…")}: ${why}`]);
  });

  test("the second page of a list fails", async () => {
    const { server, context } = await serveSources({
      ...huggingfaceRoutes(model, "main", second, files, 2),
      [`${tree}?recursive=true&cursor=1`]: { status: 500 },
    });
    expect((await failure(resolve(requirement("huggingface", "main"), context))).message).toBe(
      `${server.origin}${tree}?… answers 500 Internal Server Error`,
    );
  });

  test.each(unusablePaths)("the path %j", async (path, why) => {
    const { server, context } = await serveSources({
      ...huggingfaceRoutes(model, "main", second, files),
      [`${tree}?recursive=true`]: JSON.stringify([huggingfaceEntry({ path, bytes: "x", commit: first })]),
    });
    expect(await failure(resolve(requirement("huggingface", "main"), context))).toEqual({
      code: "BK238",
      message: `model ${model}: ${JSON.stringify(path)} in ${server.origin}${tree}?… has ${why}`,
      help: "Tell the model's owner.",
    });
  });
});

describe("a model that changes under its branch", () => {
  const locked = async (served: readonly ServedFile[], commit: string) =>
    resolve(
      requirement("modelscope", "master"),
      (await serveSources(modelscopeRoutes(model, "master", commit, served))).context,
    );

  test("which files are others", async () => {
    const before = await locked(files, second);
    const third = "3c".repeat(20);
    const now = await locked(
      [
        ...files
          .filter(({ path }) => path !== "sub dir/a+b.txt")
          .map((file) => (file.path === "config.json" ? { ...file, bytes: "[]", commit: third } : file)),
        { path: "added.json", bytes: "1", commit: third },
      ],
      third,
    );
    expect(changedFiles(before.files, before.files)).toEqual([]);
    expect(changedFiles(before.files, now.files)).toEqual([
      { path: "added.json", how: "new" },
      { path: "config.json", how: "changed" },
      { path: "sub dir/a+b.txt", how: "gone" },
    ]);
  });
});
