import { describe, expect, it } from "vitest";
import { BakeError } from "../../src/errors.ts";
import { newerTags, requireReference } from "../../src/lock/reference.ts";

const help =
  "Name one as docker pull takes it, with a tag and without a digest, such as quay.io/ascend/cann:9.1.0-910b-ubuntu22.04-py3.12.";

describe("image references", () => {
  it.each([
    ["moby/buildkit:v0.19.0", "docker.io", "moby/buildkit", "v0.19.0"],
    ["busybox:1.36", "docker.io", "library/busybox", "1.36"],
    ["docker.io/busybox:1.36", "docker.io", "library/busybox", "1.36"],
    ["docker.io/moby/buildkit:v0.19.0", "docker.io", "moby/buildkit", "v0.19.0"],
    ["index.docker.io/library/busybox:1", "docker.io", "library/busybox", "1"],
    ["quay.io/ascend/cann:9.1.0-910b", "quay.io", "ascend/cann", "9.1.0-910b"],
    ["quay.io/cann:1", "quay.io", "cann", "1"],
    ["localhost:5000/x:y", "localhost:5000", "x", "y"],
    ["localhost/x:y", "localhost", "x", "y"],
    ["host-without-dot/x:y", "docker.io", "host-without-dot/x", "y"],
    ["swr.cn-north-4.myhuaweicloud.com/a/b/c__d:1_2", "swr.cn-north-4.myhuaweicloud.com", "a/b/c__d", "1_2"],
  ])("%s", (text, registry, repository, tag) => {
    expect(requireReference(text)).toMatchObject({ registry, repository, tag });
  });

  it.each([
    "quay.io/ascend/cann",
    "localhost:5000/x",
    "busybox",
    "busybox:",
    "Busybox:1",
    `a@sha256:${"0".repeat(64)}`,
    `a:1@sha256:${"0".repeat(64)}`,
    "quay.io/a/:1",
    "quay.io//a:1",
    "/a:1",
    "https://quay.io/a:1",
    `a:${"x".repeat(129)}`,
    "a:1 b",
    "a:-x",
    "",
  ])("refuses %j", (text) => {
    expect(() => requireReference(text)).toThrow(new BakeError("BK250", `"${text}" is no image with a tag`, help));
  });

  it("shows no password", () => {
    expect(() => requireReference("https://user:password@quay.io/a:1")).toThrow(
      new BakeError("BK250", '"https://***@quay.io/a:1" is no image with a tag', help),
    );
  });
});

describe("newer tags", () => {
  it("differ in the version alone", () => {
    const tags = [
      "8.5.0-910b-ubuntu22.04-py3.12",
      "9.1.0-910b-ubuntu22.04-py3.12",
      "9.2.0-910b-ubuntu22.04-py3.12",
      "10.0.0-910b-ubuntu22.04-py3.12",
      "9.10.0-910b-ubuntu22.04-py3.12",
      "9.2.0-310p-ubuntu22.04-py3.12",
      "9.2.0-910b-ubuntu24.04-py3.12",
      "9.2.0.rc1-910b-ubuntu22.04-py3.12",
      "9.2-910b-ubuntu22.04-py3.12",
      "v9.2.0-910b-ubuntu22.04-py3.12",
      "latest",
    ];
    expect(newerTags("9.1.0-910b-ubuntu22.04-py3.12", tags)).toEqual([
      "10.0.0-910b-ubuntu22.04-py3.12",
      "9.10.0-910b-ubuntu22.04-py3.12",
      "9.2.0-910b-ubuntu22.04-py3.12",
    ]);
  });

  it("have no order without a version", () => {
    expect(newerTags("latest", ["latest", "newest", "v2"])).toEqual([]);
    expect(newerTags("v0.19.0", ["v0.19.0", "v0.20.0-rc1", "v0.20.0", "v0.9.0", "master"])).toEqual(["v0.20.0"]);
    expect(newerTags("20260102030405", ["20260102030406", "20250102030405"])).toEqual(["20260102030406"]);
  });
});
