/** One grammar of image references: what a profile may hold is what parses, and the other way round. */
import { describe, expect, it, test } from "vitest";
import { imageReferenceOf, isSameImage, parseImageReference } from "../../src/formats/image-reference.ts";
import { profileSchema } from "../../src/profile/json-schema.ts";
import { Profile } from "../../src/profile/schema.ts";
import { hostileStrings, seed } from "../hostile.ts";
import { readProfile } from "../plan-of.ts";

describe("an image reference", () => {
  it.each([
    ["moby/buildkit:v0.19.0", "moby/buildkit", "registry-1.docker.io"],
    ["docker.io/busybox:1", "docker.io/busybox", "registry-1.docker.io"],
    ["index.docker.io/library/busybox:1", "index.docker.io/library/busybox", "registry-1.docker.io"],
    ["quay.io/ascend/cann:9.1.0-910b", "quay.io/ascend/cann", "quay.io"],
    ["registry.example.com:5000/team/tools:2.1", "registry.example.com:5000/team/tools", "registry.example.com:5000"],
    ["localhost/x:1", "localhost/x", "localhost"],
    ["localhost:5000/x:1", "localhost:5000/x", "localhost:5000"],
  ])("%s is %s, from %s", (written, withoutTag, pullHost) => {
    expect(parseImageReference(written)).toMatchObject({ written, withoutTag, pullHost });
  });

  it("that was validated is one", () => {
    expect(imageReferenceOf("x:1").repository).toBe("library/x");
    expect(() => imageReferenceOf("x")).toThrow(RangeError);
  });
});

it.each([
  ["docker.io/library/ubuntu:22.04", "ubuntu:22.04", true],
  ["index.docker.io/ubuntu:22.04", "ubuntu:22.04", true],
  ["library/ubuntu:22.04", "ubuntu:22.04", true],
  ["docker.io/x/y:1", "x/y:1", true],
  ["docker.io/x/y:1", "quay.io/x/y:1", false],
  ["localhost/x:1", "x:1", false],
  ["x/y:1", "x/y:2", false],
])("whether %s is %s: %s", (one, other, same) => {
  expect(isSameImage(imageReferenceOf(one), imageReferenceOf(other))).toBe(same);
});

const right = readProfile();

const schemaTakes = (image: string): boolean => Profile.safeParse({ ...right, images: [image] }).success;

const pattern = (() => {
  interface Form {
    readonly pattern?: string;
    readonly maxLength?: number;
    readonly items?: { readonly anyOf: readonly Form[] };
  }
  const schema = profileSchema() as unknown as { properties: { images: { anyOf: readonly Form[] } } };
  const list = schema.properties.images.anyOf.find((each) => each.items !== undefined);
  // By its name alone.
  const text = list?.items?.anyOf.find((each) => each.pattern !== undefined);
  if (text?.pattern === undefined || text.maxLength === undefined) throw new Error("the JSON schema has no images");
  return { pattern: text.pattern, maxLength: text.maxLength };
})();

/** As editors do, whose patterns are Unicode ones. */
const editorTakes = (image: string): boolean =>
  new RegExp(pattern.pattern, "u").test(image) && image.length <= pattern.maxLength;

const label = "a".repeat(60);

const accepted = [
  "x:1",
  "a/b:1",
  "localhost/x:1",
  "localhost:5000/x:1",
  "host-without-dot/x:y",
  "registry:5000/x:1",
  "10.0.0.1:5000/x/y:1",
  "quay.io/a/b/c__d:1_2",
  "a---b:1",
  "a.b:1",
  `quay.io/${label}/${label}/${label}:1`,
  `a:${"x".repeat(128)}`,
];
const refused = [
  "",
  "x",
  "x:",
  ":1",
  "X:1",
  "Quay.io/x:1",
  "a//b:1",
  "/a:1",
  "a/:1",
  "a..b:1",
  "a.-b:1",
  "a___b:1",
  "a_:1",
  "quay..io/x:1",
  "-quay.io/x:1",
  "quay-.io/x:1",
  "a_b.c/x:1",
  ".../x:1",
  "localhost:/x:1",
  "localhost:123456/x:1",
  "[::1]:5000/x:1",
  "user@quay.io/x:1",
  "https://quay.io/x:1",
  "x:1:2",
  "x:-1",
  "x:1 ",
  " x:1",
  "x:1\n",
  "x:1\u0000",
  "x:ü",
  `a:${"x".repeat(129)}`,
  `x@sha256:${"0".repeat(64)}`,
  `x:1@sha256:${"0".repeat(64)}`,
  `quay.io/${label}/${label}/${label}/${label}/${label}:1`,
];

describe("schema, editor and parser agree", () => {
  it.each(accepted)("that %j is one", (image) => {
    expect([parseImageReference(image) !== undefined, schemaTakes(image), editorTakes(image)]).toEqual([
      true,
      true,
      true,
    ]);
  });

  it.each(refused)("that %j is none", (image) => {
    expect([parseImageReference(image) !== undefined, schemaTakes(image), editorTakes(image)]).toEqual([
      false,
      false,
      false,
    ]);
  });

  const parts = [
    "a",
    "b1",
    "quay.io",
    "localhost",
    ":5000",
    ":1",
    "/",
    ".",
    "_",
    "-",
    "__",
    "A",
    "@",
    "docker.io",
    ":v0.1",
    "",
  ];
  const random = hostileStrings(2000, seed + 2).map((text) =>
    text.replace(/./gsu, (character) => parts[(character.codePointAt(0) ?? 0) % parts.length] ?? ""),
  );

  test("on strings of pieces of references", () => {
    let taken = 0;
    for (const image of random) {
      const parses = parseImageReference(image) !== undefined;
      if (parses) taken += 1;
      expect([schemaTakes(image), editorTakes(image)], `seed ${seed}: ${JSON.stringify(image)}`).toEqual([
        parses,
        parses,
      ]);
    }
    expect(taken).toBeGreaterThan(20);
  });

  test("on strings that look like syntax", () => {
    for (const image of hostileStrings(500, seed + 3)) {
      const parses = parseImageReference(image) !== undefined;
      expect([schemaTakes(image), editorTakes(image)], `seed ${seed}: ${JSON.stringify(image)}`).toEqual([
        parses,
        parses,
      ]);
    }
  });
});

test("a long text that is no reference is refused at once", () => {
  const started = performance.now();
  for (const text of [":", "a", "a.", "-", "a-", "a:1/", "a/"])
    expect(parseImageReference(text.repeat(500_000))).toBe(undefined);
  for (const text of [":", "a", "a.", "-", "a-", "a:1/", "a/"]) expect(schemaTakes(text.repeat(20_000))).toBe(false);
  expect(performance.now() - started).toBeLessThan(5000);
});
