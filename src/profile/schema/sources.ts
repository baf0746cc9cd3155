/** Where artifacts are asked for when the lock is made. */
import * as z from "zod";
import { isHost, lockedUrl, port, registryMirrors } from "./address.ts";

/** `sources`: where each kind of artifact is found, or a mirror of it. */
export const Sources = z.strictObject({
  docker: lockedUrl("https://download.docker.com/linux/static/stable")
    .default("https://download.docker.com/linux/static/stable")
    .describe("Docker's static archives: below it x86_64/docker-27.5.1.tgz. A mirror's address goes here."),
  buildx: lockedUrl("https://github.com/docker/buildx/releases/download")
    .default("https://github.com/docker/buildx/releases/download")
    .describe("Releases of buildx: below it v0.20.0/checksums.txt."),
  agent: lockedUrl("https://github.com/buildkite/agent/releases/download")
    .default("https://github.com/buildkite/agent/releases/download")
    .describe("Releases of the Buildkite agent."),
  goss: lockedUrl("https://github.com/goss-org/goss/releases/download")
    .default("https://github.com/goss-org/goss/releases/download")
    .describe("Releases of goss."),
  releases: lockedUrl("https://api.github.com")
    .default("https://api.github.com")
    .describe("Lists of releases, for versions such as 3.137.x and for `lock --outdated`."),
  openeuler: lockedUrl("https://repo.openeuler.org")
    .default("https://repo.openeuler.org")
    .describe("openEuler's images: below it openEuler-22.03-LTS-SP4/virtual_machine_img/."),
  modelscope: lockedUrl("https://www.modelscope.cn").default("https://www.modelscope.cn").describe("ModelScope's API."),
  huggingface: lockedUrl("https://huggingface.co").default("https://huggingface.co").describe("Hugging Face's API."),
  registries: registryMirrors
    .default({})
    .describe(
      "Mirrors by registry for the lock, where they are others than those of network.registryMirrors: asked when images are locked and fetched.",
    ),
  insecureRegistries: z
    .array(
      z
        .string()
        .regex(new RegExp(`^[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::${port})?$`), "expected host[:port]")
        .refine((text) => isHost(text.replace(/:.*$/, "")), "expected host[:port]")
        .meta({ examples: ["10.1.2.3:5000"] }),
    )
    .default([])
    .describe(
      "Registries and mirrors that speak plain http, for the lock, Docker and the builders. Logins and images cross the network in plain sight; what arrives is compared with the lock all the same.",
    ),
});
